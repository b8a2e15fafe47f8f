import { type FastifyReply } from 'fastify'
import { type AcceptChallengeOptions, type AcceptedChallenge, type Challenges, type IssueChallengeOptions } from '../accounts/challenges.js'
import { type Credentials, type PasswordVerifier } from '../accounts/password-verifier.js'
import { type CustomUser, type User, type UserId, type VerifiedLogin } from '../accounts/user.js'
import { AuthError, withMessage } from '../errors.js'
import { type Identity, type IdentifyOptions } from '../sessions/identify.js'
import { type Issued } from '../sessions/issue-tokens.js'
import { type SessionService, type WritePassword } from '../sessions/session-service.js'
import { type NewSessionOptions } from '../sessions/login.js'
import { type AccessClaims, type RefreshClaims } from '../tokens/claims.js'
import { subjectOf } from '../tokens/subject.js'
import { keepErrorsFromCaches, keepFromCaches } from './reply-headers.js'
import { type AfterReply } from './lifecycle.js'
import { isReplied, type RequestAuthParts, TokenAuth } from './request-auth.js'
import { assertMayUseCookie, crossSiteRefusal, isSafe, isTrustedSource, isUserInitiated, type OriginPolicy, sourceOf } from './csrf.js'
import { type RefreshTokenTransport } from './refresh-token-transport.js'
import { type SessionMethods } from './session-methods.js'
import { positionOf, toSessionView, type SessionView, type SessionViewListOptions } from './session-view.js'
import { type TokenResponse } from './token-response.js'

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
export class SessionAuth extends TokenAuth<SessionAuthParts> implements SessionMethods {
  /** The CSRF policy has accepted the request. */
  #isTrusted = false
  /** The passwords that this request has verified, and the challenges that it has accepted. */
  readonly #proofs: Array<VerifiedLogin | AcceptedChallenge> = []
  #identity: Identity | null = null
  /** The refresh tokens after this request has changed them; undefined until then. */
  #newRefreshTokens: readonly string[] | undefined

  /**
   * Enforces the CSRF policy, once per request; leaves the cookie unchanged. Throws FST_AUTH_CROSS_SITE. Our own routes have
   * been checked before their handlers call this; they have no `crossSite`.
   */
  override refuseCrossSite (methods: 'all methods' | 'unless safe' = 'all methods'): void {
    if (this.#isTrusted) return
    if (methods === 'unless safe' && (isSafe(this.request.method) || this.request.method === 'OPTIONS')) return
    const source = sourceOf(this.request)
    // A route of the app may also be a link that the user types or opens from a mail, and may allow other sites.
    const isOpen = !this.isOwnRoute && (this.request.routeOptions.config.crossSite === true || isUserInitiated(source))
    if (!isOpen && !isTrustedSource(source, this.parts.origins)) throw crossSiteRefusal(source, this.isOwnRoute)
    this.#isTrusted = true
  }

  get #refreshTokens (): readonly string[] {
    return this.#newRefreshTokens ?? this.parts.transport.read(this.request)
  }

  /** The session of the refresh token, from its signature and expiry, without the store; null without a valid token, or with tokens of several subjects. */
  override get claimedSession (): RefreshClaims | null {
    return this.parts.sessions.claimsOf(this.#refreshTokens)
  }

  async hasLiveSession (): Promise<boolean> {
    return await this.parts.sessions.hasLiveSession(this.#refreshTokens, this)
  }

  /** The claims of any access token. The request's own authentication stays as it is. */
  async verify (token: string): Promise<AccessClaims> {
    return await this.parts.sessions.authenticate(token, this)
  }

  /**
   * The claims of the request, if the store knows the session as unrevoked. Otherwise an access token stolen before a password change
   * could manage the account until it expires. Throws FST_AUTH_ACCESS_TOKEN_MISSING, FST_AUTH_SESSION_ENDED,
   * FST_AUTH_STORE_UNAVAILABLE.
   */
  async assertUnrevoked (): Promise<AccessClaims> {
    const claims = this.assertAuthenticated()
    await this.parts.sessions.assertUnrevoked(claims, this)
    return claims
  }

  async verifyPassword (sent: Credentials): Promise<User & CustomUser> {
    const { passwordVerifier, usernameField } = this.parts
    if (passwordVerifier === undefined) throw new TypeError('request.auth.verifyPassword() needs "users.findByUsername"')
    try {
      this.refuseCrossSite()
      const body = Object(sent) as Credentials & Readonly<Record<string, unknown>> // a request without a body has undefined
      const { username = body[usernameField], password } = body
      const verified = await passwordVerifier.verifyLogin({ username, password }, this)
      this.#proofs.push(verified)
      return verified.user as User & CustomUser // the app's own object, with the columns that it declares
    } catch (error) {
      throw this.recordRefusal(error)
    }
  }

  async issueChallenge (subject: UserId, options: IssueChallengeOptions): Promise<string> {
    try {
      return await this.parts.challenges.issue(subjectOf(subject, 'request.auth.issueChallenge()'), options, this)
    } catch (error) {
      throw this.recordRefusal(error)
    }
  }

  async acceptChallenge (token: unknown, options: AcceptChallengeOptions): Promise<string> {
    try {
      const accepted = await this.parts.challenges.accept(token, options, this)
      this.#proofs.push(accepted)
      return accepted.subject
    } catch (error) {
      throw this.recordRefusal(error)
    }
  }

  async login (subject: UserId, { claims, remember, authTime, boundTo }: Parameters<SessionMethods['login']>[1] = {}): Promise<TokenResponse> {
    try {
      this.refuseCrossSite()
      const text = subjectOf(subject, 'request.auth.login()')
      return await this.startSession(text, { claims, authTime, remember: remember ?? this.#remembered(text), ...this.#proofOf(text, boundTo) })
    } catch (error) {
      const isUsedUp = this.#proofs.some(proof => 'isUsedUp' in proof && proof.isUsedUp)
      throw this.recordRefusal(isUsedUp ? withMessage(error, 'The server is temporarily unavailable, and the challenge is used up: start again') : error)
    }
  }

  /** As `login`, for a subject that is verified and has passed the CSRF policy. */
  async startSession (subject: string, options: NewSessionOptions): Promise<TokenResponse> {
    const reply = this.unsentReply
    const { replaced, ...issued } = await this.parts.sessions.login(subject, this, { ...options, replaces: this.#refreshTokens })
    if (replaced !== null) {
      const end = (): Promise<void> => this.parts.sessions.endReplaced(subject, replaced, this)
      this.parts.afterReply(this.request, reply, end, 'auth: the session that a login replaced stays valid until the new one is refreshed')
    }
    return this.#respond(reply, issued)
  }

  /** Sets `auth_time` of the session to now. */
  async reauthenticateUser (user: User): Promise<TokenResponse> {
    const reply = this.unsentReply
    return this.#respond(reply, await this.parts.sessions.reauthenticate(this.assertAuthenticated(), user, this.#refreshTokens, this))
  }

  /** As `SessionService.changePassword`; the new session keeps the `remember` of the old one. */
  async changePassword (user: User, write: WritePassword): Promise<TokenResponse> {
    const reply = this.unsentReply
    const claims = this.assertAuthenticated()
    const { claimedSession } = this
    const remember = claimedSession?.sid === claims.sid ? claimedSession.remember : undefined // the cookie may be that of another session
    return this.#respond(reply, await this.parts.sessions.changePassword(claims, user, write, this, remember))
  }

  /** Not async: that saves each refresh a promise. */
  refresh (): Promise<TokenResponse> {
    const { sessions, transport } = this.parts
    const refuse = (error: unknown): never => { throw this.recordRefusal(error, 'refresh') }
    try {
      this.refuseCrossSite()
      const reply = this.unsentReply
      const accessToken = transport.renewingToken?.(this.request) ?? null
      const issuing = accessToken === null ? sessions.refresh(this.#refreshTokens, this) : sessions.refreshOrRenew(this.#refreshTokens, accessToken, this)
      return issuing.then(issued => this.#respond(reply, issued), refuse)
    } catch (error) {
      return Promise.reject(this.recordRefusal(error, 'refresh'))
    }
  }

  get identity (): Identity {
    return this.#identity as Identity // null only where `SessionMethods` documents it
  }

  get identityOrNull (): Identity | null {
    return this.#identity
  }

  async identify (options?: IdentifyOptions): Promise<Identity> {
    try {
      return await this.#identify(options)
    } catch (error) {
      this.#keepPrivate() // another visitor must not get the refusal of this one
      throw this.recordRefusal(error, 'identify')
    }
  }

  async identifyOrNull (options?: IdentifyOptions): Promise<Identity | null> {
    try {
      return await this.#identify(options)
    } catch (error) {
      if (!(error instanceof AuthError) || error.statusCode !== 401) throw this.recordRefusal(error, 'identify')
      if (this.reply !== null) keepErrorsFromCaches(this.reply)
      return null
    }
  }

  override async authenticateByCookie (): Promise<void> {
    if (this.parts.unusableHooks.byCookie !== undefined) return await super.authenticateByCookie()
    if (this.isOwnRoute) return // `identify` would keep the published keys from caches
    if (!isSafe(this.request.method)) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING', { message: COOKIE_READS_ONLY })
    await this.identify()
  }

  async logout (): Promise<void> {
    const { sessions, transport } = this.parts
    try {
      this.refuseCrossSite()
      const reply = this.unsentReply
      const ended = await sessions.logout(this.#refreshTokens, this)
      if (this.claims !== null && !ended.includes(this.claims.sid)) await sessions.revoke(this.claims.sid, 'logout', this)
      else if (ended.length === 0 && this.#refreshTokens.length > 0) this.emit({ type: 'logout_failed' })
      this.#noteLateReply(reply)
      transport.clear(reply) // last: after a 503 the client logs out again
      this.#newRefreshTokens = []
      this.claims = null
      this.#identity = null
    } catch (error) {
      throw this.recordRefusal(error)
    }
  }

  async sessions (part: SessionViewListOptions = {}): Promise<SessionView[]> {
    return await this.#asCaller(async caller => {
      const listed = await this.parts.sessions.list(caller.sub, this, { ...part, after: part.after && positionOf(part.after) })
      return listed.map(session => toSessionView(session, caller))
    })
  }

  async revokeSession (id: string): Promise<void> {
    await this.#asCaller(async ({ sub }) => {
      const ended = await this.parts.sessions.revoke(id, 'revoked', this, sub)
      if (!ended) throw new AuthError('FST_AUTH_SESSION_UNKNOWN')
    })
  }

  async revokeOtherSessions (): Promise<number> {
    return await this.#asCaller(async ({ sub, sid }) => await this.parts.sessions.revokeAll(sub, 'revoked', this, sid))
  }

  /** Acts for the user of the access token, else for that of the cookie, once `identify` has accepted it. */
  async #asCaller<T> (act: (caller: Identity | AccessClaims) => Promise<T>): Promise<T> {
    try {
      const caller = this.claims ?? this.#identity ?? this.assertAuthenticated()
      // A socket or a stream may have been open for longer than the token lives.
      const isExpired = this.parts.clock() >= ('exp' in caller ? caller.exp : caller.expiresAt)
      if (isExpired) throw new AuthError('exp' in caller ? 'FST_AUTH_ACCESS_TOKEN_EXPIRED' : 'FST_AUTH_SESSION_ENDED')
      await this.parts.sessions.assertUnrevoked(caller, this)
      return await act(caller)
    } catch (error) {
      throw this.recordRefusal(error)
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
    const { sessions, origins } = this.parts
    assertMayUseCookie(this.request, origins)
    // A page of a visitor may set its own header later.
    if (this.reply?.hasHeader('cache-control') === false) this.reply.header('cache-control', 'no-store')
    this.#identity = await sessions.identify(this.#refreshTokens, this, options)
    this.#keepPrivate()
    return this.#identity
  }

  #keepPrivate (): void {
    if (this.reply !== null) keepFromCaches(this.reply)
  }

  /** It does not throw: the rejection of a call that nobody awaits would end the process. */
  #noteLateReply (reply: FastifyReply): void {
    if (isReplied(reply)) this.request.log.error('auth: the reply was sent before request.auth.login(), refresh() or logout() had ended, so its cookie is lost: await the call')
  }

  #respond (reply: FastifyReply, issued: Issued): TokenResponse {
    this.#noteLateReply(reply)
    reply.header('cache-control', 'no-store') // RFC 6749 section 5.1; routes of the app need it too
    if (!this.isOwnRoute) keepFromCaches(reply) // our own routes have an onSend hook for it
    const { refreshToken } = issued
    if (refreshToken !== null) this.#newRefreshTokens = [refreshToken.value]
    const fields = refreshToken === null ? {} : this.parts.transport.send(reply, refreshToken)
    this.claims = issued.claims
    return { access_token: issued.accessToken, token_type: 'Bearer', expires_in: issued.expiresIn, ...fields }
  }
}
