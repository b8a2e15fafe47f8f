import { type FastifyReply, type FastifyRequest } from 'fastify'
import { readAddress } from '../client-address.js'
import { type AccessClaims, type AppClaims, type RefreshClaims } from '../tokens/claims.js'
import { subjectOf } from '../tokens/subject.js'
import { type Bounded, startDeadline, type Timeouts } from '../deadline.js'
import { type AuthEvent, type RequestContext } from '../audit/events.js'
import { type Issued } from '../sessions/issue.js'
import { type TokenKind } from '../keys/ring.js'
import { type WritePassword } from '../sessions/password-change.js'
import { refusalEvent, refusalTypeOf } from '../audit/refusals.js'
import { type LoginOptions, type SessionService } from '../sessions/service.js'
import { type EpochSeconds } from '../time.js'
import { readUserAgent } from '../sessions/rotation-policy.js'
import { type User, type UserId } from '../accounts/user.js'
import { AuthError } from '../errors.js'
import { type AfterReply } from './after-response.js'
import { type Audit } from './audit.js'
import { bearerToken } from './headers.js'
import { type RefreshTokenTransport } from './refresh-token-transport.js'
import { type SessionView, type SessionViewListOptions, positionOf, toSessionView } from './session-view.js'
import { type TokenResponse, toTokenResponse } from './token-response.js'
import { type RequestAuth } from './request-verbs.js'

export { type RequestAuth } from './request-verbs.js'

/** What requests need of the plugin. */
export interface RequestAuthDependencies {
  readonly sessions: SessionService
  readonly transport: Pick<RefreshTokenTransport, 'read' | 'give' | 'forget'>
  /** Whether an access token stands in for a refresh token that expired or is missing. */
  readonly renewWithAccessToken: boolean
  readonly timeouts: Timeouts
  readonly audit: Audit
  readonly afterReply: AfterReply
  /** The reply of a request; null where a hook asks that runs before ours. */
  replyOf (request: FastifyRequest): FastifyReply | null
  /** As `KeySource.seek`, for the key that a token names; undefined where the keys of its kind never change. */
  seekKey (kind: TokenKind, token: string): Promise<void> | undefined
}

/** `request.auth` of one request. A class, since one is made for every authenticated request. */
export class HttpRequestAuth implements Omit<RequestAuth, 'claims'>, RequestContext {
  claims: AccessClaims | null = null
  readonly #plugin: RequestAuthDependencies
  readonly #request: FastifyRequest
  #bounded: Bounded | undefined
  /** The last refusal, which may come by more than once on its way to the client. */
  #refusal: AuthError | undefined

  constructor (plugin: RequestAuthDependencies, request: FastifyRequest) {
    this.#plugin = plugin
    this.#request = request
  }

  get userAgent (): string | null {
    return readUserAgent(this.#request.headers['user-agent'])
  }

  /** Null where there is none: on a Unix socket, or where a proxy passes on what is no address. */
  get ip (): string | null {
    return readAddress(this.#request.ip)
  }

  get bounded (): Bounded {
    this.#bounded ??= startDeadline(this.#plugin.timeouts)
    return this.#bounded
  }

  emit (event: AuthEvent): void {
    this.#plugin.audit.record(event, this, this.#request.id, this.#request.log)
  }

  /**
   * Every refusal of the request passes here, from a hook, a verb or one of our routes: its headers go on the reply itself,
   * since those of an error get lost in a host's own error handler, and it becomes an event.
   */
  refused (error: unknown, refreshing?: boolean): void {
    if (!(error instanceof AuthError) || error === this.#refusal) return
    this.#refusal = error
    this.#plugin.replyOf(this.#request)?.headers(error.headers)
    const type = refusalTypeOf(error, refreshing)
    if (type === null || !this.#plugin.audit.isRecorded(type, this.#request.log)) return
    this.emit(refusalEvent(type, error, type === 'refresh_refused' ? this.holder : null))
  }

  /** Whose request it is. Throws FST_AUTH_ACCESS_TOKEN_MISSING where nobody was authenticated. */
  get subject (): string {
    return this.#authenticated().sub
  }

  /** The claims of their access token, which name its session. Throws as `subject` does. */
  get session (): AccessClaims {
    return this.#authenticated()
  }

  /** The session of the refresh token, by its signature alone; null without one, or with those of several people. */
  get holder (): RefreshClaims | null {
    return this.#plugin.sessions.holder(this.#plugin.transport.read(this.#request))
  }

  async holdsLiveSession (): Promise<boolean> {
    const { holder } = this
    return holder !== null && await this.#plugin.sessions.isHeldLive(holder, this)
  }

  /** When they last proved who they are. Throws as `subject` does. */
  get authTime (): EpochSeconds {
    return this.#authenticated().auth_time
  }

  /**
   * As `authenticate`, for the hooks, which most requests go through: a promise only if the store has to be asked, or
   * for a new key.
   */
  authenticateNow (): Promise<void> | void {
    const claims = this.#claimsOf(this.#accessToken())
    if (claims instanceof Promise || !this.#plugin.sessions.isCertain(claims)) {
      return this.#confirmed(claims).then(confirmed => { this.claims = confirmed })
    }
    this.claims = claims
  }

  async authenticate (): Promise<AccessClaims> {
    return await this.#refusing(async () => {
      await this.authenticateNow()
      return this.#authenticated()
    })
  }

  /** The claims of any access token, judged as by `authenticate`; the request stays whose it is. */
  async verify (token: string): Promise<AccessClaims> {
    return await this.#confirmed(this.#claimsOf(token))
  }

  /**
   * The claims of whoever is authenticated, if their session lives. Whoever holds an access token of an ended session, a
   * thief after the owner has changed the password say, may not manage the account until that token expires.
   * Throws FST_AUTH_SESSION_ENDED, FST_AUTH_STORE_UNAVAILABLE.
   */
  async assertLive (): Promise<AccessClaims> {
    const claims = this.#authenticated()
    await this.#plugin.sessions.confirmStrictly(claims, this)
    return claims
  }

  async authenticateStrict (): Promise<AccessClaims> {
    const claims = await this.#claimsOf(this.#accessToken())
    await this.#plugin.sessions.confirmStrictly(claims, this)
    this.claims = claims
    return claims
  }

  async login (subject: UserId, { claims, remember }: { claims?: AppClaims, remember?: boolean } = {}): Promise<TokenResponse> {
    return await this.#refusing(() => this.#start(subjectOf(subject, 'request.auth.login()'), { claims, remember }))
  }

  /** As `login`, for a user whom the accounts have just loaded; `stillProven` as in `LoginOptions`. */
  async loginUser (user: User, remember: boolean | undefined, stillProven?: () => Promise<boolean>): Promise<TokenResponse> {
    return await this.#start(subjectOf(user.id, '"users"'), { user, remember, stillProven })
  }

  /** Notes that the person has just been proven; the same session goes on. */
  async reauthenticateUser (user: User): Promise<TokenResponse> {
    return this.#grant(await this.#plugin.sessions.reauthenticate(this.#authenticated(), user, this))
  }

  /** As `SessionService.changePassword`; the new cookie is kept as long as the old one was to be. */
  async changePassword (user: User, write: WritePassword): Promise<TokenResponse> {
    const remember = this.holder?.remember
    return this.#grant(await this.#plugin.sessions.changePassword(this.#authenticated(), user, write, this, remember))
  }

  async refresh (): Promise<TokenResponse> {
    return await this.#refusing(() => this.#refresh(), true)
  }

  async logout (): Promise<void> {
    await this.#refusing(() => this.#logout())
  }

  async sessions ({ limit, after }: SessionViewListOptions = {}): Promise<SessionView[]> {
    return await this.#refusing(async () => {
      const asking = await this.assertLive()
      return (await this.#plugin.sessions.list(asking.sub, this, { limit, after: after && positionOf(after) })).map(session => toSessionView(session, asking))
    })
  }

  async revokeSession (id: string): Promise<void> {
    await this.#refusing(async () => {
      const { sub } = await this.assertLive()
      const ended = await this.#plugin.sessions.revoke(id, 'revoked', this, sub)
      if (!ended) throw new AuthError('FST_AUTH_SESSION_UNKNOWN')
    })
  }

  async revokeOtherSessions (): Promise<number> {
    return await this.#refusing(async () => {
      const { sub, sid } = await this.assertLive()
      return await this.#plugin.sessions.revokeAll(sub, 'revoked', this, sid)
    })
  }

  /** Runs a verb. An app may call it anywhere, so its refusals are seen to before they go on. */
  async #refusing<T> (verb: () => Promise<T>, refreshing?: boolean): Promise<T> {
    try {
      return await verb()
    } catch (error) {
      this.refused(error, refreshing)
      throw error
    }
  }

  async #refresh (): Promise<TokenResponse> {
    const tokens = this.#plugin.transport.read(this.#request)
    await Promise.all(tokens.map(token => this.#seekRefreshKey(token)))
    const token = this.#plugin.sessions.choose(tokens)
    try {
      if (token === undefined) throw new AuthError('FST_AUTH_REFRESH_TOKEN_MISSING')
      return this.#grant(await this.#plugin.sessions.refresh(token, this))
    } catch (refusal) {
      const claims = await this.#standIn(refusal)
      if (claims === null) throw refusal
      return this.#grant(await this.#plugin.sessions.renew(claims, this, token))
    }
  }

  async #logout (): Promise<void> {
    const { sessions, transport } = this.#plugin
    const tokens = transport.read(this.#request)
    // Each by itself: one that was tossed in must not keep the other from ending.
    const ends = tokens.map(async token => {
      await this.#seekRefreshKey(token)
      return await sessions.logout(token, this)
    })
    await Promise.allSettled(ends)
    const ended = (await Promise.all(ends)).includes(true)
    if (!ended && this.claims !== null) await sessions.revoke(this.claims.sid, 'logout', this)
    else if (!ended && tokens.length > 0) this.emit({ type: 'logout_failed' })
    transport.forget(this.#reply())
    this.claims = null
  }

  async #start (subject: string, options: LoginOptions): Promise<TokenResponse> {
    const replaces = this.#plugin.sessions.choose(this.#plugin.transport.read(this.#request), subject)
    const { replaced, ...issued } = await this.#plugin.sessions.login(subject, this, { ...options, replaces })
    if (replaced !== null) {
      const end = (): Promise<void> => this.#plugin.sessions.endReplaced(subject, replaced, this)
      this.#plugin.afterReply(this.#request, this.#reply(), end, 'auth: the session that a login replaced lives on until the new one is refreshed')
    }
    return this.#grant(issued)
  }

  #grant (issued: Issued): TokenResponse {
    this.#reply().header('cache-control', 'no-store') // RFC 6749 section 5.1, in routes of the app too
    const given = issued.refreshToken === null ? {} : this.#plugin.transport.give(this.#reply(), issued.refreshToken)
    this.claims = issued.claims
    return { ...toTokenResponse(issued), ...given }
  }

  /** The claims of the access token that stands in for a refresh token which is gone; null where none may. */
  async #standIn (refusal: unknown): Promise<AccessClaims | null> {
    if (!this.#plugin.renewWithAccessToken || !(refusal instanceof AuthError) || !/^FST_AUTH_REFRESH_TOKEN_(MISSING|EXPIRED)$/.test(refusal.code)) return null
    try {
      return await this.#claimsOf(this.#accessToken())
    } catch {
      return null
    }
  }

  /** The claims of an access token; a promise only where another instance may have read its key before this one. */
  #claimsOf (token: string): Promise<AccessClaims> | AccessClaims {
    const { sessions } = this.#plugin
    try {
      return sessions.authenticate(token)
    } catch (error) {
      const sought = this.#plugin.seekKey('access', token)
      if (sought === undefined) throw error
      return sought.catch(() => {}).then(() => sessions.authenticate(token)) // after a 401 a client refreshes
    }
  }

  /** Throws FST_AUTH_STORE_UNAVAILABLE where the key of a refresh token may be one that cannot be read now: a 401 would log somebody out. */
  async #seekRefreshKey (token: string): Promise<void> {
    const sought = this.#plugin.seekKey('refresh', token)
    if (sought !== undefined) await this.bounded(() => sought)
  }

  /** The claims, once their session is not known to have ended. */
  async #confirmed (claims: Promise<AccessClaims> | AccessClaims): Promise<AccessClaims> {
    const { sessions } = this.#plugin
    const known = await claims
    if (!sessions.isCertain(known)) await sessions.confirm(known, this)
    return known
  }

  #reply (): FastifyReply {
    const reply = this.#plugin.replyOf(this.#request)
    if (reply === null) throw new TypeError('request.auth cannot set a cookie yet: register fastify-refresh-cookie before the hooks that use it')
    return reply
  }

  #accessToken (): string {
    const token = bearerToken(this.#request.headers)
    if (token === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return token
  }

  #authenticated (): AccessClaims {
    if (this.claims === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return this.claims
  }
}
