import { subscribe } from 'node:diagnostics_channel'
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { coversHost, INSECURE_ORIGIN } from '../browser-rules.js'
import { logWarning, type WarningCode } from '../warnings.js'
import { isOwnOrigin, isTrustedSource, type OriginPolicy, sourceOf } from './csrf.js'

/** It collects routes by a hook, which Fastify does not call for routes that exist already. */
export const SWAGGER = '@fastify/swagger'

/** Warns in onReady if the context did not have @fastify/swagger when this plugin was registered, and has it now. */
export function warnOfLateSwagger (fastify: FastifyInstance): void {
  if (fastify.hasPlugin(SWAGGER)) return
  fastify.addHook('onReady', async () => {
    if (fastify.hasPlugin(SWAGGER)) logWarning(fastify.log, { code: 'FST_AUTH_WARN_PLUGIN_LATE', plugin: SWAGGER })
  })
}

/** The settings of a registration that the findings at requests depend on. */
export interface CookieSetup {
  /** False for `refreshToken.transport: 'body'`. */
  readonly isUsed: boolean
  readonly isSecure: boolean
  /** The option `cookie.domain`. */
  readonly domain: string | undefined
  readonly origins: OriginPolicy
}

/** Logs each mistake once, at the first request to one of our routes that shows it. */
export function warnAtRequests (scope: FastifyInstance, setup: CookieSetup): void {
  const logged = new Set<WarningCode>()
  scope.addHook('onRequest', (request, reply, done) => {
    const { origin, 'sec-fetch-site': site, 'x-forwarded-for': forwarded } = request.headers
    if (origin === undefined && site === undefined && forwarded === undefined) return done() // none of the mistakes shows
    for (const code of mistakesShownBy(request, reply, setup)) {
      if (logged.has(code)) continue
      logged.add(code)
      logWarning(request.log, { code })
    }
    done()
  })
}

/** The mistakes that only a request shows. */
function mistakesShownBy (request: FastifyRequest, reply: FastifyReply, { isUsed, isSecure, domain, origins }: CookieSetup): WarningCode[] {
  const { origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'x-forwarded-for': forwarded } = request.headers
  const isTrusted = origins.trustedOrigins.has(String(origin))
  const allowed = reply.getHeader('access-control-allow-origin')
  const findings: ReadonlyArray<readonly [isFound: boolean, code: WarningCode]> = [
    // Fastify sets `ips` only where trustProxy is on. A gateway of serverless functions gives the address of the client itself.
    [forwarded !== undefined && request.ips === undefined && !String(forwarded).split(/[,\s]+/).includes(request.ip),
      'FST_AUTH_WARN_TRUST_PROXY'],
    // The app's CORS headers let pages of any origin, or of this untrusted one, use the cookie and read the response.
    [origin !== undefined && String(reply.getHeader('access-control-allow-credentials')) === 'true' && (allowed === '*' || (allowed === origin && !isTrusted && !isOwnOrigin(origin, request.host))),
      'FST_AUTH_WARN_CORS'],
    // A script of a trusted origin, whose browser gives it no reply without these headers.
    [isUsed && isTrusted && mode === 'cors' && site !== 'same-origin' && String(reply.getHeader('access-control-allow-credentials')) !== 'true',
      'FST_AUTH_WARN_CORS_MISSING'],
    // A page of our own or of a trusted origin over plain http, where browsers keep no Secure cookie. They send no `Sec-Fetch-Mode` there;
    // the `fetch` of a renderer in a private network does.
    [isUsed && isSecure && mode === undefined && INSECURE_ORIGIN.test(String(origin)) && isTrustedSource(sourceOf(request), origins),
      'FST_AUTH_WARN_PLAIN_HTTP'],
    // A browser whose host the Domain of the cookie does not cover (RFC 6265 section 5.3): it rejects the cookie.
    [isUsed && site !== undefined && !coversHost(domain, request.hostname),
      'FST_AUTH_WARN_COOKIE_DOMAIN'],
    // A script of a trusted origin on another site, where browsers neither keep nor send a cookie with SameSite=Lax or Strict.
    [isUsed && !origins.crossSiteCookie && site === 'cross-site' && mode !== 'navigate' && isTrusted,
      'FST_AUTH_WARN_OTHER_SITE']
  ]
  return findings.filter(([isFound]) => isFound).map(([, code]) => code)
}

// Global symbols, since one process may load two copies of this package.
/** Marks the hooks that an app imports. */
export const IMPORTED = Symbol.for('fastify-refresh-cookie.imported')
const WATCHED = Symbol.for('fastify-refresh-cookie.watched')

/** The largest number of routes in the warning. */
const MAX_NAMED = 10

/**
 * Warns in onReady of routes with an imported hook that no registration covers: they answer 500. `registered` is the request
 * decorator of a registration. A plugin sees no routes outside its context, so each instance is watched from its creation.
 */
export function warnOfUncoveredRoutes (registered: symbol): void {
  subscribe('fastify.initialization', message => {
    const { fastify } = message as { readonly fastify: FastifyInstance } // Fastify's documentation, Hooks, diagnostics channel
    if (!fastify.hasDecorator(WATCHED)) watch(fastify, registered)
  })
}

function watch (fastify: FastifyInstance, registered: symbol): void {
  const routes: Array<{ readonly context: FastifyInstance, readonly url: string }> = []
  fastify.decorate(WATCHED, true)
  fastify.addHook('onRoute', function ({ url, onRequest, preParsing, preValidation, preHandler }) {
    const hooks = [onRequest, preParsing, preValidation, preHandler].flat()
    if (hooks.some(hook => hook !== undefined && IMPORTED in hook)) routes.push({ context: this, url })
  })
  fastify.addHook('onReady', async () => {
    const uncovered = routes.filter(({ context }) => !context.hasRequestDecorator(registered))
    const urls = [...new Set(uncovered.map(({ url }) => url))]
    if (urls.length > 0) logWarning(fastify.log, { code: 'FST_AUTH_WARN_UNCOVERED_ROUTES', routes: urls.slice(0, MAX_NAMED), more: urls.length > MAX_NAMED })
  })
}
