/** The signature of the platform's fetch. */
export type Fetch = (input: Parameters<typeof fetch>[0], init?: RequestInit) => Promise<Response>

/** The details of an `AuthError`. */
export interface AuthProblem {
  /** The HTTP status of the response; undefined without a usable response. */
  readonly status?: number
  /** The server's error code, such as FST_AUTH_CREDENTIALS_INVALID, if it sent one. */
  readonly code?: string
  /** The server's message, if it sent one. */
  readonly message?: string | undefined
  /** Whole seconds to wait before another attempt (Retry-After, RFC 9110 section 10.2.3); 0 or undefined if the server set none. */
  readonly retryAfter?: number
  /** The underlying error, such as that of fetch. */
  readonly cause?: unknown
}

/**
 * A route of the server returned an error, or no usable response. After `login` and `signup` show it to the user. From
 * `refresh`, `token` and `fetch` it means a temporary failure: the user stays logged in.
 */
export class AuthError extends Error implements AuthProblem {
  override readonly name = 'AuthError'
  declare readonly status?: number
  declare readonly code?: string
  declare readonly retryAfter?: number

  constructor ({ message = globalThis.document ? 'No answer' : 'No browser', ...problem }: AuthProblem) {
    super(message)
    Object.assign(this, problem)
  }
}

/** A token response (RFC 6749 section 5.1), of the routes that give one. */
export interface TokenResponse {
  readonly access_token: string
  readonly expires_in: number
}

/**
 * A function that sends a POST to one of the plugin's routes. It returns undefined for 204, and throws an AuthError for any response
 * without a token: also for the 200 of a captive portal, or of a host that answers each error with its start page.
 *
 * With keepalive the browser stores the cookie even if the page is closed meanwhile. Nothing aborts the request, since
 * the server may have rotated the refresh token already. The content type makes a cross-origin request need a preflight
 * (CORS).
 */
export function authRequests (send: Fetch, base: URL | undefined, headers?: Readonly<Record<string, string>>) {
  return async (route: string, body = {}): Promise<TokenResponse | undefined> => {
    const response = await send(new URL(route, base as URL), { // throws outside of browsers, where nobody may log in
      credentials: 'include',
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      cache: 'no-store',
      redirect: 'error',
      keepalive: true
    })
    const json = await response.json().catch(() => {}) as TokenResponse & AuthProblem | undefined
    if (response.status === 204) return
    if (json?.access_token) return json
    throw new AuthError({ ...json, status: response.status, retryAfter: +response.headers.get('retry-after')! || 0 })
  }
}

/** The claims of the server's access tokens. Extend this interface with the app's own claims. */
export interface AccessClaims {
  readonly sub: string
  readonly sid: string
  readonly jti: string
  /** Seconds since 1970 by the server's clock, as are `exp` and `auth_time`. */
  readonly iat: number
  readonly exp: number
  readonly auth_time: number
  readonly iss?: string
  readonly aud?: string | readonly string[]
}

/** The login state, as far as the client knows it. Each change creates a new object. */
export type AuthState<Claims> = LoggedIn<Claims> | NotLoggedIn

interface LoggedIn<Claims> {
  readonly status: 'in'
  /** The claims of the access token. */
  readonly claims: Claims
  /** The expiry of the access token, in milliseconds as of Date.now(); 0 if this tab has no token yet. */
  readonly expiresAt: number
  /** The error of the last refresh, if that failed. The next success resets it. */
  readonly error?: AuthProblem | undefined
}

interface NotLoggedIn {
  /** 'unknown' until the server has answered, and always outside of browsers. */
  readonly status: 'out' | 'unknown'
  readonly claims?: undefined
  readonly expiresAt?: undefined
  /**
   * After a logout by the server: the reason, such as the code FST_AUTH_REFRESH_TOKEN_REUSED; undefined for a visitor
   * who never logged in. With 'unknown' the error of the last refresh. The next success and a logout reset it.
   */
  readonly error?: AuthProblem | undefined
}

/** The logged-in user and the access token, in memory only: storage could be read by an XSS attack later. */
export interface Session<Claims> {
  readonly claims: Claims
  /** Missing in a tab that received a login from another tab without its token (`share: false`). */
  readonly token?: string
  /** In milliseconds as of Date.now(); 0 if the token must not be used any more. */
  expiresAt: number
}

/** The payload of a JWT, unverified: it came from the server over TLS. Throws for anything but a JWT. */
export function readClaims<Claims> (token: string): Claims {
  // `escape` and `decodeURIComponent` decode UTF-8, which `atob` alone does not.
  return JSON.parse(decodeURIComponent(escape(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')))))
}
