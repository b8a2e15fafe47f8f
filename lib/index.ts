import { refreshCookie } from './plugin.js'

export default refreshCookie
export { refreshCookie }
export { allowWeakHashing } from './accounts/hashing-strength.js'
export { normaliseUsername } from './accounts/username.js'
export { AuthError, authErrorCodes, type AuthErrorCode } from './errors.js'
export { memoryStore, type MemoryStoreOptions } from './stores/memory.js'
export { statelessStore } from './stores/stateless.js'

export type { RefreshCookieOptions } from './options.js'
export type { Passwords } from './accounts/passwords.js'
export type { AccessClaims, AppClaims, CustomClaims } from './core/claims.js'
export type { AuditEvent, AuthEvent } from './core/events.js'
export type { KeyMaterial, KeyOptions } from './core/import-key.js'
export type { RefreshOutcome } from './core/rotation.js'
export type { RevocationListener, RevokeReason, Session, SessionChange, SessionStore, StoreOwner } from './core/session.js'
export type { Clock, Duration, EpochSeconds, Seconds } from './core/time.js'
export type { User, UserId, Users } from './core/user.js'
export type { AsyncAuthenticateHook, AuthenticateHook, ProtectedRequest } from './http/authenticate.js'
export type { SessionAdministration } from './http/decorators.js'
export type { Device } from './http/device.js'
export type { Grant, GrantContext } from './http/grant.js'
export type { RequestAuth } from './http/request-auth.js'
