import { isHostOnly, isSameCookie, type CookieIdentity } from '../http/cookie.js'
import { type Checked, defaultTo, flag, group, listOf, oneOf, optional } from './validators.js'
import { cookieName, cookiePath, domain } from './values.js'

/** The options of the refresh cookie. */
export const cookie = group({
  name: optional(cookieName),
  path: defaultTo('/', cookiePath),
  domain: optional(domain),
  sameSite: defaultTo('strict', oneOf('strict', 'lax', 'none')),
  secure: defaultTo(true, flag),
  partitioned: defaultTo(false, flag),
  former: defaultTo([], listOf(group({
    name: optional(cookieName),
    path: defaultTo('/', cookiePath),
    domain: optional(domain),
    partitioned: defaultTo(false, flag)
  })))
})

type Cookie = Checked<typeof cookie>

/** The cookie and its former ones, all with their names. */
export type NamedCookie = Omit<Cookie, 'name' | 'former'> & CookieIdentity & { readonly former: readonly CookieIdentity[] }

/**
 * Gives the cookie and its former ones their default names. Throws if clearing a former one would clear the current one, or
 * nothing.
 */
export function nameCookies ({ name, former, ...where }: Cookie): NamedCookie {
  const named = { ...where, name: name ?? defaultCookieName(where) }
  const places = former.map((place, index) => {
    const known = { ...place, name: place.name ?? name ?? defaultCookieName({ ...place, secure: where.secure }) }
    const option = `option "cookie.former[${index}]"`
    if (isSameCookie(known, named)) throw new TypeError(`${option} equals the current cookie, which each login would then clear: leave it out, or give the former settings`)
    if (/^__Host-/i.test(known.name) && !isHostOnly(known)) {
      throw new TypeError(`${option} has the name '${known.name}', which browsers reject with a path or a domain: give its former name`)
    }
    return known
  })
  return Object.freeze({ ...named, former: Object.freeze(places) })
}

/** The strongest prefix that the other settings allow (RFC 6265bis section 4.1.3; "__Host-Http-" also requires HttpOnly). */
export function defaultCookieName ({ path, domain, secure }: { path: string, domain: string | undefined, secure: boolean }): string {
  if (!secure) return 'refresh'
  return isHostOnly({ path, domain }) ? '__Host-Http-refresh' : '__Secure-refresh'
}
