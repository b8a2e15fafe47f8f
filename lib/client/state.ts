import { type AuthProblem } from './auth-error.js'

/** Who is signed in, as far as that is known. A new object for every change, and the same one until then. */
export interface AuthState<Claims> {
  /** 'unknown' until the server was asked, and always outside of browsers. */
  readonly status: 'in' | 'out' | 'unknown'
  /** The claims of the access token; undefined unless signed in. */
  readonly claims?: Claims | undefined
  /** When the access token ends, as Date.now() counts; 0 where this tab has yet to get one, undefined unless signed in. */
  readonly expiresAt?: number | undefined
  /**
   * Signed out: why, if the server said so, such as the code FST_AUTH_REFRESH_TOKEN_REUSED; undefined for a visitor who
   * never logged in. Otherwise why the last try
   * to renew failed, although nobody was signed out. Undefined again after the next success, and after a logout.
   */
  readonly error?: AuthProblem | undefined
}
