import { randomId } from '../random.js'
import { type EpochSeconds, type Seconds } from '../time.js'

/** The reason why a session ended. After `reuse`, every refresh token of the session is refused with FST_AUTH_REFRESH_TOKEN_REUSED. */
export type RevokeReason = 'logout' | 'revoked' | 'reuse' | 'user_refused' | 'superseded' | 'password_changed' | 'limit'

/**
 * One login on one device: one row, which refreshes update. Times are in seconds since the epoch.
 * A refresh token is signed and names a session and a generation, so neither a token nor a hash of one is stored.
 */
export interface Session {
  /** 128 random bits, base64url. Not secret: it is no credential. */
  readonly id: string
  /** The user id as text: the `sub` of the session's tokens. */
  readonly subject: string
  /** The generation of the current refresh token; 0 at login. */
  readonly generation: number
  /** The generation that the current one replaced; null before the first rotation. */
  readonly previous: number | null
  /** The issue time of the current generation: the `iat` of its refresh token. */
  readonly rotatedAt: EpochSeconds
  /** The time of the login. */
  readonly createdAt: EpochSeconds
  /** The absolute expiry; it never changes. */
  readonly expiresAt: EpochSeconds
  /** The idle expiry: each rotation extends it, never beyond `expiresAt`. */
  readonly idleExpiresAt: EpochSeconds
  /** The last login or reauthentication (OpenID Connect Core section 2, `auth_time`). */
  readonly authTime: EpochSeconds
  /** The User-Agent at login, without control characters; null if there was none. */
  readonly userAgent: string | null
  /** The client's address at login; null if there was none. */
  readonly ip: string | null
  /** The time of the revocation; null or absent if the session was not revoked. */
  readonly revokedAt?: EpochSeconds | null
  readonly reason?: RevokeReason | null
}

/** The fields that `advance` writes. All others never change; `authTime` stays where it is absent. */
export interface SessionChange {
  readonly generation: number
  readonly previous: number | null
  readonly rotatedAt: EpochSeconds
  readonly idleExpiresAt: EpochSeconds
  readonly authTime?: EpochSeconds
}

/** The position of a session in a list. */
export type SessionPosition = Pick<Session, 'createdAt' | 'id'>

/** The prefix of the ids of challenge rows, which no access token names. */
export const CHALLENGE_PREFIX = 'challenge-'

/** A list, a look-up or a revocation of sessions ignores these rows: to revoke one would use its challenge up. */
export function isChallengeId (id: string): boolean {
  return id.startsWith(CHALLENGE_PREFIX)
}

/** Other values must not reach a store: PostgreSQL, for one, refuses U+0000. */
export function isSessionId (value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{1,64}$/.test(value)
}

/** Neither revoked nor expired. */
export function isLive (session: Session, now: EpochSeconds): boolean {
  return !isRevoked(session) && now < session.idleExpiresAt && now < session.expiresAt
}

export function isRevoked (session: Session): boolean {
  return typeof session.revokedAt === 'number'
}

/**
 * The order of a list: by `createdAt`, then by the code units of `id`. It is total and independent of rotations, so any session
 * can be the cursor of the next page.
 */
export function byCreation (one: SessionPosition, other: SessionPosition): number {
  return one.createdAt - other.createdAt || (one.id < other.id ? -1 : Number(one.id > other.id))
}

/** The position before all sessions. */
export const LIST_START: SessionPosition = { createdAt: -1, id: '' }

export function newSession (subject: string, from: Pick<Session, 'userAgent' | 'ip'>, lasts: { readonly idle: Seconds, readonly absolute: Seconds }, at: EpochSeconds, authTime = at): Session {
  const expiresAt = at + lasts.absolute
  return {
    id: randomId(),
    subject,
    generation: 0,
    previous: null,
    rotatedAt: at,
    createdAt: at,
    expiresAt,
    idleExpiresAt: Math.min(at + lasts.idle, expiresAt),
    authTime,
    userAgent: from.userAgent,
    ip: from.ip
  }
}
