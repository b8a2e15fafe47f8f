import { refreshCookie } from './plugin.js'

export default refreshCookie
export { refreshCookie }
export { allowWeakHashing } from './accounts/hashing-strength.js'
export { normaliseUsername } from './accounts/username.js'
export { AuthError, authErrorCodes, type AuthErrorCode } from './errors.js'
export { memoryStore, type MemoryStoreOptions } from './stores/memory.js'
export { statelessStore } from './stores/stateless.js'

export type { RefreshCookieOptions } from './options/schema.js'
export type { Passwords } from './accounts/hashing.js'
export type { AccessClaims, AppClaims, CustomClaims } from './tokens/claims.js'
export type { AuditEvent, AuthEvent } from './audit/events.js'
export type { KeyMaterial, KeyOptions } from './keys/import.js'
export type { RefreshOutcome } from './sessions/rotation-policy.js'
export type { RevocationListener, RevokeReason, Session, SessionChange, SessionStore, StoreOwner } from './sessions/session.js'
export type { Clock, Duration, EpochSeconds, Seconds } from './time.js'
export type { User, UserId, Users } from './accounts/user.js'
export type { AsyncAuthenticateHook, AuthenticateHook, ProtectedRequest } from './http/hooks.js'
export type { SessionAdministration } from './http/decorators.js'
export type { SessionView } from './http/session-view.js'
export type { TokenResponse, TokenResponseContext } from './http/token-response.js'
export type { RequestAuth } from './http/request-auth.js'
