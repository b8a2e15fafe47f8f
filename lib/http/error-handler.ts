import { STATUS_CODES } from 'node:http'
import { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifySchemaValidationError } from 'fastify'
import { coversHost } from '../browser-rules.js'
import { redacted } from '../redaction.js'
import { AuthError, type AuthErrorCode } from '../errors.js'
import { statusOf } from './reply-headers.js'
import { type TokenAuth } from './request-auth.js'
import { isOwnOrigin, nameHosts } from './csrf.js'
import { redirectRefusal } from './html-forms.js'
import { type CookieSetup } from './setup-warnings.js'

/**
 * The error handler of our routes. It records an AuthError and replaces an unexpected error with one that reveals nothing, then
 * rethrows to the host's error handler, or to Fastify's. The refusal of an HTML form is a redirect instead.
 */
export function createErrorHandler (authOf: (request: FastifyRequest) => Pick<TokenAuth, 'recordRefusal'>): (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => void {
  return (thrown, request, reply) => {
    const shown = thrown instanceof AuthError ? authOf(request).recordRefusal(thrown) : withoutDetails(thrown, reply)
    if (!redirectRefusal(request, reply, shown)) throw shown
  }
}

type HostError = Error & Partial<FastifyError>

/** An error of Fastify, or of a hook of the host, for the reply and the log. Its status is that which Fastify gives to it on other routes. */
function withoutDetails (thrown: unknown, reply: FastifyReply): HostError {
  try {
    const error = asError(thrown)
    const statusCode = statusOf(error, reply)
    if (!(statusCode >= 400 && statusCode < 500)) return opaque(error, statusCode)
    reply.code(statusCode)
    // Ajv's `validation` repeats field names from the request: the host's error handler can still read it, and no log prints it.
    if (error.validation !== undefined) Reflect.defineProperty(error, 'validation', { enumerable: false })
    if (!String(error.code).startsWith('FST_ERR_')) return withoutSecrets(error, statusCode)
    Reflect.set(error, 'stack', `${error.name}: ${error.message}`) // that of a refusal of Fastify would look like a bug in the log
    return error
  } catch {
    return opaque(new Error('a hook threw a value that cannot be read'), 500)
  }
}

/** Fastify would send any other value with 200, since it comes from an error handler. */
function asError (thrown: unknown): HostError {
  return thrown instanceof Error ? thrown : Object.assign(new Error('a hook threw a value that is no Error'), typeof thrown === 'object' ? thrown : {})
}

/** The message of a bug may contain a query, a host name or a password, so it only goes to the log, redacted. */
function opaque (error: Error, statusCode: number): HostError {
  // A 503 of an overloaded host stays a 503; a status that is no server error is a bug.
  const status = statusCode > 500 && statusCode in STATUS_CODES ? statusCode : 500
  return Object.assign(new Error(STATUS_CODES[status], { cause: redacted(error) }), { statusCode: status })
}

function withoutSecrets (error: HostError, statusCode: number): HostError {
  const safe = redacted(error)
  return safe === error ? error : Object.assign(asError(safe), { statusCode })
}

/** Names the invalid field, never its value. */
export function formatSchemaErrors (errors: FastifySchemaValidationError[], part: string): Error {
  const [{ instancePath = '', message = 'is not valid', params = {} } = {}] = errors
  // The name of an unknown field is user input, perhaps a misplaced password: it is neither sent nor logged.
  return new Error(params['additionalProperty'] === undefined ? `${part}${instancePath} ${message}` : `${part} has an unknown field`)
}

const CROSS_SITE = 'No refresh token was sent: log in. If a login has just succeeded, the page is of another site than the API, as http://127.0.0.1 is of another than http://localhost, ' +
  "and browsers send the cookie there only with cookie: { sameSite: 'none', partitioned: true }. See \"Another origin\" in docs/cookies.md of fastify-refresh-cookie"

const OUTSIDE_DOMAIN = 'No refresh token was sent: log in. If a login has just succeeded, the client rejected the cookie: cookie.domain does not cover this host. Leave the option out, or set it to the host or a parent of it'

const REFUSED_USER = 'This account may not log in: it is disabled, or users.findById, which gets the id as text, did not find it'

const DROPPED = 'No refresh token was sent: log in. If a login has just succeeded, the client rejected the cookie: it is Secure, but was sent over plain http. See "Plain http" in docs/cookies.md of fastify-refresh-cookie'

/**
 * Explains three refusals in the reply, outside production. The text is not in the error, which is logged: it may contain hosts
 * from the request.
 */
export function explainRefusals (scope: FastifyInstance, cookie: Pick<CookieSetup, 'isUsed' | 'isSecure' | 'domain'>): void {
  const explanations = new Map<unknown, (request: FastifyRequest) => string | null>(Object.entries({
    FST_AUTH_CROSS_SITE: crossSite,
    FST_AUTH_USER_REFUSED: () => REFUSED_USER,
    FST_AUTH_REFRESH_TOKEN_MISSING ({ headers, protocol, hostname }: FastifyRequest) {
      if (cookie.isUsed && !coversHost(cookie.domain, hostname)) return OUTSIDE_DOMAIN
      if (cookie.isUsed && headers['sec-fetch-site'] === 'cross-site') return CROSS_SITE
      // Browsers send Sec-Fetch-Site only where they keep a Secure cookie: over https, and to localhost.
      return cookie.isUsed && cookie.isSecure && protocol === 'http' && headers['sec-fetch-site'] === undefined ? DROPPED : null
    }
  } satisfies Partial<Record<AuthErrorCode, unknown>>))
  scope.addHook<unknown>('onSend', (request, reply, payload, done) => {
    const body = reply.statusCode === 401 || reply.statusCode === 403 ? parseBody(payload) : {}
    const message = 'message' in body ? explanations.get(body.code)?.(request) ?? null : null
    done(null, message === null ? payload : JSON.stringify({ ...body, message }))
  })
}

/** Null without Origin, or where a host is not spelled as browsers spell it. */
function crossSite ({ headers: { origin }, host }: FastifyRequest): string | null {
  if (origin === 'null') return 'This request comes from a page without an origin, such as a form of a page with Referrer-Policy: no-referrer, or a sandboxed frame: send Referrer-Policy: same-origin (@fastify/helmet: referrerPolicy: { policy: \'same-origin\' })'
  const named = nameHosts(origin, host)
  if (named === null) return null
  if (isOwnOrigin(named.origin, named.host)) return `This request comes from a page of ${named.origin}, of the same host but another scheme, which anybody on the network can forge: serve all pages over https`
  return `This request comes from a page of ${named.origin}, but its Host is ${named.host}. ` +
    'Behind a proxy, forward the Host header of the page (Vite: { target, changeOrigin: false } instead of a string); if the page has another origin, add it to trustedOrigins'
}

/** An empty object for anything but JSON: the host's own error handler may send any body. */
function parseBody (payload: unknown): { readonly code?: unknown } {
  try {
    return Object(JSON.parse(String(payload)))
  } catch {
    return {}
  }
}
