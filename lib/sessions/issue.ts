import { randomId } from '../random.js'
import { type EpochSeconds, type Seconds } from '../time.js'
import { type AccessClaims, type AccessPolicy, type AppClaims, type RefreshClaims } from '../tokens/claims.js'
import { type Tokens } from '../tokens/jwt.js'
import { type Session } from './session.js'

/** A refresh token and how long a browser keeps it. */
export interface IssuedRefreshToken {
  readonly value: string
  /** Until the token expires; null where the cookie ends with the browser. */
  readonly maxAge: Seconds | null
  /** When it expires. */
  readonly expiresAt: EpochSeconds
}

/** What a login or a refresh gives. */
export interface Issued {
  readonly accessToken: string
  readonly claims: AccessClaims
  /** Seconds until the access token expires. */
  readonly expiresIn: Seconds
  /** Null where the client already has the live one (hold): a re-sent cookie could overwrite a newer one. */
  readonly refreshToken: IssuedRefreshToken | null
}

/** Makes the tokens of sessions. */
export interface Issuer {
  /** A new access token for a session, with the app's claims. */
  access (session: Session, app: AppClaims, at: EpochSeconds): Omit<Issued, 'refreshToken'>
  /** The refresh token of a session as it stands: the same state signs to the same token. A login says what it `replaces`. */
  refresh (session: Session, remember: boolean, at: EpochSeconds, replaces?: string | null): IssuedRefreshToken
}

/** Builds what signs tokens and tells their lifetimes. */
export function createIssuer (tokens: Tokens, policy: AccessPolicy): Issuer {
  return {
    access (session, app, at) {
      const claims = accessClaims(session, app, policy, at)
      return { accessToken: tokens.signAccess(claims), claims, expiresIn: claims.exp - at }
    },

    refresh (session, remember, at, replaces) {
      const claims = refreshClaims(session, remember, replaces)
      return { value: tokens.signRefresh(claims), maxAge: remember ? claims.exp - at : null, expiresAt: claims.exp }
    }
  }
}

/** Names the app cannot set: it would change who, until when or for whom a token speaks. */
const RESERVED = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'auth_time', 'typ', '__proto__'])

/** The claims of a new access token. It ends with the session at the latest; the app's claims never override ours. */
export function accessClaims (session: Session, app: AppClaims, policy: AccessPolicy, now: EpochSeconds): AccessClaims {
  const own = Object.entries(app).filter(([name]) => !RESERVED.has(name))
  return {
    ...Object.fromEntries(own),
    ...(policy.issuer !== undefined && { iss: policy.issuer }),
    sub: session.subject,
    ...(policy.audience !== undefined && { aud: policy.audience }),
    iat: now,
    exp: Math.min(now + policy.expiresIn, session.expiresAt),
    jti: randomId(),
    sid: session.id,
    auth_time: session.authTime
  }
}

/** The refresh token of a session as it stands. The same state gives the same claims, so it signs to the same token. */
export function refreshClaims (session: Session, remember: boolean, replaces: string | null = null): RefreshClaims {
  return {
    sub: session.subject,
    sid: session.id,
    gen: session.generation,
    auth_time: session.authTime,
    iat: session.rotatedAt,
    exp: Math.min(session.idleExpiresAt, session.expiresAt),
    end: session.expiresAt,
    ...(!remember && { remember: false }),
    ...(replaces !== null && { replaces })
  }
}

/** The session as a verified refresh token states it, for the store that keeps none. */
export function claimedSession (claims: RefreshClaims): Session {
  return {
    id: claims.sid,
    subject: claims.sub,
    generation: claims.gen,
    previous: claims.gen === 0 ? null : claims.gen - 1,
    rotatedAt: claims.iat,
    createdAt: claims.auth_time,
    expiresAt: claims.end,
    idleExpiresAt: claims.exp,
    authTime: claims.auth_time,
    userAgent: null,
    ip: null
  }
}
