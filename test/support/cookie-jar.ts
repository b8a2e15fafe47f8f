/** A browser's cookie jar for one site, with the relevant rules of RFC 6265bis, on the clock of the test. */
export interface CookieJar {
  /** Stores the Set-Cookie header of a reply. */
  store (setCookie: string | string[] | undefined): void
  /** The Cookie header for a path of the site, or undefined. */
  header (path: string): string | undefined
  value (name: string): string | undefined
  copy (): CookieJar
}

interface Stored { readonly value: string, readonly path: string, readonly expiresAt: number }

export function cookieJar (now: () => number, cookies = new Map<string, Stored>()): CookieJar {
  const live = () => [...cookies].filter(([, { expiresAt }]) => now() < expiresAt)

  return {
    store (setCookie = []) {
      for (const line of [setCookie].flat()) {
        const [pair = '', ...attributes] = line.split('; ')
        const [name, value] = splitPair(pair)
        const given = new Map(attributes.map(attribute => splitPair(attribute)))
        if (!isAcceptable(name, given)) continue
        const maxAge = given.get('Max-Age')
        const expiresAt = maxAge === undefined ? Infinity : now() + Number(maxAge)
        cookies.set(name, { value, expiresAt, path: given.get('Path') ?? '/' })
      }
    },
    header (path) {
      const sent = live().filter(([, cookie]) => path.startsWith(cookie.path))
      return sent.length === 0 ? undefined : sent.map(([name, { value }]) => `${name}=${value}`).join('; ')
    },
    value: name => live().find(([stored]) => stored === name)?.[1].value,
    copy: () => cookieJar(now, new Map(cookies))
  }
}

/** Cookie name prefixes, which browsers enforce (RFC 6265bis section 4.1.3). */
function isAcceptable (name: string, attributes: Map<string, string>): boolean {
  if (name.startsWith('__Host-') && (attributes.get('Path') !== '/' || attributes.has('Domain'))) return false
  if (name.startsWith('__Host-Http-') && !attributes.has('HttpOnly')) return false
  return !name.startsWith('__') || attributes.has('Secure')
}

function splitPair (text: string): [name: string, value: string] {
  const [name = '', ...value] = text.split('=')
  return [name, value.join('=')]
}
