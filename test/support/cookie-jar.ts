import { CookieJar as TestKitJar, type Initiator } from '../../lib/testing/cookie-jar.js'

const ORIGIN = 'https://app.example'
const OWN_PAGE: Initiator = { origin: ORIGIN, tab: ORIGIN, navigates: false, opensPage: false }

/** The cookie jar of the test kit, for one site and its own pages. */
export interface CookieJar {
  /** Stores the Set-Cookie header of a reply. */
  store (setCookie: string | string[] | undefined): void
  /** The Cookie header for a path of the site, or undefined. */
  header (path: string): string | undefined
  value (name: string): string | undefined
  copy (): CookieJar
}

export function cookieJar (now: () => number, jar = new TestKitJar(now)): CookieJar {
  return {
    store (setCookie = []) { jar.store([setCookie].flat(), new URL(ORIGIN), OWN_PAGE) },
    header: path => jar.header(new URL(path, ORIGIN), OWN_PAGE),
    value: name => jar.cookies.find(cookie => cookie.name === name)?.value,
    copy: () => cookieJar(now, jar.copy())
  }
}
