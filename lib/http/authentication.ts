import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type AuthEvent, type RequestContext } from '../audit/events.js'
import { refusalEvent, refusalTypeOf, type RefreshTokenVerb } from '../audit/refusals.js'
import { readAddress } from '../client-address.js'
import { startDeadline, type Bounded, type Timeouts } from '../deadline.js'
import { AuthError } from '../errors.js'
import { type Authenticate } from '../sessions/authenticate.js'
import { readUserAgent } from '../sessions/rotation-policy.js'
import { type Clock } from '../time.js'
import { type AccessClaims, type SessionRef } from '../tokens/claims.js'
import { type Audit } from './audit-log.js'
import { bearerToken } from './headers.js'

export interface AuthenticationDependencies {
  readonly authenticate: Authenticate
  readonly clock: Clock
  readonly timeouts: Timeouts
  readonly audit: Audit
  /** The error message of `authenticateStrict` where no store can be asked; undefined where it works. */
  readonly strictRefusal?: string | undefined
  /** The error message of `authenticateByCookie` where there is no cookie; undefined where it works. */
  readonly cookieRefusal?: string | undefined
  /** Marks the plugin's own routes in their config; the hooks of a whole app exempt them. */
  readonly exempt: symbol
  /** The reply of a request; null in hooks that run before ours. */
  replyOf (request: FastifyRequest): FastifyReply | null
}

/** The authentication of one request. */
export class Authentication<Dependencies extends AuthenticationDependencies = AuthenticationDependencies> implements RequestContext {
  claims: AccessClaims | null = null
  // Private fields, so that no log or inspection of `request.auth` prints them.
  readonly #plugin: Dependencies
  readonly #request: FastifyRequest
  #bounded: Bounded | undefined
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

  /** Null on a Unix socket, or where a proxy forwards an invalid address. */
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

  get isExempt (): boolean {
    return this.plugin.exempt in this.request.routeOptions.config
  }

  /** The session of the refresh token; null in a verifier. */
  get presented (): SessionRef | null {
    return null
  }

  async authenticate (): Promise<AccessClaims> {
    try {
      await this.authenticateRequest()
      return this.assertAuthenticated()
    } catch (error) {
      throw this.refused(error)
    }
  }

  /** As `authenticate`, for the hooks: a promise only where the store or a key must be asked, since most requests need none. */
  authenticateRequest (options?: { readonly strict?: boolean }): Promise<void> | void {
    const token = bearerToken(this.request.headers)
    if (token === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    const claims = this.plugin.authenticate(token, this, options)
    if (claims instanceof Promise) return claims.then(known => { this.claims = known })
    this.claims = claims
  }

  authenticateStrict (): Promise<void> | void {
    if (this.plugin.strictRefusal !== undefined) throw new TypeError(this.plugin.strictRefusal)
    return this.authenticateRequest({ strict: true })
  }

  /** Only an app with sessions overrides it. */
  async authenticateByCookie (): Promise<void> {
    throw new TypeError(this.plugin.cookieRefusal)
  }

  /** As in `HttpRequestAuth`. A service that only verifies has no cookie to protect, and no trusted origins. */
  refuseCrossSite (_methods: 'all methods' | 'unless safe'): void {
    throw new TypeError('refuseCrossSite needs fastify-refresh-cookie itself: a service that only verifies has no cookie that another site could use')
  }

  /** Throws FST_AUTH_FRESH_LOGIN_REQUIRED if `auth_time` is more than `maxAge` seconds ago. */
  assertFresh (maxAge: number): void {
    if (this.plugin.clock() - this.assertAuthenticated().auth_time > maxAge) throw new AuthError('FST_AUTH_FRESH_LOGIN_REQUIRED')
  }

  /** Throws FST_AUTH_ACCESS_TOKEN_MISSING if the request is not authenticated. */
  assertAuthenticated (): AccessClaims {
    if (this.claims === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return this.claims
  }

  /**
   * Records a refusal of a hook, a method of `request.auth` or a route, and returns it. Sets its headers on the reply, since the
   * host's own error handler may ignore those of the error, and emits an event. Several callers may pass the same error.
   */
  refused<E> (error: E, verb?: RefreshTokenVerb): E {
    if (!(error instanceof AuthError) || error === this.#refusal) return error
    this.#refusal = error
    this.plugin.replyOf(this.request)?.headers(error.headers)
    const type = refusalTypeOf(error, verb)
    if (type === null || !this.plugin.audit.isRecorded(type, this.request.log)) return error
    this.emit(refusalEvent(type, error, type === 'refresh_refused' || type === 'identify_refused' ? this.presented : null), error.cause)
    return error
  }

  get hasAccessToken (): boolean {
    return bearerToken(this.request.headers) !== null
  }
}
