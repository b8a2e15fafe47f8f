import { type AuthErrorCode } from '../errors.js'
import { type Bounded } from '../deadline.js'
import { type KeyEvent } from '../keys/reload.js'
import { type RefreshOutcome } from '../sessions/rotation-policy.js'
import { type RevokeReason } from '../sessions/session.js'
import { type EpochSeconds } from '../time.js'

/** Where somebody is, as far as a request tells. */
export interface ClientInfo {
  readonly userAgent: string | null
  readonly ip: string | null
}

interface OfSession {
  readonly subject: string
  readonly sessionId: string
}

/** Something worth an audit line. Never holds a token, a cookie, a password or a hash. */
export type AuthEvent =
  | { readonly type: 'signup', readonly subject: string }
  | { readonly type: 'login' } & OfSession
  /** `subject` is null where no such user exists. */
  | { readonly type: 'login_failed', readonly subject: string | null }
  | { readonly type: 'refresh', readonly outcome: RefreshOutcome, readonly generation: number } & OfSession
  /** An access token stood in for a refresh token that expired or is gone (`renewWithAccessToken`). */
  | { readonly type: 'renewed', readonly generation: number } & OfSession
  /** A second use of a refresh token: `presented` and `current` are generations, `loggedInFrom` is where the session began. */
  | { readonly type: 'reuse', readonly presented: number, readonly current: number, readonly loggedInFrom: ClientInfo } & OfSession
  | { readonly type: 'logout' } & OfSession
  /** A logout sent a refresh token that is none of ours. It was answered 204 as any other, and ended no session. */
  | { readonly type: 'logout_failed' }
  | { readonly type: 'reauthenticated' } & OfSession
  | { readonly type: 'password_changed', readonly subject: string }
  /** `sessionId` is null where all sessions of the subject were ended, or all but one. */
  | { readonly type: 'revoked', readonly subject: string, readonly sessionId: string | null, readonly reason: RevokeReason }
  | { readonly type: 'cross_site_refused' }
  /** Too many attempts: of an address, at an account, or by a session. `subject` is null where nobody has looked who it is. */
  | { readonly type: 'throttled', readonly what: 'address' | 'account' | 'session', readonly subject: string | null }
  /** A request was refused for its access token: none was sent, or it is invalid, has expired, or its session has ended. */
  | { readonly type: 'access_token_refused', readonly code: AuthErrorCode }
  /** A refresh was answered 401. The session is that of a token with a valid signature that has not expired, else null. */
  | { readonly type: 'refresh_refused', readonly code: AuthErrorCode, readonly subject: string | null, readonly sessionId: string | null }
  /** Any other refusal, by its code: a taken username, a password against the policy, a login that is not recent enough. */
  | { readonly type: 'refused', readonly code: AuthErrorCode }
  /** The store, or a function of the app, failed or took too long. The cause is in its line of the log. */
  | { readonly type: 'store_unavailable' }
  /** A request was refused since too much work was under way. */
  | { readonly type: 'busy' }
  /** More events of one kind happened within a second than are recorded: how many were left out. */
  | { readonly type: 'events_dropped', readonly of: AuthEvent['type'], readonly code: AuthErrorCode | null, readonly count: number }
  /** Whether this instance receives the revocations of others (`revocation: 'immediate'`). */
  | { readonly type: 'revocation_feed', readonly up: boolean }
  | KeyEvent

/** An event, when it happened, and where the request came from. */
export type AuditEvent = AuthEvent & ClientInfo & {
  readonly at: EpochSeconds
  /** Fastify's `request.id`; null where no request is behind the event. */
  readonly requestId: string | null
}

/** Called for every event; what it throws, and how long it takes, changes nothing. */
export type EventListener = (event: AuditEvent) => Promise<void> | void

/** What the core knows of the request it works for. */
export interface RequestContext extends ClientInfo {
  /** Runs its calls to the store and to the app's functions, in what is left of its time. */
  readonly bounded: Bounded
  /** Records what is worth an audit line; `cause`, what went wrong underneath, is for the log alone. Must not throw. */
  emit (event: AuthEvent, cause?: unknown): void
}
