import { type RefreshOutcome } from './rotation.js'
import { type RevokeReason } from './session.js'

/** Something worth an audit line. Never holds a token, a cookie, a password or a hash. */
export type AuthEvent =
  | { readonly type: 'signup', readonly subject: string }
  | { readonly type: 'login', readonly subject: string, readonly sessionId: string }
  | { readonly type: 'login_failed', readonly subject: string | null }
  | { readonly type: 'refresh', readonly subject: string, readonly sessionId: string, readonly outcome: RefreshOutcome, readonly generation: number }
  | { readonly type: 'reuse', readonly subject: string, readonly sessionId: string, readonly presented: number, readonly current: number, readonly since: { readonly userAgent: string | null, readonly ip: string | null } }
  | { readonly type: 'logout', readonly subject: string, readonly sessionId: string }
  | { readonly type: 'revoked', readonly subject: string, readonly sessionId: string | null, readonly reason: RevokeReason }
  | { readonly type: 'cross_site_refused' }

/** What the core knows of the request it works for. */
export interface RequestContext {
  readonly userAgent: string | null
  readonly ip: string | null
  /** Told of everything worth an audit line; must not throw. */
  emit (event: AuthEvent): void
}
