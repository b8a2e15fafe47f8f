import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type CookieIdentity, matchesPath } from '../browser-rules.js'
import { type IssuedRefreshToken } from '../sessions/issue-tokens.js'
import { type Warning } from '../warnings.js'

export interface CookieSettings extends CookieIdentity {
  readonly sameSite: 'strict' | 'lax' | 'none'
  readonly secure: boolean
  /** The places of the cookie under earlier settings, which `set` clears. */
  readonly former: readonly CookieIdentity[]
}

/** Writes a Set-Cookie value: `serializeCookie` of @fastify/cookie. */
export type SerializeCookie = (name: string, value: string, attributes: object) => string

export interface RefreshCookie {
  readonly name: string
  /** All distinct values of the cookie, in the order of the request. */
  readonly read: (request: FastifyRequest) => string[]
  /** The Set-Cookie line of a token. */
  readonly setCookieLine: (token: IssuedRefreshToken) => string
  /** Sets the cookie and clears the former ones. Adds nothing to the token response. */
  readonly send: (reply: FastifyReply, token: IssuedRefreshToken) => Record<never, never>
  /** Clears the cookie and the former ones. A browser deletes a cookie only if path, domain and partition match. */
  readonly clear: (reply: FastifyReply) => void
}

/** The cookie is always HttpOnly. */
export function createRefreshCookie (settings: CookieSettings, serialize: SerializeCookie): RefreshCookie {
  const { name, former, ...where } = settings
  const attributes = { ...where, httpOnly: true }
  const suffix = serialize(name, '', attributes).slice(`${name}=`.length) // written once: it takes 7 µs
  const clearing = { maxAge: 0, expires: new Date(0) }
  const cleared = serialize(name, '', { ...attributes, ...clearing })
  // Browsers reject a name prefix or `Partitioned` without `Secure`.
  const formerCleared = former.map(({ name, ...place }) =>
    serialize(name, '', { ...attributes, ...place, secure: attributes.secure || place.partitioned || name.startsWith('__'), ...clearing }))

  return {
    name,

    /** A parser that keeps only the first value allows cookie tossing: the cookie of a sibling sub-domain can come first. */
    read ({ headers: { cookie = '' } }) {
      const values = new Set<string>()
      for (const pair of cookie.split(';')) {
        const text = withoutWhitespace(pair)
        if (!text.startsWith(`${name}=`)) continue
        const sent = withoutWhitespace(text.slice(name.length + 1))
        const isQuoted = sent.length > 1 && sent.startsWith('"') && sent.endsWith('"') // RFC 6265 section 4.1.1; Java's cookie jar sends quotes
        const value = isQuoted ? sent.slice(1, -1) : sent
        if (value !== '') values.add(value)
      }
      return [...values]
    },

    setCookieLine,
    send,
    clear: reply => { send(reply, null) }
  }

  function setCookieLine ({ value, maxAge, expiresAt }: IssuedRefreshToken): string {
    // With Max-Age alone Java's cookie jar treats the cookie as one of RFC 2965 and quotes its value.
    const lasts = maxAge === null ? '' : `; Max-Age=${maxAge}; Expires=${new Date(expiresAt * 1000).toUTCString()}`
    return `${name}=${value}${lasts}${suffix}`
  }

  /**
   * Replaces an earlier refresh cookie of the same reply; cookies of the host stay. The former ones are cleared first, since
   * some cookie jars treat a cookie with a domain and one without as the same (RFC 6265 section 5.3).
   */
  function send (reply: FastifyReply, token: IssuedRefreshToken | null): Record<never, never> {
    const ours = (line: string): boolean => line.startsWith(`${name}=`) || formerCleared.includes(line)
    const others = [reply.getHeader('set-cookie') ?? []].flat().filter(line => !ours(String(line)))
    reply.removeHeader('set-cookie')
    reply.header('set-cookie', [...others, ...formerCleared, token === null ? cleared : setCookieLine(token)])
    return {}
  }
}

/**
 * Throws a TypeError where browsers send the cookie to refresh but not to logout, which could then end no session. `base` is
 * the prefix of our routes. A path that does not cover refresh may be right behind a proxy that changes paths, so that is a warning.
 */
export function checkCookiePath (path: string, base: string, { refresh, logout }: Readonly<Record<'refresh' | 'logout', string | false>>): Warning[] {
  const isSentTo = (route: string): boolean => matchesPath(`${base}${route}`, path)
  if (refresh === false) return []
  if (!isSentTo(refresh)) return [{ code: 'FST_AUTH_WARN_COOKIE_PATH', path, refresh: `${base}${refresh}` }]
  if (logout === false || isSentTo(logout)) return []
  throw new TypeError(`option "cookie.path" is '${path}': browsers would not send the cookie to '${base}${logout}', so a logout would end no session: set it to '${base}', or leave it out`)
}

const WHITESPACE = ' \t'

/**
 * Removes optional whitespace around a header value: spaces and tabs (RFC 9110 section 5.6.3). `trim` also removes U+00A0, to
 * which Node decodes the byte 0xA0, so a cookie name that begins with that byte would equal ours.
 */
export function withoutWhitespace (text: string): string {
  let start = 0
  let end = text.length
  while (start < end && WHITESPACE.includes(text.charAt(start))) start++
  while (end > start && WHITESPACE.includes(text.charAt(end - 1))) end--
  return text.slice(start, end)
}
