import { AuthError, type AuthErrorCode } from '../errors.js'
import { type SessionRef } from '../tokens/claims.js'
import { type AuthEvent } from './events.js'

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

/** The type of the event for a refusal; `verb` is that of a refresh token. Null if another event was emitted. */
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
