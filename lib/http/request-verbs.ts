import { type AccessClaims, type AppClaims } from '../tokens/claims.js'
import { type UserId } from '../accounts/user.js'
import { type SessionView, type SessionViewListOptions } from './session-view.js'
import { type TokenResponse } from './token-response.js'

/**
 * `request.auth`: who sends the request, and the verbs of a login. A verb that rejects with a refusal puts the headers of
 * it on the reply (`WWW-Authenticate`, `Retry-After`), so that an error handler of the app's own sends them too.
 */
export interface RequestAuth {
  /**
   * The claims of the access token; null until one was authenticated. Typed as if it always had been, since that is so
   * behind `app.authenticate`; behind `app.authenticateOptional` compare it with null.
   */
  readonly claims: AccessClaims
  /**
   * Authenticates the request by its access token. Rejects with FST_AUTH_ACCESS_TOKEN_MISSING, _INVALID or _EXPIRED; with
   * `revocation: 'immediate'` also with FST_AUTH_SESSION_ENDED, or FST_AUTH_STORE_UNAVAILABLE where only the store can tell.
   */
  authenticate (): Promise<AccessClaims>
  /**
   * Starts a session for somebody whom the app has recognised in its own way; sets the cookie, if there is one to set.
   * With `remember: false` that ends with the browser.
   */
  login (subject: UserId, options?: { claims?: AppClaims, remember?: boolean }): Promise<TokenResponse>
  /** Swaps the refresh token for a new access token; sets the cookie where it changed. */
  refresh (): Promise<TokenResponse>
  /** Ends the session of the refresh token, else that of the access token; clears the cookie. */
  logout (): Promise<void>
  /**
   * The caller's sessions, oldest first, 100 by default; the next part is `after` the last of this one. Needs an
   * authenticated request, as the two below do.
   */
  sessions (part?: SessionViewListOptions): Promise<SessionView[]>
  /** Ends one of the caller's sessions. Rejects with FST_AUTH_SESSION_UNKNOWN if it is not theirs. */
  revokeSession (id: string): Promise<void>
  /** Ends all of the caller's sessions but this one. Resolves to how many. */
  revokeOtherSessions (): Promise<number>
}
