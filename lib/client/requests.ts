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
 * A function that sends a POST to one of the plugin's routes. It returns undefined for 204, and throws an AuthError for an
 * error response.
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
    const json = await response.json().catch(() => []) as TokenResponse & AuthProblem // not JSON: the page of a captive portal
    if (response.status === 204) return
    if (response.ok) return json
    throw new AuthError({ ...json, status: response.status, retryAfter: +response.headers.get('retry-after')! || 0 })
  }
}
