import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type IssuedRefreshToken } from '../sessions/issue.js'
import { withoutWhitespace } from './headers.js'

/** Where a cookie is valid: with its name, what makes two cookies of a browser different ones. */
export interface CookiePlace {
  readonly name: string
  readonly path: string
  readonly domain: string | undefined
  readonly partitioned: boolean
}

/** Where the refresh cookie is valid and how it travels. */
export interface CookieSettings extends CookiePlace {
  readonly sameSite: 'strict' | 'lax' | 'none'
  readonly secure: boolean
  /** Where it was before its settings changed. */
  readonly former: readonly CookiePlace[]
}

/** Writes a Set-Cookie value: `serializeCookie` of @fastify/cookie. */
export type SerializeCookie = (name: string, value: string, attributes: object) => string

/** The refresh cookie: the only place where its attributes are known. */
export interface RefreshCookie {
  readonly name: string
  /** Every different value that the request carries under our name, in its order. */
  read (request: FastifyRequest): string[]
  /** Sets it, and clears the former ones. */
  set (reply: FastifyReply, token: IssuedRefreshToken): void
  /** Tells the browser to forget it: with the same attributes, else it would not. Former ones too. */
  clear (reply: FastifyReply): void
}

/** Builds the refresh cookie. It is httpOnly whatever else is set. */
export function createRefreshCookie (settings: CookieSettings, serialize: SerializeCookie): RefreshCookie {
  const { name, former, ...where } = settings
  const attributes = { ...where, httpOnly: true }
  const clearing = { maxAge: 0, expires: new Date(0) }
  // Browsers take neither a prefix nor a partition without `Secure`.
  const formerCleared = former.map(({ name, ...place }) =>
    serialize(name, '', { ...attributes, ...place, secure: attributes.secure || place.partitioned || name.startsWith('__'), ...clearing }))

  return {
    name,

    read: ({ headers }) => headers.cookie === undefined ? [] : cookieValues(headers.cookie, name),

    set (reply, { value, maxAge, expiresAt }) {
      // Expires too: without it Java's cookie jar takes the cookie for one of RFC 2965, and quotes its value.
      const lasts = maxAge === null ? {} : { maxAge, expires: new Date(expiresAt * 1000) }
      write(reply, serialize(name, value, { ...attributes, ...lasts }))
    },

    clear (reply) {
      write(reply, serialize(name, '', { ...attributes, ...clearing }))
    }
  }

  /**
   * The last one written in a reply counts, and only it is sent; cookies of others stay. The former ones are cleared
   * before it: to some cookie jars one with a domain and one without are the same (RFC 6265 section 5.3).
   */
  function write (reply: FastifyReply, cookie: string): void {
    const ours = (line: string): boolean => line.startsWith(`${name}=`) || formerCleared.includes(line)
    const others = [reply.getHeader('set-cookie') ?? []].flat().filter(line => !ours(String(line)))
    reply.removeHeader('set-cookie')
    reply.header('set-cookie', [...others, ...formerCleared, cookie])
  }
}

/**
 * Throws a TypeError where browsers send the cookie to a refresh and not to a logout, which then ends nothing. `base` is
 * what our routes are below. A path that covers neither is right behind a proxy that changes paths: a sentence warns of it.
 */
export function checkCookiePath (path: string, base: string, { refresh, logout }: Readonly<Record<'refresh' | 'logout', string | false>>): string | null {
  const isSentTo = (route: string): boolean => `${base}${route}/`.startsWith(path.replace(/\/?$/, '/'))
  if (refresh === false) return null
  if (!isSentTo(refresh)) return `option "cookie.path" is '${path}', which browsers would not send to '${base}${refresh}': right only behind a proxy that changes paths`
  if (logout === false || isSentTo(logout)) return null
  throw new TypeError(`option "cookie.path" is '${path}', which browsers would not send to '${base}${logout}', so that a logout ends nothing: set it to '${base}', or leave it out`)
}

/**
 * All different values under a name, read from the raw header: a parser that keeps the first of two would let a sibling
 * sub-domain, whose cookie can come first, choose the session (cookie tossing).
 */
function cookieValues (header: string, name: string): string[] {
  const values: string[] = []
  for (const pair of header.split(';')) {
    const text = withoutWhitespace(pair)
    if (!text.startsWith(`${name}=`)) continue
    const value = unquoted(withoutWhitespace(text.slice(name.length + 1)))
    if (value !== '' && !values.includes(value)) values.push(value)
  }
  return values
}

/** A value may be in double quotes, which are no part of it (RFC 6265 section 4.1.1): Java's cookie jar sends it so. */
function unquoted (value: string): string {
  return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
}

/** Whether a cookie is valid on all of one host and nowhere else, as the prefix `__Host-` demands (RFC 6265bis section 4.1.3.2). */
export function isHostOnly ({ path, domain }: Pick<CookiePlace, 'path' | 'domain'>): boolean {
  return path === '/' && domain === undefined
}

/** Whether both are one cookie to a browser, so that to clear one is to clear the other. */
export function isSamePlace (one: CookiePlace, other: CookiePlace): boolean {
  return one.name === other.name && one.path === other.path && one.domain === other.domain && one.partitioned === other.partitioned
}
