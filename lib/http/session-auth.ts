import { type FastifyReply } from 'fastify'
import { type AcceptChallengeOptions, type AcceptedChallenge, type Challenges, type IssueChallengeOptions } from '../accounts/challenges.js'
import { type Credentials, type PasswordVerifier } from '../accounts/password-verifier.js'
import { type CustomUser, type User, type UserId, type VerifiedLogin } from '../accounts/user.js'
import { AuthError, withMessage } from '../errors.js'
import { type Identity, type IdentifyOptions } from '../sessions/identify.js'
import { type Issued } from '../sessions/issue.js'
import { type WritePassword } from '../sessions/password-change.js'
import { type SessionService } from '../sessions/session-service.js'
import { type NewSessionOptions } from '../sessions/login.js'
import { type AccessClaims, type RefreshClaims, subjectOf } from '../tokens/claims.js'
import { type AfterReply } from './lifecycle.js'
import { type RequestAuthParts, TokenAuth } from './request-auth.js'
import { assertMayUseCookie, crossSiteRefusal, isSafe, mayChangeState, type OriginPolicy, sourceOf } from './csrf.js'
import { type RefreshTokenTransport } from './refresh-token-transport.js'
import { positionOf, toSessionView, type SessionView, type SessionViewListOptions } from './session-view.js'
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
export interface SessionVerbs {
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
   * refresh; the answer never shows when the last refresh was. The response gets `Cache-Control: no-store` unless it has one.
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
  /** Ends all of the caller's sessions except the current one. Resolves to the number of ended sessions. */
  revokeOtherSessions (): Promise<number>
}

declare module './request-auth.js' {
  interface RequestAuth extends SessionVerbs {}
}

/** The parts of a registration that `request.auth` needs for sessions. */
export interface SessionAuthParts extends RequestAuthParts {
  readonly sessions: SessionService
  /** Undefined without `users.findByUsername`. */
  readonly passwordVerifier: Pick<PasswordVerifier, 'verifyLogin'> | undefined
  /** The name of the username in bodies. */
  readonly usernameField: string
  readonly challenges: Challenges
  readonly transport: RefreshTokenTransport
  readonly origins: OriginPolicy
  readonly afterReply: AfterReply
}

/** A request that changes something must come from a page that holds an access token: a cookie is sent without the page's help. */
const COOKIE_READS_ONLY = 'The refresh cookie authenticates GET and HEAD only: protect this route with authenticate, and send an access token'

/** `request.auth` of an app with sessions. */
export class SessionAuth extends TokenAuth<SessionAuthParts> implements SessionVerbs {
  /** The CSRF policy has accepted the request. */
  #isTrusted = false
  /** The passwords that this request has verified, and the challenges that it has used up. */
  readonly #proofs: Array<VerifiedLogin | AcceptedChallenge> = []
  #identity: Identity | null = null
  /** Those that the reply sets or clears, in place of those that the request sent; undefined before that. */
  #newRefreshTokens: readonly string[] | undefined

  /**
   * Enforces the CSRF policy, once per request; leaves the cookie unchanged. Throws FST_AUTH_CROSS_SITE. Our own routes have
   * been checked before their handlers call this; they have no `crossSite`.
   */
  override refuseCrossSite (methods: 'all methods' | 'unless safe' = 'all methods'): void {
    if (this.#isTrusted) return
    if (methods === 'unless safe' && (isSafe(this.request.method) || this.request.method === 'OPTIONS')) return
    const source = sourceOf(this.request)
    const route = { isOwn: this.isExempt, crossSite: this.request.routeOptions.config.crossSite === true }
    if (!mayChangeState(source, this.plugin.origins, route)) throw crossSiteRefusal(source)
    this.#isTrusted = true
  }

  get #refreshTokens (): readonly string[] {
    return this.#newRefreshTokens ?? this.plugin.transport.read(this.request)
  }

  /** The session of the refresh token, from its signature and expiry, without the store; null without a valid token, or with tokens of several subjects. */
  override get claimedSession (): RefreshClaims | null {
    return this.plugin.sessions.claimsOf(this.#refreshTokens)
  }

  async hasLiveSession (): Promise<boolean> {
    return await this.plugin.sessions.hasLiveSession(this.#refreshTokens, this)
  }

  /** The claims of any access token. The request's own authentication stays as it is. */
  async verify (token: string): Promise<AccessClaims> {
    return await this.plugin.sessions.authenticate(token, this)
  }

  /**
   * The claims of the request, if the store knows the session as unrevoked. Otherwise an access token stolen before a password change
   * could manage the account until it expires. Throws FST_AUTH_ACCESS_TOKEN_MISSING, FST_AUTH_SESSION_ENDED,
   * FST_AUTH_STORE_UNAVAILABLE.
   */
  async assertUnrevoked (): Promise<AccessClaims> {
    const claims = this.assertAuthenticated()
    await this.plugin.sessions.assertUnrevoked(claims, this)
    return claims
  }

  async verifyPassword (sent: Credentials): Promise<User & CustomUser> {
    const { passwordVerifier, usernameField } = this.plugin
    if (passwordVerifier === undefined) throw new TypeError('request.auth.verifyPassword() needs "users.findByUsername"')
    try {
      this.refuseCrossSite()
      const body = Object(sent) as Credentials & Readonly<Record<string, unknown>> // a request without a body has undefined
      const { username = body[usernameField], password } = body
      const verified = await passwordVerifier.verifyLogin({ username, password }, this)
      this.#proofs.push(verified)
      return verified.user as User & CustomUser // the app's own object, with the columns that it declares
    } catch (error) {
      throw this.refused(error)
    }
  }

  async issueChallenge (subject: UserId, options: IssueChallengeOptions): Promise<string> {
    try {
      return await this.plugin.challenges.issue(subjectOf(subject, 'request.auth.issueChallenge()'), options, this)
    } catch (error) {
      throw this.refused(error)
    }
  }

  async acceptChallenge (token: unknown, options: AcceptChallengeOptions): Promise<string> {
    try {
      const accepted = await this.plugin.challenges.accept(token, options, this)
      this.#proofs.push(accepted)
      return accepted.subject
    } catch (error) {
      throw this.refused(error)
    }
  }

  async login (subject: UserId, { claims, remember, authTime, boundTo }: Parameters<SessionVerbs['login']>[1] = {}): Promise<TokenResponse> {
    try {
      this.refuseCrossSite()
      const text = subjectOf(subject, 'request.auth.login()')
      return await this.#login(text, { claims, authTime, remember: remember ?? this.#remembered(text), ...this.#proofOf(text, boundTo) })
    } catch (error) {
      const isUsedUp = this.#proofs.some(proof => 'isUsedUp' in proof && proof.isUsedUp)
      throw this.refused(isUsedUp ? withMessage(error, 'The server is temporarily unavailable, and the challenge is used up: start again') : error)
    }
  }

  /** As `login`, for a user that is already loaded; `isStillValid` as in `NewSessionOptions`. */
  async loginUser (user: User, remember: boolean | undefined, isStillValid?: () => Promise<boolean>): Promise<TokenResponse> {
    return await this.#login(subjectOf(user.id, '"users"'), { user, remember, isStillValid })
  }

  /** Sets `auth_time` of the session to now. */
  async reauthenticateUser (user: User): Promise<TokenResponse> {
    const reply = this.unsentReply
    return this.#respond(reply, await this.plugin.sessions.reauthenticate(this.assertAuthenticated(), user, this.#refreshTokens, this))
  }

  /** As `SessionService.changePassword`; the new session keeps the `remember` of the old one. */
  async changePassword (user: User, write: WritePassword): Promise<TokenResponse> {
    const reply = this.unsentReply
    const claims = this.assertAuthenticated()
    const { claimedSession } = this
    const remember = claimedSession?.sid === claims.sid ? claimedSession.remember : undefined // the cookie may be that of another session
    return this.#respond(reply, await this.plugin.sessions.changePassword(claims, user, write, this, remember))
  }

  /** Not async: that saves each refresh a promise. */
  refresh (): Promise<TokenResponse> {
    const { sessions, transport } = this.plugin
    const refuse = (error: unknown): never => { throw this.refused(error, 'refresh') }
    try {
      this.refuseCrossSite()
      const reply = this.unsentReply
      const accessToken = transport.renewingToken(this.request)
      const issuing = accessToken === null ? sessions.refresh(this.#refreshTokens, this) : sessions.refreshOrRenew(this.#refreshTokens, accessToken, this)
      return issuing.then(issued => this.#respond(reply, issued), refuse)
    } catch (error) {
      return Promise.reject(this.refused(error, 'refresh'))
    }
  }

  get identity (): Identity {
    return this.#identity as Identity // null only where the types of `SessionVerbs` say so
  }

  get identityOrNull (): Identity | null {
    return this.#identity
  }

  async identify (options?: IdentifyOptions): Promise<Identity> {
    try {
      return await this.#identify(options)
    } catch (error) {
      throw this.refused(error, 'identify')
    }
  }

  async identifyOrNull (options?: IdentifyOptions): Promise<Identity | null> {
    try {
      return await this.#identify(options)
    } catch (error) {
      if (error instanceof AuthError && error.statusCode === 401) return null
      throw this.refused(error, 'identify')
    }
  }

  override async authenticateByCookie (): Promise<void> {
    if (this.plugin.refusals.byCookie !== undefined) return await super.authenticateByCookie()
    if (!isSafe(this.request.method)) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING', { message: COOKIE_READS_ONLY })
    await this.identify()
  }

  async logout (): Promise<void> {
    const { sessions, transport } = this.plugin
    try {
      this.refuseCrossSite()
      const reply = this.unsentReply
      const ended = await sessions.logout(this.#refreshTokens, this)
      if (this.claims !== null && !ended.includes(this.claims.sid)) await sessions.revoke(this.claims.sid, 'logout', this)
      else if (ended.length === 0 && this.#refreshTokens.length > 0) this.emit({ type: 'logout_failed' })
      transport.clear(reply) // last: after a 503 the client logs out again
      this.#newRefreshTokens = []
      this.claims = null
      this.#identity = null
    } catch (error) {
      throw this.refused(error)
    }
  }

  async sessions (part: SessionViewListOptions = {}): Promise<SessionView[]> {
    return await this.#asCaller(async caller => {
      const listed = await this.plugin.sessions.list(caller.sub, this, { ...part, after: part.after && positionOf(part.after) })
      return listed.map(session => toSessionView(session, caller))
    })
  }

  async revokeSession (id: string): Promise<void> {
    await this.#asCaller(async ({ sub }) => {
      const ended = await this.plugin.sessions.revoke(id, 'revoked', this, sub)
      if (!ended) throw new AuthError('FST_AUTH_SESSION_UNKNOWN')
    })
  }

  async revokeOtherSessions (): Promise<number> {
    return await this.#asCaller(async ({ sub, sid }) => await this.plugin.sessions.revokeAll(sub, 'revoked', this, sid))
  }

  /** Acts for the user of the access token, else for that of the cookie, once `identify` has accepted it. */
  async #asCaller<T> (act: (caller: Identity | AccessClaims) => Promise<T>): Promise<T> {
    try {
      const caller = this.claims ?? this.#identity ?? this.assertAuthenticated()
      await this.plugin.sessions.assertUnrevoked(caller, this)
      return await act(caller)
    } catch (error) {
      throw this.refused(error)
    }
  }

  /** `remember` of the current cookie, if `identify` has accepted this user, so that a password change by form keeps it. */
  #remembered (subject: string): boolean | undefined {
    return this.#identity?.sub === subject ? this.claimedSession?.remember : undefined
  }

  /** The options of a login of the user whose password was verified or whose challenge was accepted; none for anybody else. */
  #proofOf (subject: string, changedTo?: string): Pick<NewSessionOptions, 'user' | 'isStillValid'> {
    const proofs = this.#proofs.filter(proof => proof.subject === subject)
    return {
      user: proofs.flatMap(proof => 'user' in proof ? [proof.user] : []).at(-1),
      isStillValid: async () => (await Promise.all(proofs.map(proof => proof.isStillValid(changedTo)))).every(Boolean)
    }
  }

  async #identify (options?: IdentifyOptions): Promise<Identity> {
    const { sessions, origins } = this.plugin
    assertMayUseCookie(this.request, origins)
    // A page of one user must not reach another through a cache. The route may set its own header later.
    if (this.reply?.hasHeader('cache-control') === false) this.reply.header('cache-control', 'no-store')
    this.#identity = await sessions.identify(this.#refreshTokens, this, options)
    return this.#identity
  }

  async #login (subject: string, options: NewSessionOptions): Promise<TokenResponse> {
    const reply = this.unsentReply
    const { replaced, ...issued } = await this.plugin.sessions.login(subject, this, { ...options, replaces: this.#refreshTokens })
    if (replaced !== null) {
      const end = (): Promise<void> => this.plugin.sessions.endReplaced(subject, replaced, this)
      this.plugin.afterReply(this.request, reply, end, 'auth: the session that a login replaced stays valid until the new one is refreshed')
    }
    return this.#respond(reply, issued)
  }

  #respond (reply: FastifyReply, issued: Issued): TokenResponse {
    reply.header('cache-control', 'no-store') // RFC 6749 section 5.1; routes of the app need it too
    const { refreshToken } = issued
    if (refreshToken !== null) this.#newRefreshTokens = [refreshToken.value]
    const fields = refreshToken === null ? {} : this.plugin.transport.send(reply, refreshToken)
    this.claims = issued.claims
    return { access_token: issued.accessToken, token_type: 'Bearer', expires_in: issued.expiresIn, ...fields }
  }
}
