import { type FastifyReply, type FastifyRequest } from 'fastify'
import { subjectOf, type AccessClaims, type AppClaims, type Holder } from '../core/claims.js'
import { type AuthEvent, type RequestContext } from '../core/events.js'
import { type Issued } from '../core/issue.js'
import { type LoginOptions, type Sessions } from '../core/sessions.js'
import { type EpochSeconds } from '../core/time.js'
import { type User } from '../core/user.js'
import { AuthError } from '../errors.js'
import { type Audit } from './audit.js'
import { bearerToken } from './bearer.js'
import { type RefreshCookie } from './cookie.js'
import { toDevice, type Device } from './device.js'
import { toGrant, type Grant } from './grant.js'

/** `request.auth`: who sends the request, and the verbs of a login. */
export interface RequestAuth {
  /**
   * The claims of the access token; null until one was authenticated. Typed as if it always had been, since that is so
   * behind `app.authenticate`; behind `app.authenticateOptional` compare it with null.
   */
  readonly claims: AccessClaims
  /** Authenticates the request by its access token. Rejects with FST_AUTH_ACCESS_TOKEN_MISSING, _INVALID or _EXPIRED. */
  authenticate (): Promise<AccessClaims>
  /** Starts a session for somebody whom the app has recognised in its own way; sets the cookie. */
  login (subject: string | number, options?: { claims?: AppClaims, remember?: boolean }): Promise<Grant>
  /** Swaps the refresh cookie for a new access token; sets the cookie where it changed. */
  refresh (): Promise<Grant>
  /** Ends the session of the refresh cookie, else that of the access token; clears the cookie. */
  logout (): Promise<void>
  /** The caller's sessions, oldest first. Needs an authenticated request, as the two below do. */
  sessions (): Promise<Device[]>
  /** Ends one of the caller's sessions. Rejects with FST_AUTH_SESSION_UNKNOWN if it is not theirs. */
  revokeSession (id: string): Promise<void>
  /** Ends all of the caller's sessions but this one. Resolves to how many. */
  revokeOtherSessions (): Promise<number>
}

/** What requests need of the plugin. */
export interface RequestAuthDependencies {
  readonly sessions: Sessions
  readonly cookie: RefreshCookie
  readonly audit: Audit
  /** The reply of a request. Throws where a hook asks that runs before ours. */
  replyOf (request: FastifyRequest): FastifyReply
}

const MAX_USER_AGENT_LENGTH = 256

/** `request.auth` of one request. A class, since one is made for every authenticated request. */
export class HttpRequestAuth implements Omit<RequestAuth, 'claims'>, RequestContext {
  claims: AccessClaims | null = null
  readonly #plugin: RequestAuthDependencies
  readonly #request: FastifyRequest

  constructor (plugin: RequestAuthDependencies, request: FastifyRequest) {
    this.#plugin = plugin
    this.#request = request
  }

  /** Without control characters, which Node accepts in a header and a log or a page might not. */
  get userAgent (): string | null {
    const sent = this.#request.headers['user-agent']
    return sent === undefined ? null : sent.replace(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT_LENGTH)
  }

  get ip (): string {
    return this.#request.ip
  }

  emit (event: AuthEvent): void {
    this.#plugin.audit(event, this, this.#request.id, this.#request.log)
  }

  /** Whose request it is. Throws FST_AUTH_ACCESS_TOKEN_MISSING where nobody was authenticated. */
  get subject (): string {
    return this.#authenticated().sub
  }

  /** The session that the access token belongs to. Throws as `subject` does. */
  get session (): Holder {
    return this.#authenticated()
  }

  /** The session of the refresh cookie, by its signature alone; null without one, or with two that differ. */
  get holder (): Holder | null {
    const [token, ...others] = this.#plugin.cookie.read(this.#request)
    return token === undefined || others.length > 0 ? null : this.#plugin.sessions.holder(token)
  }

  /** When they last proved who they are. Throws as `subject` does. */
  get authTime (): EpochSeconds {
    return this.#authenticated().auth_time
  }

  /**
   * As `authenticate`, for the hooks, which most requests go through: a promise only if the store has to be asked.
   */
  authenticateNow (): Promise<void> | void {
    const { sessions } = this.#plugin
    const claims = sessions.authenticate(this.#accessToken())
    if (sessions.isCertain(claims)) {
      this.claims = claims
      return
    }
    return sessions.confirm(claims).then(() => { this.claims = claims })
  }

  async authenticate (): Promise<AccessClaims> {
    await this.authenticateNow()
    return this.#authenticated()
  }

  async authenticateStrict (): Promise<AccessClaims> {
    this.claims = await this.#plugin.sessions.authenticateStrict(this.#accessToken())
    return this.claims
  }

  async login (subject: string | number, options: { claims?: AppClaims, remember?: boolean } = {}): Promise<Grant> {
    return await this.#start(subjectOf(subject), { claims: options.claims, remember: options.remember })
  }

  /** As `login`, for a user whom the accounts have just loaded. */
  async loginUser (user: User, remember: boolean | undefined): Promise<Grant> {
    return await this.#start(subjectOf(user.id), { user, remember })
  }

  /** Notes that the person has just been proven; the same session goes on. */
  async reauthenticateUser (user: User): Promise<Grant> {
    return this.#grant(await this.#plugin.sessions.reauthenticate(this.#authenticated(), user, this))
  }

  /**
   * Ends every session of a user whose password changes, around the change: before, so that nothing is changed when the
   * store cannot be reached; after, since somebody may have logged in with the old password meanwhile. A new one starts.
   */
  async changePassword (user: User, change: () => Promise<void>): Promise<Grant> {
    const { sessions } = this.#plugin
    const { sub, sid } = this.#authenticated()
    await sessions.revokeAll(sub, 'password_changed', this, sid)
    await change()
    const issued = await sessions.login(sub, this, { user })
    await sessions.revokeAll(sub, 'password_changed', this, issued.claims.sid)
    return this.#grant(issued)
  }

  async refresh (): Promise<Grant> {
    const [token, ...others] = this.#plugin.cookie.read(this.#request)
    if (token === undefined) throw new AuthError('FST_AUTH_REFRESH_TOKEN_MISSING')
    // Two different cookies of our name: a sibling domain may have tossed one in, so neither is believed.
    if (others.length > 0) throw new AuthError('FST_AUTH_REFRESH_TOKEN_INVALID')
    return this.#grant(await this.#plugin.sessions.refresh(token, this))
  }

  async logout (): Promise<void> {
    const { sessions, cookie } = this.#plugin
    let ended = false
    for (const token of cookie.read(this.#request)) ended = await sessions.logout(token, this) || ended
    if (!ended && this.claims !== null) await sessions.revoke(this.claims.sid, 'logout', this)
    cookie.clear(this.#reply())
    this.claims = null
  }

  async sessions (): Promise<Device[]> {
    const { sub, sid } = this.#authenticated()
    const sessions = await this.#plugin.sessions.list(sub)
    return sessions.map(session => toDevice(session, sid))
  }

  async revokeSession (id: string): Promise<void> {
    const { sub } = this.#authenticated()
    const ended = await this.#plugin.sessions.revoke(id, 'revoked', this, sub)
    if (!ended) throw new AuthError('FST_AUTH_SESSION_UNKNOWN')
  }

  async revokeOtherSessions (): Promise<number> {
    const { sub, sid } = this.#authenticated()
    return await this.#plugin.sessions.revokeAll(sub, 'revoked', this, sid)
  }

  async #start (subject: string, options: LoginOptions): Promise<Grant> {
    const [replaces, ...others] = this.#plugin.cookie.read(this.#request)
    const held = others.length > 0 ? undefined : replaces
    return this.#grant(await this.#plugin.sessions.login(subject, this, { ...options, replaces: held }))
  }

  #grant (issued: Issued): Grant {
    this.#reply().header('cache-control', 'no-store') // RFC 6749 section 5.1, in routes of the app too
    if (issued.refreshToken !== null) this.#plugin.cookie.set(this.#reply(), issued.refreshToken)
    this.claims = issued.claims
    return toGrant(issued)
  }

  #reply (): FastifyReply {
    return this.#plugin.replyOf(this.#request)
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
