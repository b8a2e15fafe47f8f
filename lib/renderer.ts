/**
 * For servers that render pages in another process than the API (Next.js, Nuxt, SvelteKit, Remix). It runs in any runtime with
 * `fetch`, has no dependencies, and needs `routes: { session: '/session' }` in the options of the plugin.
 */

/** The headers of a page request: `Headers`, the `headers` of a Node.js request, or its Cookie header alone. */
export type PageHeaders =
  | { get (name: string): string | null | undefined }
  | { readonly [name: string]: string | readonly string[] | undefined }
  | string | null | undefined

/** The user of a page request: the response of `GET /session`. */
export interface PageSession {
  /** The user id. */
  readonly sub: string
  /** The id of the session. */
  readonly sid: string
  /** The time of the last login or reauthentication, in seconds since the epoch. */
  readonly auth_time: number
  /** The absolute end of the session, in seconds since the epoch. */
  readonly expiresAt: number
  /** The claims of the app (`accessToken.claims`). */
  readonly claims: Readonly<Record<string, unknown>>
}

export interface PageSessionOptions {
  /** The URL of the routes, such as 'http://127.0.0.1:3000/auth'. The refresh cookie is sent there: use a private network or https. */
  readonly url: string | URL
  /** The option `cookie.name`, if the app sets it. */
  readonly cookieName?: string | undefined
  /** Milliseconds until a request to the API fails; 5000 by default. */
  readonly timeout?: number | undefined
  /** Forwards the User-Agent. Only `sessions.bindUserAgent` needs it. */
  readonly forwardUserAgent?: boolean | undefined
}

/** The API gave no usable response. The user may be logged in: show an error page with status 503, no login page. */
export class PageSessionError extends Error {
  override readonly name = 'PageSessionError'
  /** The HTTP status of the API; undefined if it was unreachable or too slow. */
  readonly status: number | undefined

  constructor (message: string, status?: number, options?: { readonly cause: unknown }) {
    super(message, options)
    this.status = status
  }
}

/**
 * The user of a page request; null if nobody is logged in, or if another site sent the request in a way that pages must not
 * (see docs/renderers.md). It changes nothing, so parallel calls are safe.
 *
 * It sends the refresh cookie to the API and no other cookie, and no request at all without that cookie. Pass all headers rather than
 * the Cookie header alone, so that the API knows whether another site sent the request; with a SameSite=None cookie it needs them.
 * Rejects with a PageSessionError if the API is unreachable, too slow, or fails; with a TypeError for what are no headers.
 */
export async function getSession (from: PageHeaders, options: PageSessionOptions): Promise<PageSession | null> {
  const url = routeOf(options, 'session')
  const headers = read(from)
  const cookie = refreshCookies(headers('cookie'), options)
  if (cookie === '') return null
  const site = siteOf(headers)
  const response = await send(url, { method: 'GET', headers: forwarded(headers, cookie, options, { 'sec-fetch-site': site }) }, options)
  if (response.status === 200) return await readSession(response)
  const isRefusal = /"code"\s*:\s*"FST_AUTH_/.test(await textOf(response).catch(() => '')) // and not that of a proxy
  if (isRefusal && (response.status === 401 || (response.status === 403 && site !== undefined))) return null
  throw new PageSessionError(`GET /session returned ${response.status}${HINTS[response.status] ?? ''}`, response.status)
}

async function readSession (response: Response): Promise<PageSession> {
  try {
    const session: unknown = JSON.parse(await textOf(response))
    if (typeof session === 'object' && session !== null && 'sub' in session && typeof session.sub === 'string') return session as PageSession // the schema of the route
  } catch (cause) {
    throw new PageSessionError('The response of GET /session was cut off, or is not JSON: check the url', response.status, { cause })
  }
  throw new PageSessionError('The response of GET /session is not a session: check the url', response.status)
}

/** The longest body that is read, in characters; claims have 4 KiB. */
const MAX_BODY = 65_536

async function textOf ({ body }: Response): Promise<string> {
  const reader = body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    text += decoder.decode(part.value, { stream: true })
    if (text.length <= MAX_BODY) continue
    await reader?.cancel()
    throw new RangeError(`the body is longer than ${MAX_BODY} characters`)
  }
  return text
}

const HINTS: Readonly<Record<number, string>> = {
  403: ': with a SameSite=None cookie pass all headers of the page request',
  404: ': turn the route on with routes: { session: \'/session\' }, and check the url'
}

export interface RefreshOptions extends PageSessionOptions {
  /** Seconds after a refresh without another one; 60 by default. Without the pause each navigation would count against the rate limit of refreshes. */
  readonly refreshAfter?: number | undefined
}

/** A refreshed session. */
export interface RefreshedSession {
  /**
   * The Set-Cookie lines for the response. Send `cache-control: private, no-store` with them: a shared cache that stores the response
   * would give the cookie to every visitor.
   */
  readonly setCookie: readonly string[]
  /** The Cookie header of the page request with the new refresh cookie, for the renderer. */
  readonly cookie: string
}

/**
 * Refreshes the session of a navigation, in a middleware, before the page is rendered: pages alone do not extend a session. Call it
 * for every request and append `setCookie` to the response. Null if there is nothing to append: for requests other than navigations of a
 * tab, for those that another site started, for prefetches, without the cookie, within `refreshAfter`, and if the refresh is refused or fails, since the page can be rendered all the
 * same. It rejects with a TypeError for an invalid `url`, and for what are no headers, only.
 */
export async function refreshSession (from: PageHeaders, options: RefreshOptions): Promise<RefreshedSession | null> {
  const url = routeOf(options, 'refresh')
  if (typeof from === 'string') throw new TypeError('refreshSession takes the headers of a request: a Cookie header alone does not show whether it is a navigation')
  const headers = read(from)
  const cookies = headers('cookie')
  const cookie = refreshCookies(cookies, options)
  if (cookie === '' || !isOwnNavigation(headers) || headers('sec-purpose')?.includes('prefetch')) return null
  if (isRecent(cookie, options.refreshAfter)) return null
  try {
    const response = await send(url, { method: 'POST', headers: forwarded(headers, cookie, options, { origin: url.origin }) }, options)
    const setCookie = response.status === 200 ? response.headers.getSetCookie().filter(line => isRefreshCookie(line, options)) : []
    response.body?.cancel().catch(() => {}) // not awaited: the new cookie must not be lost to a slow body
    return setCookie.length === 0 ? null : { setCookie, cookie: withCookies(String(cookies), setCookie) }
  } catch {
    return null
  }
}

/** Reads the unverified `iat`, which only decides about a request to the API. False for several cookies, and for a time in the future. */
function isRecent (cookie: string, seconds = 60): boolean {
  try {
    const payload = cookie.slice(cookie.indexOf('=')).split('.')[1]?.replaceAll('-', '+').replaceAll('_', '/')
    const age = Date.now() / 1000 - JSON.parse(atob(String(payload))).iat
    return age >= 0 && age < seconds && !cookie.includes(';')
  } catch {
    return false
  }
}

type ReadHeader = (name: string) => string | undefined

function read (from: PageHeaders): ReadHeader {
  if (typeof from === 'string') return name => name === 'cookie' ? from : undefined
  const headers = from ?? {}
  if (isHeaders(headers)) return name => headers.get(name) ?? undefined // also those of Next.js, which have a property `headers`
  // Without types these would be headers without a cookie, and so a visitor who is not logged in.
  if (headers instanceof Promise || isRequest(headers)) throw new TypeError('getSession and refreshSession take the headers of a request: in Next.js write await headers()')
  return name => {
    const value = headers[name]
    return typeof value === 'string' ? value : value?.join('; ')
  }
}

function isHeaders (headers: object): headers is { get (name: string): string | null | undefined } {
  return 'get' in headers && typeof headers.get === 'function'
}

/** A request in place of its headers; a header may have any name, and its value is text or a list of texts. */
function isRequest ({ headers }: { readonly headers?: unknown }): boolean {
  return typeof headers === 'object' && !Array.isArray(headers)
}

/** The names that the plugin gives the cookie by default: see the options `cookie.secure`, `path` and `domain`. */
const DEFAULT_NAMES = ['__Host-Http-refresh', '__Secure-refresh', 'refresh']

/** The pairs of the refresh cookie. A browser may send several of one name; the API chooses. */
function refreshCookies (cookies: string | undefined, options: PageSessionOptions): string {
  return pairsOf(cookies).filter(pair => namesOf(options).includes(nameOf(pair))).join('; ')
}

/** A line that sets the refresh cookie, or clears that of a former default. Other cookies of the API are none of the page's. */
function isRefreshCookie (line: string, options: PageSessionOptions): boolean {
  const [pair = ''] = line.split(';', 1)
  const name = nameOf(pair)
  return namesOf(options).includes(name) || (pair === `${name}=` && DEFAULT_NAMES.includes(name))
}

function namesOf ({ cookieName }: PageSessionOptions): readonly string[] {
  return cookieName === undefined ? DEFAULT_NAMES : [cookieName]
}

/** Only spaces and tabs are whitespace (RFC 9110 section 5.6.3): `trim` would give a cookie whose name begins with U+00A0 the name of ours. */
function pairsOf (cookies = ''): string[] {
  return cookies.split(';').map(pair => pair.replace(/^[ \t]+/, '')).filter(pair => pair !== '')
}

function nameOf (pair: string): string {
  return pair.split('=', 1).join('')
}

/** Replaces the cookies that a response sets or clears. */
function withCookies (cookies: string, setCookie: readonly string[]): string {
  const set = setCookie.map(line => line.split(';', 1).join(''))
  const names = new Set(set.map(nameOf))
  const kept = pairsOf(cookies).filter(pair => !names.has(nameOf(pair)))
  return [...kept, ...set.filter(pair => pair !== `${nameOf(pair)}=`)].join('; ')
}

/** A navigation of a whole tab (Fetch Metadata); in browsers without these headers a request for HTML. */
function isNavigation (headers: ReadHeader): boolean {
  const mode = headers('sec-fetch-mode')
  if (mode === undefined) return headers('accept')?.includes('text/html') === true
  return mode === 'navigate' && headers('sec-fetch-dest') === 'document'
}

/** By opening a tab, another site could choose the time of a refresh, and so of the grace period in which a stolen copy still works. */
function isOwnNavigation (headers: ReadHeader): boolean {
  return isNavigation(headers) && ['same-origin', 'none', undefined].includes(headers('sec-fetch-site'))
}

/**
 * The `Sec-Fetch-Site` to send. Node's fetch overwrites `Sec-Fetch-Mode`, so a navigation, which may come from any site, is sent as
 * one without a page. Forms and WebSocket upgrades have an Origin; upgrades may have no `Sec-Fetch-Site`, and a sibling origin gets
 * SameSite=Strict cookies too. With `same-site` an Origin of the same host is that of a page over http, which anybody on the network
 * can forge.
 */
function siteOf (headers: ReadHeader): string | undefined {
  const site = headers('sec-fetch-site')
  const origin = headers('origin')
  if (site !== 'same-origin' && origin !== undefined && (site === 'same-site' || !isOwnOrigin(origin, headers))) return 'cross-site'
  return site !== undefined && isNavigation(headers) ? 'none' : site
}

/** A page cannot set `X-Forwarded-Host`. Several proxies append to it; the first value is that of the browser. */
function isOwnOrigin (origin: string, headers: ReadHeader): boolean {
  const [host = ''] = (headers('x-forwarded-host') ?? headers('host') ?? '').split(',')
  const own = `${origin.split('//', 1).join('')}//${host.trim()}`
  return URL.canParse(own) && new URL(own).origin === origin // parsing ignores case and the default port
}

function forwarded (headers: ReadHeader, cookie: string, { forwardUserAgent = false }: PageSessionOptions, more: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const sent = Object.entries({ cookie, 'user-agent': forwardUserAgent ? headers('user-agent') : undefined, ...more })
  return Object.fromEntries(sent.filter((header): header is [string, string] => header[1] !== undefined))
}

function routeOf (options: PageSessionOptions, route: 'session' | 'refresh'): URL {
  const url: unknown = Object(options).url // JavaScript may leave it out
  if (!URL.canParse(String(url))) throw new TypeError(`the option "url" of getSession and refreshSession is ${url === undefined ? 'undefined' : 'no URL'}: give that of the routes, such as 'http://127.0.0.1:3000/auth'`)
  return new URL(`${String(url).replace(/\/$/, '')}/${route}`)
}

// Next.js would cache the response of one user for all. The types of Node.js 20 lack the property.
const UNCACHED = { cache: 'no-store' } as const

/** It follows no redirect, which could send the cookie to another server. */
async function send (url: URL, init: { readonly method: string, readonly headers: Record<string, string> }, { timeout = 5000 }: PageSessionOptions): Promise<Response> {
  try {
    return await fetch(url, { ...init, ...UNCACHED, redirect: 'manual', signal: AbortSignal.timeout(timeout) })
  } catch (cause) {
    throw new PageSessionError('The API is unreachable or too slow', undefined, { cause })
  }
}
