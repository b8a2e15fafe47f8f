import { type UserId } from '../accounts/user.js'
import { type AppClaims } from '../tokens/claims.js'
import { type SessionView, type SessionViewListOptions } from './session-view.js'
import { type TokenResponse } from './token-response.js'

/** The verbs of the session service, on `request.auth`. */
export interface SessionVerbs {
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

declare module './request-verbs.js' {
  interface RequestAuth extends SessionVerbs {}
}
