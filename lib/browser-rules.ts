/** An origin exactly as a browser sends it: no path, no wildcard, no default port, lower case. */
export function isOrigin (text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text && !text.includes('*')
}

/** The relation of a page to the server of its request, as in `Sec-Fetch-Site`. */
export type SiteRelation = 'same-origin' | 'same-site' | 'cross-site'

export function relationOf (page: string, own: string): SiteRelation {
  if (page === own) return 'same-origin'
  return siteOf(new URL(page)) === siteOf(new URL(own)) ? 'same-site' : 'cross-site'
}

/** The scheme and the registrable domain, taken to be the last two labels: the Public Suffix List is not used. An IP address has no such domain. */
export function siteOf ({ protocol, hostname }: URL): string {
  const isAddress = /^[\d.]+$|^\[/.test(hostname)
  return `${protocol}//${isAddress ? hostname : hostname.split('.').slice(-2).join('.')}`
}

/** The identity of a cookie in a browser (RFC 6265 section 5.3, and CHIPS for `partitioned`). */
export interface CookieIdentity {
  readonly name: string
  readonly path: string
  readonly domain: string | undefined
  readonly partitioned: boolean
}

/** The requirements of the name prefix `__Host-` (RFC 6265bis section 4.1.3.2), apart from `Secure`. */
export function isHostOnly ({ path, domain }: Pick<CookieIdentity, 'path' | 'domain'>): boolean {
  return path === '/' && domain === undefined
}

/** A browser treats both as one cookie, so clearing one clears the other. */
export function isSameCookie (one: CookieIdentity, other: CookieIdentity): boolean {
  return one.name === other.name && one.path === other.path && one.domain === other.domain && one.partitioned === other.partitioned
}

/** RFC 6265 section 5.1.3. Both are in lower case. */
export function matchesDomain (host: string, domain: string): boolean {
  return `.${host}`.endsWith(`.${domain}`)
}

/** RFC 6265 section 5.1.4. */
export function matchesPath (requested: string, path: string): boolean {
  return requested === path || requested.startsWith(path.replace(/\/?$/, '/'))
}

/** True if a browser accepts a cookie with this `Domain` from the host (RFC 6265 section 5.3). */
export function coversHost (domain: string | undefined, host: string): boolean {
  return domain === undefined || matchesDomain(host.toLowerCase(), domain.replace(/^\./, '').toLowerCase())
}

/** The machine's own names and addresses, which browsers treat as secure. */
const LOOPBACK = /(?:localhost|[\w.-]+\.localhost|127\.[\d.]+|\[::1\])/.source
const LOOPBACK_HOST = new RegExp(`^${LOOPBACK}$`)

/** True for the URLs to which browsers send a cookie with `Secure`. */
export function isTrustworthy ({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || LOOPBACK_HOST.test(hostname)
}

/** Matches the origins of which browsers keep no cookie with `Secure`. */
export const INSECURE_ORIGIN = new RegExp(`^http://(?!${LOOPBACK}(?::\\d+)?$)`)
