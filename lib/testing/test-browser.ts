import { once } from 'node:events'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import { type RouteName } from '../http/routes/route.js'
import { isTrustworthy, relationOf, siteOf } from '../browser-rules.js'
import { type CookieJar } from './cookie-jar.js'

/** A response, of `app.inject` or over HTTP. */
export interface TestResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, number | string | string[] | undefined>>
  readonly body: string
  json<T = unknown> (): T
}

/** A request of a page. */
export interface TestRequest {
  /** 'GET' by default. */
  readonly method?: HttpMethod | undefined
  /** A path, or a URL of the app's origin. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** An object is sent as JSON. */
  readonly payload?: string | object | undefined
  /** As `payload`. */
  readonly body?: string | object | undefined
  /** Added to the query of `url`. */
  readonly query?: Readonly<Record<string, string>> | undefined
}

type HttpMethod = 'DELETE' | 'GET' | 'HEAD' | 'OPTIONS' | 'PATCH' | 'POST' | 'PUT'

/** A request with all that a browser adds. */
interface SentRequest {
  readonly method: HttpMethod
  /** With the query. */
  readonly path: string
  readonly headers: Record<string, string>
  readonly payload?: string
}

/** Sends a request to the app under test. */
export type Send = (request: SentRequest) => Promise<TestResponse>

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
  /** The access token that the page holds, from the last reply with one. `logout` deletes it. */
  accessToken: string | null = null
  /** The refresh token that a native app holds (`refreshToken.transport: 'body'`). */
  refreshToken: string | null = null
  readonly #parts: Parts
  #losesReply = false

  constructor (parts: Parts) {
    this.#parts = parts
    this.jar = parts.jar
  }

  /**
   * Sends a request of the page, as `fetch` does: with cookies, and with the access token unless `authorization` is given. The
   * page keeps the tokens of a token response, of the plugin's own routes or of yours. After `formatTokenResponse` they may have
   * other names: then set `accessToken` yourself.
   */
  async inject (options: string | TestRequest): Promise<TestResponse> {
    const request = typeof options === 'string' ? { url: options } : options
    const authorization = this.accessToken === null ? {} : { authorization: `Bearer ${this.accessToken}` }
    const response = await this.#send({ ...request, headers: { ...authorization, ...request.headers } }, FETCH, this.#parts.origin)
    if (request.method === 'POST' && response.statusCode < 300) this.#keepTokens(response)
    return response
  }

  /** Opens a page of the app in the tab, without the access token. Redirects are not followed. */
  async open (url: string): Promise<TestResponse> {
    return await this.#send({ url }, NAVIGATION, this.#parts.origin)
  }

  /** Submits an HTML form with POST. Redirects are not followed. */
  async submit (url: string, fields: Readonly<Record<string, string>>): Promise<TestResponse> {
    return await this.#send(formOf(url, fields), NAVIGATION, this.#parts.origin)
  }

  /** Sends the body to the login route. */
  async login (body: object): Promise<TestResponse> {
    return await this.#post('login', body)
  }

  /** Sends the body to the signup route. */
  async signup (body: object): Promise<TestResponse> {
    return await this.#post('signup', body)
  }

  /** Sends the cookie, or the refresh token of a native app, to the refresh route. */
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
    assertOrigin('pageOf', origin)
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
    this.jar.store([line], url, { origin, tab: siteOf(url), navigates: false, opensPage: false })
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
    return await this.inject({ method: 'POST', url, payload })
  }

  /** Keeps those of a token response, also from a login route of the app. */
  #keepTokens ({ body }: TestResponse): void {
    const { access_token: accessToken, refresh_token: refreshToken } = fieldsOf(body)
    if (!isAccessToken(accessToken)) return
    this.accessToken = accessToken
    if (typeof refreshToken === 'string') this.refreshToken = refreshToken
  }

  #refreshBody (): object {
    return this.refreshToken === null ? {} : { refresh_token: this.refreshToken }
  }

  async #send (request: TestRequest, { mode, dest }: FetchMode, page: string): Promise<TestResponse> {
    const { send, origin, userAgent } = this.#parts
    const { method = 'GET' } = request
    const url = urlOf(request, origin)
    const isSafe = method === 'GET' || method === 'HEAD'
    const navigates = mode === 'navigate'
    const initiator = { origin: page, tab: siteOf(new URL(navigates ? url : page)), navigates, opensPage: navigates && isSafe }
    const cookie = this.jar.header(url, initiator)
    const sendsOrigin = !isSafe || (mode === 'cors' && page !== url.origin)
    const { type, ...content } = contentOf(request)
    const headers = {
      host: url.host,
      'user-agent': userAgent,
      ...(isTrustworthy(url) && { 'sec-fetch-site': relationOf(page, url.origin), 'sec-fetch-mode': mode, 'sec-fetch-dest': dest }),
      ...(sendsOrigin && { origin: page }),
      ...(cookie !== undefined && { cookie }),
      ...(type !== undefined && { 'content-type': type }),
      ...request.headers
    }
    const losesReply = this.#losesReply
    this.#losesReply = false
    const response = await send({ method, path: url.pathname + url.search, headers, ...content })
    if (losesReply) throw new TypeError('The reply was lost (loseReply)')
    this.jar.store([response.headers['set-cookie'] ?? []].flat().map(String), url, initiator)
    return response
  }
}

/** Throws a TypeError for anything but an origin as browsers send it. */
export function assertOrigin (name: string, origin: string): void {
  if (!URL.canParse(origin) || new URL(origin).origin !== origin) throw new TypeError(`${name}: an origin is a scheme and a host, such as 'https://app.example.com'`)
}

function urlOf ({ url, query = {} }: TestRequest, origin: string): URL {
  if (typeof url !== 'string') throw new TypeError('a request of a test browser needs a "url"')
  const full = new URL(url, origin)
  for (const [name, value] of Object.entries(query)) full.searchParams.append(name, value)
  return full
}

/** Empty for anything but JSON. */
function fieldsOf (body: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(body))
  } catch {
    return {}
  }
}

/** False for the tokens of other servers, which name no session. */
function isAccessToken (token: unknown): token is string {
  return typeof token === 'string' && Buffer.from(String(token.split('.')[1]), 'base64url').includes('"sid":')
}

function contentOf ({ body, payload = body }: TestRequest): { readonly type?: string, readonly payload?: string } {
  if (payload === undefined) return {}
  return typeof payload === 'string' ? { payload } : { type: 'application/json', payload: JSON.stringify(payload) }
}

function formOf (url: string, fields: Readonly<Record<string, string>>): TestRequest {
  return { method: 'POST', url, headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: new URLSearchParams(fields).toString() }
}

/** Sends requests to a server that listens. Not with `fetch`, which replaces `Sec-Fetch-Mode` and drops `Host`. */
export function sendOverHttp (base: string): Send {
  const open = base.startsWith('https:') ? requestHttps : requestHttp
  return async ({ method, path, headers, payload }) => {
    const outgoing = open(new URL(path, base), { method, headers, agent: false })
    outgoing.end(payload)
    const [response] = await once(outgoing, 'response') as [IncomingMessage] // as documented
    const body = await text(response)
    return { statusCode: Number(response.statusCode), headers: response.headers, body, json: () => JSON.parse(body) }
  }
}
