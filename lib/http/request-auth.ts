import { type FastifyReply } from 'fastify'
import { type AcceptChallengeOptions, type Challenges, type IssueChallengeOptions } from '../accounts/challenges.js'
import { type Credentials, type PasswordVerifier } from '../accounts/password-verifier.js'
import { type CustomUser, type User, type UserId, type VerifiedLogin } from '../accounts/user.js'
import { AuthError } from '../errors.js'
import { type Identity, type IdentifyOptions } from '../sessions/identify.js'
import { type Issued } from '../sessions/issue.js'
import { type WritePassword } from '../sessions/password-change.js'
import { type SessionService } from '../sessions/service.js'
import { type NewSessionOptions } from '../sessions/login.js'
import { type AccessClaims, type AppClaims, type RefreshClaims } from '../tokens/claims.js'
import { subjectOf } from '../tokens/subject.js'
import { type AfterReply } from './lifecycle.js'
import { Authentication, type AuthenticationDependencies } from './authentication.js'
import { assertMayUseCookie, crossSiteRefusal, isSafe, isTrustedSource, isTyped, type OriginPolicy, sourceOf } from './csrf.js'
import { bearerToken } from './headers.js'
import { type RefreshTokenTransport } from './refresh-token-transport.js'
import { positionOf, toSessionView, type SessionView, type SessionViewListOptions } from './session-view.js'
import { type SessionVerbs } from './session-auth-api.js'
import { toTokenResponse, type TokenResponse } from './token-response.js'

export interface RequestAuthDependencies extends AuthenticationDependencies {
  readonly sessions: SessionService
  /** Undefined without `users.findByUsername`. */
  readonly passwordVerifier: Pick<PasswordVerifier, 'verifyLogin'> | undefined
  readonly challenges: Challenges
  readonly transport: Pick<RefreshTokenTransport, 'read' | 'send' | 'clear'>
  /** An access token replaces a refresh token that is expired or missing. */
  readonly renewWithAccessToken: boolean
  /** The CSRF policy. */
  readonly origins: OriginPolicy
  readonly afterReply: AfterReply
}

/** A request that changes something must come from a page that holds an access token: a cookie is sent without the page's help. */
const COOKIE_READS_ONLY = 'The refresh cookie authenticates GET and HEAD only: protect this route with authenticate, and send an access token'

/** `request.auth` of an app with sessions. */
export class HttpRequestAuth extends Authentication<RequestAuthDependencies> implements SessionVerbs {
  /** The CSRF policy has accepted the request. */
  #isTrusted = false
  /** The user whose password this request has verified. */
  #verified: VerifiedLogin | undefined
  #identity: Identity | null = null

  /**
   * Enforces the CSRF policy, once per request; leaves the cookie unchanged. Throws FST_AUTH_CROSS_SITE. Our own routes have
   * been checked before their handlers call this; they have no `crossSite`.
   */
  override refuseCrossSite (methods: 'all methods' | 'unless safe' = 'all methods'): void {
    if (this.#isTrusted) return
    if (methods === 'unless safe' && (isSafe(this.request.method) || this.request.method === 'OPTIONS')) return
    const source = sourceOf(this.request)
    const isAccepted = isTrustedSource(source, this.plugin.origins) || (!this.isExempt && isTyped(source)) || this.request.routeOptions.config.crossSite === true
    if (!isAccepted) throw crossSiteRefusal(source)
    this.#isTrusted = true
  }

  /** The session of the refresh token, from its signature alone; null without a token, or with tokens of several subjects. */
  override get presented (): RefreshClaims | null {
    return this.plugin.sessions.sessionOf(this.plugin.transport.read(this.request))
  }

  async hasLiveSession (): Promise<boolean> {
    const { presented } = this
    return presented !== null && await this.plugin.sessions.isLive(presented, this)
  }

  /** The claims of any access token. The request's own authentication stays as it is. */
  async verify (token: string): Promise<AccessClaims> {
    return await this.plugin.sessions.authenticate(token, this)
  }

  /**
   * The claims of the request, if the store knows the session as live. Otherwise an access token stolen before a password change
   * could manage the account until it expires. Throws FST_AUTH_ACCESS_TOKEN_MISSING, FST_AUTH_SESSION_ENDED,
   * FST_AUTH_STORE_UNAVAILABLE.
   */
  async assertUnrevoked (): Promise<AccessClaims> {
    const claims = this.assertAuthenticated()
    await this.plugin.sessions.assertUnrevoked(claims, this)
    return claims
  }

  async verifyPassword (sent: Credentials): Promise<User & CustomUser> {
    const credentials = Object(sent) as Credentials // a request without a body has undefined
    const { passwordVerifier } = this.plugin
    if (passwordVerifier === undefined) throw new TypeError('request.auth.verifyPassword() needs "users.findByUsername"')
    try {
      this.refuseCrossSite()
      this.#verified = await passwordVerifier.verifyLogin(credentials, this)
      return this.#verified.user as User & CustomUser // the app's own object, with the columns that it declares
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
      return await this.plugin.challenges.accept(token, options, this)
    } catch (error) {
      throw this.refused(error)
    }
  }

  async login (subject: UserId, { claims, remember }: { claims?: AppClaims, remember?: boolean } = {}): Promise<TokenResponse> {
    try {
      this.refuseCrossSite()
      const text = subjectOf(subject, 'request.auth.login()')
      return await this.#start(text, { claims, remember, ...this.#ofVerified(text) })
    } catch (error) {
      throw this.refused(error)
    }
  }

  /** As `login`, for a user that is already loaded; `isStillValid` as in `NewSessionOptions`. */
  async loginUser (user: User, remember: boolean | undefined, isStillValid?: () => Promise<boolean>): Promise<TokenResponse> {
    return await this.#start(subjectOf(user.id, '"users"'), { user, remember, isStillValid })
  }

  /** Sets `auth_time` of the session to now. */
  async reauthenticateUser (user: User): Promise<TokenResponse> {
    return this.#respond(await this.plugin.sessions.reauthenticate(this.assertAuthenticated(), user, this))
  }

  /** As `SessionService.changePassword`; the new session keeps the `remember` of the old one. */
  async changePassword (user: User, write: WritePassword): Promise<TokenResponse> {
    const remember = this.presented?.remember
    return this.#respond(await this.plugin.sessions.changePassword(this.assertAuthenticated(), user, write, this, remember))
  }

  /** Not async: that saves each refresh a promise. */
  refresh (): Promise<TokenResponse> {
    const refuse = (error: unknown): never => { throw this.refused(error, 'refresh') }
    try {
      this.refuseCrossSite()
      return this.#issueByRefreshToken().then(issued => this.#respond(issued), refuse)
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
    if (this.plugin.cookieRefusal !== undefined) return await super.authenticateByCookie()
    if (!isSafe(this.request.method)) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING', { message: COOKIE_READS_ONLY })
    await this.identify()
  }

  async logout (): Promise<void> {
    const { sessions, transport } = this.plugin
    try {
      this.refuseCrossSite()
      const tokens = transport.read(this.request)
      const ended = await sessions.logout(tokens, this)
      if (!ended && this.claims !== null) await sessions.revoke(this.claims.sid, 'logout', this)
      else if (!ended && tokens.length > 0) this.emit({ type: 'logout_failed' })
      transport.clear(this.#reply())
      this.claims = null
      this.#identity = null
    } catch (error) {
      throw this.refused(error)
    }
  }

  async sessions (part: SessionViewListOptions = {}): Promise<SessionView[]> {
    try {
      const asking = await this.assertUnrevoked()
      const listed = await this.plugin.sessions.list(asking.sub, this, { ...part, after: part.after && positionOf(part.after) })
      return listed.map(session => toSessionView(session, asking))
    } catch (error) {
      throw this.refused(error)
    }
  }

  async revokeSession (id: string): Promise<void> {
    try {
      const { sub } = await this.assertUnrevoked()
      const ended = await this.plugin.sessions.revoke(id, 'revoked', this, sub)
      if (!ended) throw new AuthError('FST_AUTH_SESSION_UNKNOWN')
    } catch (error) {
      throw this.refused(error)
    }
  }

  async revokeOtherSessions (): Promise<number> {
    try {
      const { sub, sid } = await this.assertUnrevoked()
      return await this.plugin.sessions.revokeAll(sub, 'revoked', this, sid)
    } catch (error) {
      throw this.refused(error)
    }
  }

  /** The options of a login of the user whose password was verified; none for anybody else. */
  #ofVerified (subject: string): Pick<NewSessionOptions, 'user' | 'isStillValid'> {
    if (this.#verified?.subject !== subject) return {}
    const { user, isStillValid } = this.#verified
    return { user, isStillValid }
  }

  async #identify (options?: IdentifyOptions): Promise<Identity> {
    const { sessions, transport, origins, replyOf } = this.plugin
    assertMayUseCookie(this.request, origins)
    const reply = replyOf(this.request)
    // A page of one user must not reach another through a cache. The route may set its own header later.
    if (reply?.hasHeader('cache-control') === false) reply.header('cache-control', 'no-store')
    this.#identity = await sessions.identify(transport.read(this.request), this, options)
    return this.#identity
  }

  #issueByRefreshToken (): Promise<Issued> {
    const { sessions, transport, renewWithAccessToken } = this.plugin
    const presented = transport.read(this.request)
    const accessToken = renewWithAccessToken ? bearerToken(this.request.headers) : null
    return accessToken === null ? sessions.refresh(presented, this) : sessions.refreshOrRenew(presented, accessToken, this)
  }

  async #start (subject: string, options: NewSessionOptions): Promise<TokenResponse> {
    const { replaced, ...issued } = await this.plugin.sessions.login(subject, this, { ...options, replaces: this.plugin.transport.read(this.request) })
    if (replaced !== null) {
      const end = (): Promise<void> => this.plugin.sessions.endReplaced(subject, replaced, this)
      this.plugin.afterReply(this.request, this.#reply(), end, 'auth: the session that a login replaced stays valid until the new one is refreshed')
    }
    return this.#respond(issued)
  }

  #respond (issued: Issued): TokenResponse {
    this.#reply().header('cache-control', 'no-store') // RFC 6749 section 5.1; routes of the app need it too
    const fields = issued.refreshToken === null ? {} : this.plugin.transport.send(this.#reply(), issued.refreshToken)
    this.claims = issued.claims
    return { ...toTokenResponse(issued), ...fields }
  }

  #reply (): FastifyReply {
    const reply = this.plugin.replyOf(this.request)
    if (reply === null) throw new TypeError('request.auth cannot set a cookie yet: register fastify-refresh-cookie before the hooks that use it')
    return reply
  }
}
