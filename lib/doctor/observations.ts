import { type SiteRelation } from '../browser-rules.js'
import { type Reply, type Send } from './connection.js'

/** The deployment under examination. */
export interface Target {
  /** The public URL of the plugin's routes, without a slash at its end. */
  readonly base: string
  /** The public path of the routes. */
  readonly path: string
  /** The origin of the pages that use it. */
  readonly page: string
  /** The relation of the pages to the routes. */
  readonly site: SiteRelation
}

/** A test account. */
export interface Account {
  readonly username: string
  readonly password: string
  /** The name of the username in a login, `usernameField` of the options. */
  readonly field: string
}

/** The headers that a browser sends with a POST of the page. */
export function browserHeaders ({ page, site }: Target): Readonly<Record<string, string>> {
  return { origin: page, 'sec-fetch-site': site }
}

/** Replies to requests that need no account. None of them can create, change or lock anything. */
export interface Observations {
  readonly target: Target
  /** A first visit of a browser, without a cookie. */
  readonly visit: Reply
  /** A first visit of a browser without Fetch Metadata: only Origin shows the page. */
  readonly byOrigin: Reply
  /** Requests of pages that are not trusted. */
  readonly foreignOrigin: Reply
  readonly nullOrigin: Reply
  readonly crossSite: Reply
  /** A refresh without a cookie, of a browser without Fetch Metadata. */
  readonly missing: Reply
  /** A logout without a cookie. */
  readonly logout: Reply
  /** An empty refresh token in the body, which only native apps may send. */
  readonly logoutByBody: Reply
  readonly preflight: Reply
  readonly foreignPreflight: Reply
  readonly jwks: Reply
}

/** No browser has a page there (RFC 2606 section 2). */
export const FOREIGN = 'https://another-site.invalid'

export async function probe (send: Send, target: Target): Promise<Observations> {
  const browser = browserHeaders(target)
  const visit = async (headers: Readonly<Record<string, string>>): Promise<Reply> => await send({ method: 'POST', path: '/refresh?optional=true', headers })
  const preflight = async (origin: string): Promise<Reply> => await send({
    method: 'OPTIONS',
    path: '/refresh',
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
  })
  return {
    target,
    visit: await visit(browser),
    byOrigin: await visit({ origin: target.page }),
    foreignOrigin: await visit({ origin: FOREIGN }),
    nullOrigin: await visit({ origin: 'null' }),
    crossSite: await visit({ 'sec-fetch-site': 'cross-site' }),
    missing: await send({ method: 'POST', path: '/refresh', headers: { origin: target.page } }),
    logout: await send({ method: 'POST', path: '/logout', headers: browser }),
    logoutByBody: await send({ method: 'POST', path: '/logout', headers: browser, json: { refresh_token: '' } }),
    preflight: await preflight(target.page),
    foreignPreflight: await preflight(FOREIGN),
    jwks: await send({ method: 'GET', path: '/jwks' })
  }
}

/** One Set-Cookie line, as received. */
export interface ReceivedCookie {
  readonly name: string
  readonly value: string
  /** Values of attributes by their name in lower case; '' for a flag. */
  readonly attributes: ReadonlyMap<string, string>
}

/** The line that clears the refresh cookie: the last HttpOnly one without a value, since former cookies are cleared first; other cookies of an app often lack HttpOnly. */
export function clearedCookie (reply: Reply): ReceivedCookie | undefined {
  const cleared = cookiesOf(reply).filter(({ value }) => value === '')
  return cleared.findLast(({ attributes }) => attributes.has('httponly')) ?? cleared.at(-1)
}

/** The line that sets the refresh cookie. Without its name, the last one whose value is a JWT: load balancers set cookies too. */
export function refreshCookie (reply: Reply, known: string | undefined): ReceivedCookie | undefined {
  return cookiesOf(reply).findLast(({ name, value }) => value.startsWith('eyJ') && name === (known ?? name))
}

/** Name and attributes without the value. */
export function describeCookie ({ name, attributes }: ReceivedCookie): string {
  const shown = [...attributes].filter(([attribute]) => attribute !== 'max-age' && attribute !== 'expires')
  return [name, ...shown.map(([attribute, value]) => value === '' ? attribute : `${attribute}=${value}`)].join('; ')
}

/** A browser replaces a cookie only by one of the same place (RFC 6265 section 5.3). */
export function isSamePlace (one: ReceivedCookie, other: ReceivedCookie): boolean {
  return one.name === other.name && ['path', 'domain', 'partitioned'].every(attribute => one.attributes.get(attribute) === other.attributes.get(attribute))
}

function cookiesOf ({ headers }: Reply): ReceivedCookie[] {
  return (headers['set-cookie'] ?? []).map(line => {
    const [[name, value], ...attributes] = line.split(';').map(splitPair) as [Pair, ...Pair[]] // split returns one part at least
    return { name, value, attributes: new Map(attributes.map(([attribute, value]) => [attribute.toLowerCase(), value])) }
  })
}

type Pair = readonly [name: string, value: string]

function splitPair (text: string): Pair {
  const equals = text.indexOf('=')
  return equals < 0 ? [text.trim(), ''] : [text.slice(0, equals).trim(), text.slice(equals + 1).trim()]
}
