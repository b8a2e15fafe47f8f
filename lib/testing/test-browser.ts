import { type InjectOptions } from 'fastify'
import { type RouteName } from '../http/routes/route.js'
import { siteOf, type CookieJar } from './cookie-jar.js'

/** A response, of `app.inject` or over HTTP. */
export interface TestResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>
  readonly body: string
  json<T = unknown> (): T
}

/** A request, as of `app.inject`. */
export type TestRequest = InjectOptions & { readonly url: string }

/** Sends a request to the app under test. */
export type Send = (request: TestRequest, url: URL) => Promise<TestResponse>

export interface TestBrowserOptions {
  /** The base URL of a server that listens; without it requests are sent by `app.inject`. */
  readonly url?: string | undefined
  /** The origin of the app for the browser: that of `url`, or else 'https://app.example.com'. */
  readonly origin?: string | undefined
  readonly userAgent?: string | undefined
}

/** A page of another origin. */
export interface TestPage {
  /** Sends a request, as `fetch` with `credentials: 'include'`. */
  inject (options: string | TestRequest): Promise<TestResponse>
  /** Opens a page of the app in the whole tab, as a link does. */
  open (url: string): Promise<TestResponse>
  /** Submits an HTML form with POST. */
  submit (url: string, fields: Readonly<Record<string, string>>): Promise<TestResponse>
}

/** The request headers of a kind of request (Fetch Metadata). */
interface FetchMode { readonly mode: 'cors' | 'navigate', readonly dest: 'empty' | 'document' }

const FETCH: FetchMode = { mode: 'cors', dest: 'empty' }
const NAVIGATION: FetchMode = { mode: 'navigate', dest: 'document' }

interface Parts {
  readonly send: Send
  readonly origin: string
  readonly userAgent: string
  readonly ready: () => PromiseLike<unknown>
  readonly urlOf: (route: RouteName) => string | false
  readonly jar: CookieJar
}

/**
 * A browser with one open page of the app: its cookie jar, its access token in memory, and the headers that browsers add
 * (`Host`, `Origin`, `User-Agent`, Fetch Metadata).
 */
export class TestBrowser implements TestPage {
  readonly jar: CookieJar
  /** The access token that the page holds. Login, signup and refresh set it, logout deletes it. */
  accessToken: string | null = null
  /** The refresh token that a native app holds (`refreshToken.transport: 'body'`). */
  refreshToken: string | null = null
  readonly #parts: Parts
  #losesReply = false

  constructor (parts: Parts) {
    this.#parts = parts
    this.jar = parts.jar
  }

  /** Sends a request of the page, as `fetch` does: with cookies, and with the access token unless `authorization` is given. */
  async inject (options: string | TestRequest): Promise<TestResponse> {
    const request = typeof options === 'string' ? { url: options } : options
    const authorization = this.accessToken === null ? {} : { authorization: `Bearer ${this.accessToken}` }
    return await this.#send({ ...request, headers: { ...authorization, ...request.headers } }, FETCH, this.#parts.origin)
  }

  /** Opens a page of the app in the tab, without the access token. Redirects are not followed. */
  async open (url: string): Promise<TestResponse> {
    return await this.#send({ url }, NAVIGATION, this.#parts.origin)
  }

  /** Submits an HTML form with POST. Redirects are not followed. */
  async submit (url: string, fields: Readonly<Record<string, string>>): Promise<TestResponse> {
    return await this.#send(formOf(url, fields), NAVIGATION, this.#parts.origin)
  }

  /** Logs in with the body of the login route. */
  async login (body: object): Promise<TestResponse> {
    return await this.#post('login', body)
  }

  /** Signs up with the body of the signup route. */
  async signup (body: object): Promise<TestResponse> {
    return await this.#post('signup', body)
  }

  /** Refreshes the access token. */
  async refresh (): Promise<TestResponse> {
    return await this.#post('refresh', this.#refreshBody())
  }

  /** Logs out; the page deletes its tokens unless the server refused. */
  async logout (): Promise<TestResponse> {
    const response = await this.#post('logout', this.#refreshBody())
    if (response.statusCode < 300) this.accessToken = this.refreshToken = null
    return response
  }

  /** The server handles the next request, but its reply does not arrive: the cookies stay as they are, and the call rejects. */
  loseReply (): void {
    this.#losesReply = true
  }

  /** A page of another origin in this browser, with the same cookies: for tests of the CSRF policy. */
  pageOf (origin: string): TestPage {
    return {
      inject: async options => await this.#send(typeof options === 'string' ? { url: options } : options, FETCH, origin),
      open: async url => await this.#send({ url }, NAVIGATION, origin),
      submit: async (url, fields) => await this.#send(formOf(url, fields), NAVIGATION, origin)
    }
  }

  /** Stores a Set-Cookie line as if the app had sent it to the page. */
  keepCookie (line: string): void {
    const { origin } = this.#parts
    const url = new URL(origin)
    this.jar.store([line], url, { origin, tab: siteOf(url), opensPage: false })
  }

  /** Another browser with a copy of the cookies and tokens. */
  copy (): TestBrowser {
    const copy = new TestBrowser({ ...this.#parts, jar: this.jar.copy() })
    copy.accessToken = this.accessToken
    copy.refreshToken = this.refreshToken
    return copy
  }

  async #post (route: 'login' | 'signup' | 'refresh' | 'logout', payload: object): Promise<TestResponse> {
    await this.#parts.ready()
    const url = this.#parts.urlOf(route)
    if (url === false) throw new TypeError(`The app has no route for ${route}`)
    const response = await this.inject({ method: 'POST', url, payload })
    if (response.statusCode < 300 && response.body !== '') this.#keepTokens(response.json())
    return response
  }

  #keepTokens ({ access_token: accessToken, refresh_token: refreshToken }: { access_token?: string, refresh_token?: string }): void {
    this.accessToken = accessToken ?? this.accessToken
    this.refreshToken = refreshToken ?? this.refreshToken
  }

  #refreshBody (): object {
    return this.refreshToken === null ? {} : { refresh_token: this.refreshToken }
  }

  async #send (request: TestRequest, { mode, dest }: FetchMode, page: string): Promise<TestResponse> {
    const { send, origin, userAgent } = this.#parts
    const url = new URL(request.url, origin)
    const isSafe = /^(?:GET|HEAD)$/i.test(request.method ?? 'GET')
    const initiator = { origin: page, tab: siteOf(new URL(mode === 'navigate' ? url : page)), opensPage: mode === 'navigate' && isSafe }
    const cookie = this.jar.header(url, initiator)
    const sendsOrigin = !isSafe || (mode === 'cors' && page !== url.origin)
    const headers = {
      host: url.host,
      'user-agent': userAgent,
      'sec-fetch-site': relationOf(page, url),
      'sec-fetch-mode': mode,
      'sec-fetch-dest': dest,
      ...(sendsOrigin && { origin: page }),
      ...(cookie !== undefined && { cookie }),
      ...request.headers
    }
    const losesReply = this.#losesReply
    this.#losesReply = false
    const response = await send({ ...request, headers }, url)
    if (losesReply) throw new TypeError('The reply was lost, as loseReply() said')
    this.jar.store([response.headers['set-cookie'] ?? []].flat().map(String), url, initiator)
    return response
  }
}

function formOf (url: string, fields: Readonly<Record<string, string>>): TestRequest {
  return { method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams(fields).toString() }
}

/** `Sec-Fetch-Site`. */
function relationOf (page: string, url: URL): 'same-origin' | 'same-site' | 'cross-site' {
  if (page === url.origin) return 'same-origin'
  return siteOf(new URL(page)) === siteOf(url) ? 'same-site' : 'cross-site'
}
