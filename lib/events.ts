import { AuthError, type AuthErrorCode } from './errors.js'
import { type KeyEvent } from './keys/reload.js'
import { type RefreshOutcome } from './sessions/rotation-policy.js'
import { type RevokeReason } from './sessions/session.js'
import { type EpochSeconds } from './time.js'
import { type SessionRef } from './tokens/claims.js'
import { type Bounded } from './deadline.js'

/** The client of a request; null where it is unknown. */
export interface ClientInfo {
  readonly userAgent: string | null
  readonly ip: string | null
}

interface OfSession {
  readonly subject: string
  readonly sessionId: string
}

/** An event of the audit log. It never holds a token, a cookie, a password or a hash. */
export type AuthEvent =
  | { readonly type: 'signup', readonly subject: string }
  | { readonly type: 'login' } & OfSession
  /** `subject` is null for an unknown user. */
  | { readonly type: 'login_failed', readonly subject: string | null }
  | { readonly type: 'refresh', readonly outcome: RefreshOutcome, readonly generation: number } & OfSession
  /** A session was continued with an access token, since the refresh token was missing or expired (`renewWithAccessToken`). */
  | { readonly type: 'renewed', readonly generation: number } & OfSession
  /** Reuse detection ended a session. `presented` and `current` are generations, `loggedInFrom` is the client of the login. */
  | { readonly type: 'reuse', readonly presented: number, readonly current: number, readonly loggedInFrom: ClientInfo } & OfSession
  | { readonly type: 'logout' } & OfSession
  /** A logout with an invalid refresh token. The reply was 204 as for any other, and no session ended. */
  | { readonly type: 'logout_failed' }
  | { readonly type: 'reauthenticated' } & OfSession
  | { readonly type: 'password_changed', readonly subject: string }
  /** `sessionId` is null if all sessions of the subject ended, or all but one. */
  | { readonly type: 'revoked', readonly subject: string, readonly sessionId: string | null, readonly reason: RevokeReason }
  | { readonly type: 'cross_site_refused' }
  /** A rate limit was reached: that of an address, an account or a session. `subject` is null if no user was looked up. */
  | { readonly type: 'throttled', readonly what: 'address' | 'account' | 'session', readonly subject: string | null }
  /** A request was refused because its access token is missing, invalid or expired, or its session has ended. */
  | { readonly type: 'access_token_refused', readonly code: AuthErrorCode }
  /** A refresh was answered 401. The session is that of a token with a valid signature that has not expired; else null. */
  | { readonly type: 'refresh_refused', readonly code: AuthErrorCode, readonly subject: string | null, readonly sessionId: string | null }
  /** A page request was refused 401 (`identify`, `authenticateByCookie`, `GET /session`). The session as for `refresh_refused`. */
  | { readonly type: 'identify_refused', readonly code: AuthErrorCode, readonly subject: string | null, readonly sessionId: string | null }
  /** Any other refusal: a taken username, a password against the policy, a login that is not recent enough. */
  | { readonly type: 'refused', readonly code: AuthErrorCode }
  /** The store, or a function of the app, failed or took too long. The log line has the cause. */
  | { readonly type: 'store_unavailable' }
  /** A request was refused with FST_AUTH_BUSY: too much work was under way. */
  | { readonly type: 'busy' }
  /** More events of one kind happened in a second than are recorded. `count` is the number of dropped ones. */
  | { readonly type: 'events_dropped', readonly of: AuthEvent['type'], readonly code: AuthErrorCode | null, readonly count: number }
  /** The subscription to the revocations of other instances went up or down (`revocation: 'immediate'`). */
  | { readonly type: 'revocation_feed', readonly up: boolean }
  | KeyEvent

/** An event with its time and its client. docs/events.md has all of them. */
export type AuditEvent = AuthEvent & ClientInfo & {
  readonly at: EpochSeconds
  /** Fastify's `request.id`; null for an event without a request. */
  readonly requestId: string | null
}

/** Called for every event. Its errors are logged, and no reply waits for it. */
export type EventListener = (event: AuditEvent) => Promise<void> | void

/** The events that refusals cause. */
type RefusalType = 'access_token_refused' | 'refresh_refused' | 'identify_refused' | 'refused' | 'cross_site_refused' | 'store_unavailable' | 'busy'

/** The verbs that take a refresh token and answer 401. */
export type RefreshTokenVerb = 'refresh' | 'identify'

/** The event of each code. Null: another event was emitted where the request was refused, if it is worth one. */
const TYPES: Readonly<Record<AuthErrorCode, RefusalType | null>> = {
  FST_AUTH_ACCESS_TOKEN_MISSING: 'access_token_refused',
  FST_AUTH_ACCESS_TOKEN_INVALID: 'access_token_refused',
  FST_AUTH_ACCESS_TOKEN_EXPIRED: 'access_token_refused',
  FST_AUTH_REFRESH_TOKEN_MISSING: 'refresh_refused',
  FST_AUTH_REFRESH_TOKEN_INVALID: 'refresh_refused',
  FST_AUTH_REFRESH_TOKEN_EXPIRED: 'refresh_refused',
  FST_AUTH_REFRESH_TOKEN_REUSED: 'refresh_refused',
  FST_AUTH_SESSION_ENDED: 'access_token_refused',
  FST_AUTH_USER_REFUSED: 'refused',
  FST_AUTH_CREDENTIALS_INVALID: null, // login_failed
  FST_AUTH_CHALLENGE_INVALID: 'refused',
  FST_AUTH_CROSS_SITE: 'cross_site_refused',
  FST_AUTH_FRESH_LOGIN_REQUIRED: 'refused',
  FST_AUTH_SESSION_UNKNOWN: 'refused',
  FST_AUTH_USERNAME_TAKEN: 'refused',
  FST_AUTH_PASSWORD_REFUSED: 'refused',
  FST_AUTH_TOO_MANY_ATTEMPTS: null, // throttled
  FST_AUTH_STORE_UNAVAILABLE: 'store_unavailable',
  FST_AUTH_BUSY: 'busy',
  FST_AUTH_NOT_REGISTERED: null // there is no listener
}

/** The type of the event for a refusal; `verb` is that of a refresh token. Null if the refusal emits another event, or none. */
export function refusalTypeOf ({ code, statusCode }: AuthError, verb?: RefreshTokenVerb): RefusalType | null {
  return verb !== undefined && statusCode === 401 ? `${verb}_refused` : TYPES[code]
}

/** The event for a refusal; `session` is that of the refused refresh token, if it is known. */
export function refusalEvent (type: RefusalType, { code }: AuthError, session: SessionRef | null = null): AuthEvent {
  switch (type) {
    case 'access_token_refused': return { type, code }
    case 'refresh_refused': return { type, code, subject: session?.sub ?? null, sessionId: session?.sid ?? null }
    case 'identify_refused': return { type, code, subject: session?.sub ?? null, sessionId: session?.sid ?? null }
    case 'refused': return { type, code }
    default: return { type }
  }
}

/** Emits the event for a refusal without a request. */
export function emitRefusal (error: unknown, context: { emit (event: AuthEvent, cause?: unknown): void }): void {
  if (!(error instanceof AuthError)) return
  const type = refusalTypeOf(error)
  if (type !== null) context.emit(refusalEvent(type, error), error.cause)
}

/** The context of a request. */
export interface RequestContext extends ClientInfo {
  /** Calls the store and the app's functions within the deadline of the request. */
  readonly bounded: Bounded
  /** Records an event. `cause` is for the log only. Must not throw. */
  emit (event: AuthEvent, cause?: unknown): void
}
