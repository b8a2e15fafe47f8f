import { type AuthErrorCode } from '../errors.js'
import { type KeyEvent } from '../keys/rotation.js'
import { type RefreshOutcome } from '../sessions/rotation-policy.js'
import { type RevokeReason } from '../sessions/session.js'
import { type EpochSeconds } from '../time.js'

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
