import { type FastifyRequest, type onRequestHookHandler } from 'fastify'
import { AuthError } from '../errors.js'
import { type Authentication } from './authentication.js'

/** The request headers that tell where a request comes from. */
export interface RequestSource {
  /** `Sec-Fetch-Site` (Fetch Metadata). */
  readonly site: string | undefined
  /** `Origin` (RFC 6454). */
  readonly origin: string | undefined
  /** The host (and port) that the request was sent to. */
  readonly host: string | undefined
}

/** Whose requests may change something. */
export interface OriginPolicy {
  /** Other origins than the app's own, as browsers spell them: scheme, host and port, nothing else. */
  readonly trustedOrigins: ReadonlySet<string>
  /** Whether the cookie travels with cross-site requests (SameSite=None): then a request must say where it comes from. */
  readonly crossSiteCookie: boolean
}

/**
 * Whether a request that changes something comes from the app's own pages, a trusted origin, or no browser at all.
 *
 * `Sec-Fetch-Site: same-origin` is proof. Everything else is judged by Origin: its host and port must be the
 * request's, or it must be trusted; `null` never is. The scheme is not compared, since TLS may end at a proxy. So where
 * the browser says `cross-site` the host does not count: http and https of one host are two sites, and whoever is on the
 * network can write an http page. A request with neither header is no browser's (every browser sends Origin with a POST),
 * so no cookie was sent along against its owner's will.
 */
export function isTrustedSource (source: RequestSource, policy: OriginPolicy): boolean {
  if (source.site === 'same-origin') return true
  if (source.origin === undefined) return source.site === undefined && !policy.crossSiteCookie
  return policy.trustedOrigins.has(source.origin) || (source.site !== 'cross-site' && isOwnOrigin(source.origin, source.host))
}

/** Whether a text is an origin exactly as a browser sends it: no path, no wildcard, no default port, lower case. */
export function isOrigin (text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && text !== 'null' && !text.includes('*')
}

/**
 * A host and port as browsers send them. A URL parser would take more: "ª" for "a", soft hyphens (UTS 46), and a path, a query
 * or a user beside the host.
 */
const HOST = /^(?:[a-z0-9._-]+|\[[a-f0-9:.]+\])(?::\d{1,5})?$/i

/** The origin of a page and the host that it asked, if both are spelled as browsers spell them; null for any other text. */
export function nameHosts (origin: string | undefined, host: string | undefined): { readonly origin: string, readonly host: string } | null {
  if (origin === undefined || host === undefined || !isOrigin(origin)) return null
  const url = `http://${host}`
  return URL.canParse(url) && new URL(url).host === host ? { origin, host } : null
}

function isOwnOrigin (origin: string, host: string | undefined): boolean {
  if (host === undefined || !HOST.test(host) || !isOrigin(origin)) return false
  const own = `${new URL(origin).protocol}//${host}`
  // Parsed, so that "example.com:443" and "example.com" are one host for https, and case does not matter.
  return URL.canParse(own) && new URL(own).origin === origin
}

/** Methods that change nothing (RFC 9110 section 9.2.1); what they answer, no other site can read. */
const SAFE = new Set(['GET', 'HEAD'])

/** For whoever calls without a browser, a test say: browsers always send Origin with what changes something. */
const UNSAID = 'This request does not say where it comes from: where the cookie is SameSite=None it must send Origin'

/** A hook that refuses requests of other sites' pages, before any other work and with the cookie untouched. */
export function refuseCrossSite (policy: OriginPolicy, authOf: (request: FastifyRequest) => Authentication): onRequestHookHandler {
  return (request, _reply, done) => {
    const { 'sec-fetch-site': site, origin } = request.headers
    if (SAFE.has(request.method) || isTrustedSource({ site, origin, host: request.host }, policy)) return done()
    authOf(request).emit({ type: 'cross_site_refused' })
    done(new AuthError('FST_AUTH_CROSS_SITE', site === undefined && origin === undefined ? { message: UNSAID } : {}))
  }
}
