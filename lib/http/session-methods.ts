import { type AcceptChallengeOptions, type IssueChallengeOptions } from '../accounts/challenges.js'
import { type Credentials } from '../accounts/password-verifier.js'
import { type CustomUser, type User, type UserId } from '../accounts/user.js'
import { type Identity, type IdentifyOptions } from '../sessions/identify.js'
import { type NewSessionOptions } from '../sessions/login.js'
import { type SessionView, type SessionViewListOptions } from './session-view.js'
import { type TokenResponse } from './token-response.js'

/**
 * The methods of `request.auth` for sessions. Each rejects with FST_AUTH_STORE_UNAVAILABLE if the store or the app's own functions
 * fail.
 *
 * `verifyPassword`, `login`, `refresh` and `logout` refuse a request of another site's page with FST_AUTH_CROSS_SITE, whatever its
 * method: its page must not log its visitors in or out (CSRF). A route that is called from other sites, such as the callback
 * of an OAuth provider, says so: `config: { crossSite: true }`. Trusted origins, the address bar, bookmarks and mail programs are
 * accepted. Browsers without Fetch Metadata (Safari before 16.4, and any over plain http) do not show where a GET comes from: log
 * in by POST.
 */
export interface SessionMethods {
  /**
   * The user with this username and password, for a login of more than one step. It makes the same checks as `POST /login` before it
   * starts the session: the rate limits, the same work and refusal for every wrong username or password, the stronger hash, the
   * disabled user. Resolves to the object that `users.findByUsername` returned. It starts no session: call `login(user.id)`,
   * here or in a later request.
   *
   * A `login` of this user in the same request checks the password again once the session is stored, as `POST /login` does:
   * a concurrent password change ends that session and refuses the login. If this route has changed the password itself, give
   * `login` the new hash as `boundTo`.
   *
   * It reads `username`, and where that is missing the field of `accounts.usernameField`.
   *
   * Rejects with FST_AUTH_CREDENTIALS_INVALID, FST_AUTH_TOO_MANY_ATTEMPTS or FST_AUTH_BUSY; with a TypeError without
   * `users.findByUsername`.
   */
  verifyPassword (credentials: Credentials): Promise<User & CustomUser>
  /**
   * A token for the next step of a login, or for a link that is sent to the user: a JWT (`typ: ct+jwt`) for one purpose. It is
   * accepted once; with a store that keeps no sessions, such as `statelessStore()`, any number of times until it expires or
   * the value that it is bound to changes. It authenticates nothing by itself: no route accepts it as an access or refresh token.
   * Rejects with a TypeError for invalid options or an impossible subject.
   */
  issueChallenge (subject: UserId, options: IssueChallengeOptions): Promise<string>
  /**
   * Uses up a challenge and resolves to its subject. Rejects with FST_AUTH_CHALLENGE_INVALID if it is no challenge for the purpose,
   * has expired, was used, or is bound to a value that has changed. With `verify` a wrong second factor is
   * FST_AUTH_CREDENTIALS_INVALID and the challenge stays usable; too many are FST_AUTH_TOO_MANY_ATTEMPTS, also for the right one,
   * or FST_AUTH_BUSY.
   *
   * A `login` of its subject in the same request calls `boundTo` again once the session is stored: if the value has changed, as by
   * a concurrent password change, that session ends and the login is refused. If this route has changed the value itself, as a
   * password reset does, give `login` the new one as `boundTo`.
   */
  acceptChallenge (token: unknown, options: AcceptChallengeOptions): Promise<string>
  /**
   * Starts a session for a user that the app has authenticated itself, and sets the refresh cookie unless
   * `refreshToken.transport` is 'body'. With `remember: false` the cookie ends with the browser; the default is true or, after
   * `identify` of the same user, that of the current session. `claims` go into this access token only. `authTime` is the time of the
   * authentication if it was not just now, such as that of a session of another system, or 0: `requireFreshLogin` goes by it.
   * `boundTo` is the new value where this request has changed what it has just checked: the password hash after
   * `verifyPassword`, or the value that an accepted challenge was bound to. Rejects with FST_AUTH_USER_REFUSED for an unknown or
   * disabled user, and at the session limit with `whenFull: 'refuseLogin'`; with FST_AUTH_CREDENTIALS_INVALID if what was
   * checked has changed meanwhile; with a TypeError for an impossible subject.
   */
  login (subject: UserId, options?: Pick<NewSessionOptions, 'claims' | 'remember' | 'authTime'> & { readonly boundTo?: string | undefined }): Promise<TokenResponse>
  /**
   * Exchanges the refresh token for a new access token (RFC 6749 section 6) and sets the cookie where it changed. Rejects with
   * FST_AUTH_REFRESH_TOKEN_MISSING, _INVALID, _EXPIRED or _REUSED, FST_AUTH_SESSION_ENDED, FST_AUTH_USER_REFUSED,
   * FST_AUTH_TOO_MANY_ATTEMPTS or FST_AUTH_BUSY.
   */
  refresh (): Promise<TokenResponse>
  /**
   * The user of the refresh cookie, for pages that a server renders. It rotates nothing, sets no cookie, issues no access token and
   * consumes no rate limit; it reads the session once, and the user by `users.findById` unless `user` is false. The session is
   * not extended: refresh at least once within its idle lifetime (docs/pages.md). A token that was replaced earlier is reuse and ends the session, as for a
   * refresh; the answer never shows when the last refresh was. The response gets `Cache-Control: no-store` unless it is private.
   *
   * GET and HEAD requests of other sites are refused with 403 FST_AUTH_CROSS_SITE, except navigations of a whole tab; requests of other
   * methods follow the CSRF policy. Rejects with FST_AUTH_REFRESH_TOKEN_MISSING, _INVALID, _EXPIRED or _REUSED,
   * FST_AUTH_SESSION_ENDED, and with FST_AUTH_USER_REFUSED for an unknown or disabled user, whose session only a refresh ends.
   */
  identify (options?: IdentifyOptions): Promise<Identity>
  /** As `identify`, but resolves to null where that rejects with a 401: for pages that everybody may see. */
  identifyOrNull (options?: IdentifyOptions): Promise<Identity | null>
  /** The result of `identify`. Never null behind `authenticateByCookie`; elsewhere it may be null despite its type: use `identityOrNull` there. */
  readonly identity: Identity
  /** The result of `identify`; null if the cookie has not identified the user. */
  readonly identityOrNull: Identity | null
  /** Ends the session of the refresh token and that of an authenticated access token, and clears the cookie. Succeeds without a session too. */
  logout (): Promise<void>
  /**
   * The caller's live sessions, oldest first, 100 by default. For the next page, pass the last session of this one as `after`. Like the two
   * methods below it needs a request that `authenticate` or `identify` has accepted, and whose session has not ended: it rejects
   * with FST_AUTH_ACCESS_TOKEN_MISSING or FST_AUTH_SESSION_ENDED.
   */
  sessions (part?: SessionViewListOptions): Promise<SessionView[]>
  /** Ends one of the caller's sessions. Rejects with FST_AUTH_SESSION_UNKNOWN where the caller has no such session. */
  revokeSession (id: string): Promise<void>
  /** Ends all of the caller's sessions except the current one. Resolves to their number, with those past their idle end. */
  revokeOtherSessions (): Promise<number>
}

declare module './request-auth.js' {
  interface RequestAuth extends SessionMethods {}
}
