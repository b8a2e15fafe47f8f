import { type FastifyRequest } from 'fastify'
import { isOrigin } from '../browser-rules.js'
import { AuthError } from '../errors.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * True: this route of the app may be called from pages of any site, although it logs in, refreshes or logs out. Only for a
     * route that proves by other means that the user started the request, such as the `state` of OAuth 2.0 (RFC 6749
     * section 10.12): otherwise another site can log its visitors in to the account of an attacker (login CSRF).
     */
    crossSite?: boolean | undefined
  }
}

/** The request headers that show the origin of a request. */
export interface RequestSource {
  /** `Sec-Fetch-Site` (Fetch Metadata). */
  readonly site: string | undefined
  /** `Origin` (RFC 6454). */
  readonly origin: string | undefined
  /** The host and port of the request. */
  readonly host: string | undefined
  /** True if the request came over https; false also where TLS ends at a proxy that `trustProxy` does not cover. */
  readonly isHttps: boolean
}

/** The CSRF policy. */
export interface OriginPolicy {
  /** Origins besides the app's own, as browsers serialise them: scheme, host and port (RFC 6454 section 6.2). */
  readonly trustedOrigins: ReadonlySet<string>
  /** The cookie is SameSite=None, so a request with neither header is refused. */
  readonly crossSiteCookie: boolean
}

/**
 * Accepts a state-changing request from the app's own pages, from a trusted origin, or from a client other than a browser.
 *
 * - `Sec-Fetch-Site: same-origin` is accepted.
 * - `same-site` and `cross-site` are accepted from trusted origins only, also if Origin has the host of the request: then the page
 *   is one over http, which an attacker on the network can forge. Chromium calls it cross-site, Firefox same-site.
 * - Otherwise Origin must be trusted, or have the host and port of the request; `null` is refused. The scheme must be https where
 *   the request's is known to be; TLS may end at a proxy.
 * - A request with neither header does not come from a browser, since browsers send Origin with every POST, so it is
 *   accepted unless the cookie is SameSite=None.
 */
export function isTrustedSource ({ site, origin, host, isHttps }: RequestSource, policy: OriginPolicy): boolean {
  if (site === 'same-origin') return true
  if (origin === undefined) return site === undefined && !policy.crossSiteCookie
  if (policy.trustedOrigins.has(origin)) return true
  if (site === 'same-site' || site === 'cross-site' || (isHttps && !origin.startsWith('https:'))) return false
  return isOwnOrigin(origin, host)
}

/** The request headers that show the origin and the purpose of a request. */
interface PageSource extends RequestSource {
  /** `Sec-Fetch-Mode`. */
  readonly mode: string | undefined
  /** `Sec-Fetch-Dest`. */
  readonly dest: string | undefined
}

/**
 * Accepts a GET or HEAD request that the refresh cookie authenticates: a page, an image, a download, a WebSocket upgrade.
 *
 * - A navigation of a whole tab is accepted from anywhere, as a link on another site must be able to show the page. (Browsers
 *   send no SameSite=Strict cookie with it.) No page of the other site can read the response.
 * - A request that the user made without any page, such as a typed address, is accepted.
 * - Any other request follows the CSRF policy: images, scripts, fetch, EventSource and frames only from own and trusted origins.
 *   A frame of another site would allow clickjacking; an image or a script reveals by its load event who is logged in (XS-Leaks).
 *   WebSocket upgrades are not subject to the same-origin policy, so that a foreign page could read the messages (cross-site
 *   WebSocket hijacking).
 *
 * A client other than a browser sends none of these headers and is accepted, unless the cookie is SameSite=None.
 */
export function mayReadByCookie (source: PageSource, policy: OriginPolicy): boolean {
  if (source.mode === 'navigate' && source.dest === 'document') return true
  return isUserInitiated(source) || isTrustedSource(source, policy)
}

/**
 * A host and port as browsers send them. A URL parser accepts more: it maps "ª" to "a", drops soft hyphens (UTS 46), and
 * allows a path, a query or user info.
 */
const HOST = /^(?:[a-z0-9._-]+|\[[a-f0-9:.]+\])(?::\d{1,5})?$/i

/** Both texts if they are spelled as browsers spell them, else null: a reply must not repeat arbitrary user input. */
export function nameHosts (origin: string | undefined, host: string | undefined): { readonly origin: string, readonly host: string } | null {
  if (origin === undefined || host === undefined || !isOrigin(origin)) return null
  const url = `http://${host}`
  return URL.canParse(url) && new URL(url).host === host ? { origin, host } : null
}

export function isOwnOrigin (origin: string, host: string | undefined): boolean {
  if (host === undefined || !HOST.test(host) || !isOrigin(origin)) return false
  const own = `${new URL(origin).protocol}//${host}`
  // Parsing ignores case and the default port: "Example.com:443" equals "example.com" for https.
  return URL.canParse(own) && new URL(own).origin === origin
}

/** A navigation that no page started: the address bar, a bookmark, a mail program. */
export function isUserInitiated ({ site, origin }: RequestSource): boolean {
  return site === 'none' && origin === undefined
}

const SAFE = new Set(['GET', 'HEAD'])

/** True for the safe methods that Fastify routes by itself (RFC 9110 section 9.2.1). The same-origin policy keeps other sites from reading the response. */
export function isSafe (method: string): boolean {
  return SAFE.has(method)
}

/** Only clients other than browsers, such as tests, omit Origin. */
const ORIGIN_MISSING = 'This request has no Origin header, which is required where the cookie is SameSite=None'

const OPENED_BY_OTHER_SITE = 'Another site has opened this URL. If it may, as an OAuth provider does after a login, set on the route config: { crossSite: true }'

/** `isOwn` is true for the plugin's own routes, which no config exempts. */
export function crossSiteRefusal (source: PageSource, isOwn = true): AuthError {
  const { site, origin, mode } = source
  if (site === undefined && origin === undefined) return new AuthError('FST_AUTH_CROSS_SITE', { message: ORIGIN_MISSING })
  return new AuthError('FST_AUTH_CROSS_SITE', { reason: reasonOf(source), ...(mode === 'navigate' && !isOwn && { message: OPENED_BY_OTHER_SITE }) })
}

/** For the log. It names no host: those of a request are user input. */
function reasonOf ({ origin, host }: RequestSource): string {
  if (origin === undefined) return 'its Sec-Fetch-Site is that of another site, and it has no Origin'
  if (origin === 'null') return 'its Origin is null, as that of a sandboxed frame, or of a page with Referrer-Policy: no-referrer'
  if (isOwnOrigin(origin, host)) return 'its Origin has the host of the request, but over http, or its Sec-Fetch-Site is that of another site'
  return 'its Origin is not in trustedOrigins, and has another host than its Host header: the page is of another site, or a proxy does not forward the Host'
}

/** Throws FST_AUTH_CROSS_SITE if the refresh cookie must not authenticate the request: a page request by `mayReadByCookie`, any other by the CSRF policy. */
export function assertMayUseCookie (request: FastifyRequest, policy: OriginPolicy): void {
  const source = sourceOf(request)
  const accepts = isSafe(request.method) ? mayReadByCookie : isTrustedSource
  if (!accepts(source, policy)) throw crossSiteRefusal(source)
}

export function sourceOf ({ headers, host, protocol }: FastifyRequest): PageSource {
  const { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest, origin } = headers
  return { site, mode, dest, origin, host, isHttps: /^(?:https|wss)$/i.test(protocol) }
}
