import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type AuthEvent, type RequestContext } from '../audit/events.js'
import { refusalEvent, refusalTypeOf } from '../audit/refusals.js'
import { readAddress } from '../client-address.js'
import { startDeadline, type Bounded, type Timeouts } from '../deadline.js'
import { AuthError } from '../errors.js'
import { type Authenticate } from '../sessions/authenticate.js'
import { readUserAgent } from '../sessions/rotation-policy.js'
import { type Clock } from '../time.js'
import { type AccessClaims, type SessionRef } from '../tokens/claims.js'
import { type Audit } from './audit.js'
import { bearerToken } from './headers.js'

/** What authenticating a request needs of the registration that covers its route. */
export interface AuthenticationDependencies {
  readonly authenticate: Authenticate
  readonly clock: Clock
  readonly timeouts: Timeouts
  readonly audit: Audit
  /** Why the store cannot be asked about a session: a sentence for the developer. Undefined where it can. */
  readonly strictRefusal?: string | undefined
  /** In the config of this registration's own routes, which hooks of the whole app let pass. */
  readonly exempt: symbol
  /** The reply of a request; null where a hook asks that runs before ours. */
  replyOf (request: FastifyRequest): FastifyReply | null
}

/** The authentication of one request. A class, since one is made for every authenticated request. */
export class Authentication<Dependencies extends AuthenticationDependencies = AuthenticationDependencies> implements RequestContext {
  claims: AccessClaims | null = null
  // Private, so that no log or inspection of `request.auth` prints them.
  readonly #plugin: Dependencies
  readonly #request: FastifyRequest
  #bounded: Bounded | undefined
  /** The last refusal, which may come by more than once on its way to the client. */
  #refusal: AuthError | undefined

  constructor (plugin: Dependencies, request: FastifyRequest) {
    this.#plugin = plugin
    this.#request = request
  }

  protected get plugin (): Dependencies {
    return this.#plugin
  }

  protected get request (): FastifyRequest {
    return this.#request
  }

  get claimsOrNull (): AccessClaims | null {
    return this.claims
  }

  get userAgent (): string | null {
    return readUserAgent(this.request.headers['user-agent'])
  }

  /** Null where there is none: on a Unix socket, or where a proxy passes on what is no address. */
  get ip (): string | null {
    return readAddress(this.request.ip)
  }

  get bounded (): Bounded {
    this.#bounded ??= startDeadline(this.plugin.timeouts)
    return this.#bounded
  }

  emit (event: AuthEvent, cause?: unknown): void {
    this.plugin.audit.record(event, this, this.request.id, this.request.log, cause)
  }

  /** Whether the route is one of the registration's own. */
  get isExempt (): boolean {
    return this.plugin.exempt in this.request.routeOptions.config
  }

  /** The session that the request's refresh token names; null where this registration issues none. */
  get presented (): SessionRef | null {
    return null
  }

  async authenticate (): Promise<AccessClaims> {
    return await this.refusing(async () => {
      await this.authenticateRequest()
      return this.assertAuthenticated()
    })
  }

  /** As `authenticate`, for the hooks, which most requests go through: a promise only where the store or a key must be asked. */
  authenticateRequest (options?: { readonly strict?: boolean }): Promise<void> | void {
    const claims = this.plugin.authenticate(this.accessToken(), this, options)
    if (claims instanceof Promise) return claims.then(known => { this.claims = known })
    this.claims = claims
  }

  authenticateStrict (): Promise<void> | void {
    if (this.plugin.strictRefusal !== undefined) throw new TypeError(this.plugin.strictRefusal)
    return this.authenticateRequest({ strict: true })
  }

  /** Throws FST_AUTH_FRESH_LOGIN_REQUIRED where the person last proved who they are more than `maxAge` seconds ago. */
  assertFresh (maxAge: number): void {
    if (this.plugin.clock() - this.assertAuthenticated().auth_time > maxAge) throw new AuthError('FST_AUTH_FRESH_LOGIN_REQUIRED')
  }

  /** The claims. Throws FST_AUTH_ACCESS_TOKEN_MISSING where nobody was authenticated. */
  assertAuthenticated (): AccessClaims {
    if (this.claims === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return this.claims
  }

  /**
   * Every refusal of the request passes here, from a hook, a verb or one of our routes: its headers go on the reply itself,
   * since those of an error get lost in a host's own error handler, and it becomes an event.
   */
  refused (error: unknown, refreshing?: boolean): void {
    if (!(error instanceof AuthError) || error === this.#refusal) return
    this.#refusal = error
    this.plugin.replyOf(this.request)?.headers(error.headers)
    const type = refusalTypeOf(error, refreshing)
    if (type === null || !this.plugin.audit.isRecorded(type, this.request.log)) return
    this.emit(refusalEvent(type, error, type === 'refresh_refused' ? this.presented : null), error.cause)
  }

  /** Runs a verb. An app may call it anywhere, so its refusals are seen to before they go on. */
  protected async refusing<T> (verb: () => Promise<T>, refreshing?: boolean): Promise<T> {
    try {
      return await verb()
    } catch (error) {
      this.refused(error, refreshing)
      throw error
    }
  }

  get hasAccessToken (): boolean {
    return bearerToken(this.request.headers) !== null
  }

  protected accessToken (): string {
    const token = bearerToken(this.request.headers)
    if (token === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return token
  }
}
