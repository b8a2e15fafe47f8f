import { type AuthProblem } from './requests.js'

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
  /** When the access token expires, in milliseconds as of Date.now(); 0 if this tab has yet to get one. */
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
