import { isTrustworthy, matchesDomain, matchesPath, siteOf } from '../browser-rules.js'

/** A cookie that a jar holds. */
export interface StoredCookie {
  readonly name: string
  readonly value: string
  /** The host that set it, or the domain of its `Domain`. */
  readonly domain: string
  /** True without `Domain`: it is sent to that host only. */
  readonly hostOnly: boolean
  readonly path: string
  /** In seconds since 1970; Infinity for a cookie of the browser's session. */
  readonly expiresAt: number
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: 'strict' | 'lax' | 'none'
  /** The site of the tab, for a cookie with `Partitioned` (CHIPS). */
  readonly partition: string | null
}

/** The page that sends a request. */
export interface Initiator {
  /** The origin of the page. */
  readonly origin: string
  /** The site of the tab, which differs from that of the page inside a frame. */
  readonly tab: string
  /** The request loads a page into the whole tab: a link, a redirect, a form. Its reply may set any cookie, whatever `SameSite` says. */
  readonly navigates: boolean
  /** It does so with a safe method, and so sends the cookies with `SameSite=Lax`. */
  readonly opensPage: boolean
}

const MAX_SIZE = 4096
const MAX_ATTRIBUTE_SIZE = 1024
const MAX_AGE = 400 * 86_400

/**
 * The cookie jar of a browser by RFC 6265bis: name prefixes, Secure, SameSite, Partitioned, Domain, Path, Max-Age. Two hosts are
 * of one site if their last two labels are equal; the Public Suffix List is not used.
 */
export class CookieJar {
  readonly #now: () => number
  #cookies: readonly StoredCookie[]

  /** `now` returns seconds since 1970. */
  constructor (now: () => number, cookies: readonly StoredCookie[] = []) {
    this.#now = now
    this.#cookies = cookies
  }

  /** The cookies that have not expired; those with longer paths first, then older ones first. */
  get cookies (): readonly StoredCookie[] {
    return this.#cookies.filter(({ expiresAt }) => this.#now() < expiresAt).sort((a, b) => b.path.length - a.path.length)
  }

  /** Stores the Set-Cookie lines of a response. */
  store (lines: readonly string[], url: URL, initiator: Initiator): void {
    for (const line of lines) {
      const cookie = readCookie(line, url, initiator, this.#now())
      if (cookie === null || this.#isProtected(cookie, url)) continue
      const live = this.cookies
      const at = live.findIndex(stored => isSame(stored, cookie))
      this.#cookies = at === -1 ? [...live, cookie] : live.with(at, cookie) // it keeps its creation time
    }
  }

  /** The Cookie header of a request; undefined if no cookie is sent. */
  header (url: URL, initiator: Initiator): string | undefined {
    const sent = this.cookies.filter(cookie => isSent(cookie, url, initiator))
    return sent.length === 0 ? undefined : sent.map(({ name, value }) => name === '' ? value : `${name}=${value}`).join('; ')
  }

  copy (): CookieJar {
    return new CookieJar(this.#now, this.#cookies)
  }

  /** Plain http does not replace a cookie that is Secure (RFC 6265bis section 5.7, step 15). */
  #isProtected (cookie: StoredCookie, url: URL): boolean {
    return !cookie.secure && !isTrustworthy(url) && this.cookies.some(stored =>
      stored.secure && stored.name === cookie.name && matchesPath(cookie.path, stored.path) &&
      (matchesDomain(cookie.domain, stored.domain) || matchesDomain(stored.domain, cookie.domain)))
  }
}

/** RFC 6265bis sections 5.6 and 5.7; null for a line that browsers ignore. */
function readCookie (line: string, url: URL, initiator: Initiator, now: number): StoredCookie | null {
  if ([...line].some(isControl)) return null
  const [pair = '', ...rest] = line.split(';')
  const [name, value] = pair.includes('=') ? splitPair(pair) : ['', pair.trim()]
  if (name + value === '' || name.length + value.length > MAX_SIZE) return null
  const attributes = new Map(rest.map(splitPair).filter(([, text]) => text.length <= MAX_ATTRIBUTE_SIZE).map(([key, text]) => [key.toLowerCase(), text]))
  const given = (attributes.get('domain') ?? '').replace(/^\./, '').toLowerCase()
  const path = attributes.get('path') ?? ''
  const secure = attributes.has('secure')
  const cookie: StoredCookie = {
    name,
    value,
    domain: given === '' ? url.hostname : given,
    hostOnly: given === '',
    path: path.startsWith('/') ? path : url.pathname.replace(/\/[^/]*$/, '') || '/',
    expiresAt: expiryOf(attributes, now),
    secure,
    httpOnly: attributes.has('httponly'),
    sameSite: sameSiteOf(attributes.get('samesite')),
    partition: attributes.has('partitioned') ? initiator.tab : null
  }
  return isAcceptable(cookie, attributes, url, initiator) ? cookie : null
}

function isAcceptable (cookie: StoredCookie, attributes: ReadonlyMap<string, string>, url: URL, initiator: Initiator): boolean {
  if (!matchesDomain(url.hostname, cookie.domain) || (!cookie.hostOnly && !cookie.domain.includes('.'))) return false
  if (cookie.secure ? !isTrustworthy(url) : cookie.sameSite === 'none') return false
  if (cookie.partition !== null && !cookie.secure) return false
  if (cookie.sameSite !== 'none' && !initiator.navigates && !isSameSite(initiator, url)) return false // RFC 6265bis section 5.7
  return hasItsPrefix(cookie, attributes)
}

function isControl (character: string): boolean {
  return (character < ' ' && character !== '\t') || character === '\x7f'
}

/** The name prefixes (RFC 6265bis section 4.1.3). A cookie without a name must not look like one with a prefix. */
function hasItsPrefix ({ name, value, secure, httpOnly, hostOnly }: StoredCookie, attributes: ReadonlyMap<string, string>): boolean {
  const [, prefix] = /^__(secure|host-http|host|http)-/.exec((name === '' ? value : name).toLowerCase()) ?? []
  if (prefix === undefined) return true
  if (name === '' || !secure) return false
  if (prefix.startsWith('host') && !(hostOnly && attributes.get('path') === '/')) return false
  return httpOnly || !prefix.endsWith('http')
}

/** Max-Age precedes Expires. */
function expiryOf (attributes: ReadonlyMap<string, string>, now: number): number {
  const maxAge = attributes.get('max-age') ?? ''
  if (/^-?\d+$/.test(maxAge)) return now + Math.min(Number(maxAge), MAX_AGE)
  const expires = Date.parse(attributes.get('expires') ?? '') / 1000
  return Number.isNaN(expires) ? Infinity : Math.min(expires, now + MAX_AGE)
}

function sameSiteOf (text: string | undefined): StoredCookie['sameSite'] {
  const value = text?.toLowerCase()
  return value === 'strict' || value === 'none' ? value : 'lax'
}

function isSent (cookie: StoredCookie, url: URL, initiator: Initiator): boolean {
  if (cookie.hostOnly ? cookie.domain !== url.hostname : !matchesDomain(url.hostname, cookie.domain)) return false
  if (!matchesPath(url.pathname, cookie.path) || (cookie.secure && !isTrustworthy(url))) return false
  if (cookie.partition !== null && cookie.partition !== initiator.tab) return false
  return cookie.sameSite === 'none' || isSameSite(initiator, url) || (cookie.sameSite === 'lax' && initiator.opensPage)
}

function isSame (one: StoredCookie, other: StoredCookie): boolean {
  return one.name === other.name && one.domain === other.domain && one.hostOnly === other.hostOnly && one.path === other.path && one.partition === other.partition
}

/** The page, and the tab around it, are of the site of the URL. */
function isSameSite ({ origin, tab }: Initiator, url: URL): boolean {
  return siteOf(new URL(origin)) === siteOf(url) && tab === siteOf(url)
}

function splitPair (text: string): [name: string, value: string] {
  const [name = '', ...value] = text.split('=')
  return [name.trim(), value.join('=').trim()]
}
