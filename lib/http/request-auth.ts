import { type IncomingHttpHeaders } from 'node:http'
import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type AuthEvent, type RefreshTokenVerb, refusalEvent, refusalTypeOf, type RequestContext } from '../events.js'
import { readAddress } from '../client-address.js'
import { type Bounded, startDeadline, type Timeouts } from '../deadline.js'
import { isObserved, observe } from '../diagnostics-channels.js'
import { AuthError } from '../errors.js'
import { type Authenticate } from '../sessions/authenticate.js'
import { type Clock } from '../time.js'
import { type AccessClaims, type SessionRef } from '../tokens/claims.js'
import { type Audit } from './audit-log.js'
import { setRefusalHeaders } from './reply-headers.js'

/**
 * `request.auth`: the authentication of the request. A method that rejects with an AuthError sets the headers of the refusal
 * on the reply (`WWW-Authenticate` of RFC 6750 section 3, `Retry-After`), so that the app's own error handler sends them too.
 *
 * A service that only verifies has this part alone; an app with sessions has `SessionMethods` too.
 */
export interface RequestAuth {
  /**
   * The claims of the access token. Never null behind `authenticate`. Elsewhere, as behind `authenticateOptional`, it may be null
   * despite its type: use `claimsOrNull` there.
   */
  readonly claims: AccessClaims
  /** The claims of the access token; null if the request is not authenticated. */
  readonly claimsOrNull: AccessClaims | null
  /**
   * Authenticates the request by its access token. Rejects with FST_AUTH_ACCESS_TOKEN_MISSING, _INVALID or _EXPIRED; with
   * `revocation: 'immediate'` also with FST_AUTH_SESSION_ENDED, or FST_AUTH_STORE_UNAVAILABLE if the store must be asked and fails.
   */
  authenticate (): Promise<AccessClaims>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The authentication of the request. */
    auth: RequestAuth
  }
}

/** The parts of a registration that `request.auth` needs for access tokens. */
export interface RequestAuthParts {
  readonly authenticate: Authenticate
  readonly clock: Clock
  readonly timeouts: Timeouts
  readonly audit: Audit
  readonly unusableHooks: UnusableHooks
}

/** The error messages of hooks that cannot work in an app; undefined where they work. */
export interface UnusableHooks {
  readonly strict?: string | undefined
  readonly byCookie?: string | undefined
}

/** Marks the plugin's own routes in their config: the hooks of a whole app exempt them, also those of another registration. Global, since one process may load two copies of this package. */
export const OWN_ROUTE = Symbol.for('fastify-refresh-cookie.ownRoute')

/** The property of a request that holds its reply; null in hooks that run before ours. */
export const REPLY = Symbol('reply')

/** The longest user agent that is kept, in characters. */
const MAX_USER_AGENT = 256

/** `request.auth` of a service that only verifies, and the part of it that an app with sessions has too. */
export class TokenAuth<Parts extends RequestAuthParts = RequestAuthParts> implements RequestContext {
  claims: AccessClaims | null = null
  // Private fields, so that no log or inspection of `request.auth` prints them.
  readonly #parts: Parts
  readonly #request: FastifyRequest
  #bounded: Bounded | undefined
  #refusal: AuthError | undefined

  constructor (parts: Parts, request: FastifyRequest) {
    this.#parts = parts
    this.#request = request
  }

  protected get parts (): Parts {
    return this.#parts
  }

  protected get request (): FastifyRequest {
    return this.#request
  }

  /** Null in hooks that run before ours. */
  protected get reply (): FastifyReply | null {
    return (this.#request as FastifyRequest & { [REPLY]: FastifyReply | null })[REPLY] // `decorateRequest` has added it
  }

  /** The reply before a session changes: a request that can send no cookie must not rotate a token whose successor it cannot send. */
  protected get unsentReply (): FastifyReply {
    const { reply } = this
    if (reply === null) throw new TypeError('request.auth cannot set a cookie yet: register fastify-refresh-cookie before the hooks that use it')
    if (isReplied(reply)) throw new TypeError('request.auth cannot set a cookie any more: call it before the reply is sent or hijacked')
    return reply
  }

  get claimsOrNull (): AccessClaims | null {
    return this.claims
  }

  /** Without control characters, which Node accepts but which can inject into logs and pages. */
  get userAgent (): string | null {
    const header = this.#request.headers['user-agent']
    return header === undefined ? null : header.replace(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT)
  }

  /** Null on a Unix socket, or where a proxy forwards an invalid address. */
  get ip (): string | null {
    return readAddress(this.#request.ip)
  }

  /** One deadline for the reply. A socket or a stream stays open after it, so each later operation has its own. */
  get bounded (): Bounded {
    if (this.#bounded === undefined || isReplied(this.reply)) this.#bounded = startDeadline(this.#parts.timeouts)
    return this.#bounded
  }

  emit (event: AuthEvent, cause?: unknown): void {
    this.#parts.audit.record(event, this, this.#request.id, this.#request.log, cause)
  }

  get isOwnRoute (): boolean {
    return OWN_ROUTE in this.#request.routeOptions.config
  }

  /** The session of the refresh token; null in a verifier. */
  get claimedSession (): SessionRef | null {
    return null
  }

  async authenticate (): Promise<AccessClaims> {
    try {
      await this.authenticateRequest()
      return this.assertAuthenticated()
    } catch (error) {
      throw this.recordRefusal(error)
    }
  }

  /** As `authenticate`, for the hooks: a promise only where the store or a key must be asked, since most requests need none. */
  authenticateRequest (options?: { readonly strict?: boolean }): Promise<void> | void {
    const token = bearerToken(this.#request.headers)
    if (token === null) throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    const claims = this.#parts.authenticate(token, this, options)
    if (claims instanceof Promise) {
      const asked = isObserved() ? observe('authenticate', 'request', () => claims) : claims
      return asked.then(known => { this.claims = known })
    }
    this.claims = claims
  }

  authenticateStrict (): Promise<void> | void {
    if (this.#parts.unusableHooks.strict !== undefined) throw new TypeError(this.#parts.unusableHooks.strict)
    return this.authenticateRequest({ strict: true })
  }

  /** Strict where sessions are kept, so that a session that a password reset has ended cannot enrol a passkey (OWASP ASVS 7.5.1). */
  authenticateFresh (maxAge: number): Promise<void> | void {
    const pending = this.authenticateRequest({ strict: this.#parts.unusableHooks.strict === undefined })
    return pending === undefined ? this.#assertFresh(maxAge) : pending.then(() => this.#assertFresh(maxAge))
  }

  /** Only an app with sessions overrides it. */
  async authenticateByCookie (): Promise<void> {
    throw new TypeError(this.#parts.unusableHooks.byCookie)
  }

  /** As in `SessionAuth`. A service that only verifies has no cookie to protect, and no trusted origins. */
  refuseCrossSite (_methods: 'all methods' | 'unless safe'): void {
    throw new TypeError('refuseCrossSite needs fastify-refresh-cookie itself: a service that only verifies has no cookie that another site could use')
  }

  /** Throws FST_AUTH_FRESH_LOGIN_REQUIRED if `auth_time` is more than `maxAge` seconds ago, or as far in the future: the clock was set back. */
  #assertFresh (maxAge: number): void {
    if (Math.abs(this.#parts.clock() - this.assertAuthenticated().auth_time) > maxAge) throw new AuthError('FST_AUTH_FRESH_LOGIN_REQUIRED')
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
  recordRefusal<E> (error: E, verb?: RefreshTokenVerb): E {
    if (!(error instanceof AuthError) || error === this.#refusal) return error
    this.#refusal = error
    if (this.reply !== null) setRefusalHeaders(this.reply, error)
    const type = refusalTypeOf(error, verb)
    if (type === null || !this.#parts.audit.isRecorded(type, this.#request.log)) return error
    this.emit(refusalEvent(type, error, type === 'refresh_refused' || type === 'identify_refused' ? this.claimedSession : null), error.cause)
    return error
  }

  get hasAccessToken (): boolean {
    return bearerToken(this.#request.headers) !== null
  }
}

/** The reply has begun, or the app has taken it over (`hijack`). */
export function isReplied (reply: FastifyReply | null): boolean {
  return reply !== null && (reply.sent || reply.raw.headersSent)
}

const SCHEME = /^bearer /i

/**
 * The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1, with one space or more), or null. An access token is read
 * from nowhere else: no cookie, query or body.
 */
export function bearerToken ({ authorization }: IncomingHttpHeaders): string | null {
  if (authorization === undefined || !SCHEME.test(authorization)) return null
  const token = authorization.slice('bearer '.length)
  return token.startsWith(' ') ? token.replace(/^ +/, '') : token
}
