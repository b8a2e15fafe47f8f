import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type IssuedRefreshToken } from '../core/issue.js'
import { withoutWhitespace } from './header-text.js'

/** Where the refresh cookie is valid and how it travels. */
export interface CookieSettings {
  readonly name: string
  readonly path: string
  readonly domain: string | undefined
  readonly sameSite: 'strict' | 'lax' | 'none'
  readonly secure: boolean
  readonly partitioned: boolean
}

/** Writes a Set-Cookie value: `serializeCookie` of @fastify/cookie. */
export type SerializeCookie = (name: string, value: string, attributes: object) => string

/** The refresh cookie: the only place where its attributes are known. */
export interface RefreshCookie {
  readonly name: string
  /** Every different value that the request carries under our name, in its order. */
  read (request: FastifyRequest): string[]
  set (reply: FastifyReply, token: IssuedRefreshToken): void
  /** Tells the browser to forget it: with the same attributes, else it would not. */
  clear (reply: FastifyReply): void
}

/** Builds the refresh cookie. It is httpOnly whatever else is set. */
export function createRefreshCookie (settings: CookieSettings, serialize: SerializeCookie): RefreshCookie {
  const { name, ...where } = settings
  const attributes = { ...where, httpOnly: true }

  return {
    name,

    read: ({ headers }) => headers.cookie === undefined ? [] : cookieValues(headers.cookie, name),

    set (reply, { value, maxAge }) {
      write(reply, name, serialize(name, value, maxAge === null ? attributes : { ...attributes, maxAge }))
    },

    clear (reply) {
      write(reply, name, serialize(name, '', { ...attributes, maxAge: 0 }))
    }
  }
}

/**
 * Throws a TypeError where browsers send the cookie to a refresh and not to a logout, which then ends nothing. `base` is
 * what our routes are below. A path that covers neither may be right: that of a proxy which changes paths.
 */
export function demandCookieAtLogout (path: string, base: string, { refresh, logout }: Readonly<Record<'refresh' | 'logout', string | false>>): void {
  const isSentTo = (route: string | false): boolean => route !== false && `${base}${route}/`.startsWith(path.replace(/\/?$/, '/'))
  if (logout === false || !isSentTo(refresh) || isSentTo(logout)) return
  throw new TypeError(`option "cookie.path" is '${path}', where no logout would be told which session to end: set it to '${base}', or leave it out`)
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
    const value = withoutWhitespace(text.slice(name.length + 1))
    if (value !== '' && !values.includes(value)) values.push(value)
  }
  return values
}

/** The last one written in a reply counts, and only it is sent; cookies of others stay. */
function write (reply: FastifyReply, name: string, cookie: string): void {
  const others = [reply.getHeader('set-cookie') ?? []].flat().filter(other => !String(other).startsWith(`${name}=`))
  reply.removeHeader('set-cookie')
  reply.header('set-cookie', [...others, cookie])
}
