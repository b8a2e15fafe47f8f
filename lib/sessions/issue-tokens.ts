import { randomId } from '../random.js'
import { type EpochSeconds, type Seconds } from '../time.js'
import { type AccessClaims, type AccessPolicy, type AppClaims } from '../tokens/claims.js'
import { type Tokens } from '../tokens/jwt.js'
import { type Session } from './session.js'

export interface IssuedRefreshToken {
  readonly value: string
  /** The Max-Age of its cookie; null for a cookie that ends with the browser. */
  readonly maxAge: Seconds | null
  readonly expiresAt: EpochSeconds
}

/** The result of a login or a refresh. */
export interface Issued {
  readonly accessToken: string
  readonly claims: AccessClaims
  /** Seconds until the access token expires. */
  readonly expiresIn: Seconds
  /** Null where the client already has the current one (hold): a cookie sent again could overwrite a newer one. */
  readonly refreshToken: IssuedRefreshToken | null
}

export interface IssueDependencies {
  readonly tokens: Tokens
  readonly access: AccessPolicy
}

/** The claims of a refresh token that its session does not determine. */
interface RefreshTokenTerms {
  /** False: its cookie ends with the browser. */
  readonly remember: boolean
  /** The id of the session that a login replaces. */
  readonly replaces?: string | null | undefined
}

/**
 * Issues the tokens of a session, which expire with it at the latest; without `terms` the access token alone. The same state of a
 * session gives the same refresh token, so every tab gets the same one. `toAppClaims` has dropped reserved names from `app`.
 */
export function issue (dependencies: IssueDependencies, session: Session, app: AppClaims, at: EpochSeconds, terms: RefreshTokenTerms): Issued & { readonly refreshToken: IssuedRefreshToken }
export function issue (dependencies: IssueDependencies, session: Session, app: AppClaims, at: EpochSeconds, terms: RefreshTokenTerms | null): Issued
export function issue ({ tokens, access: { expiresIn, issuer, audience } }: IssueDependencies, session: Session, app: AppClaims, at: EpochSeconds, terms: RefreshTokenTerms | null): Issued {
  const claims: AccessClaims = {
    sub: session.subject,
    iat: at,
    exp: Math.min(at + expiresIn, session.expiresAt),
    jti: randomId(),
    sid: session.id,
    auth_time: session.authTime,
    ...(issuer !== undefined && { iss: issuer }),
    ...(audience !== undefined && { aud: audience }),
    ...app // spread first they take 5 µs more (V8 of Node 20)
  }
  const issued = { accessToken: tokens.signAccess(claims), claims, expiresIn: claims.exp - at }
  if (terms === null) return { ...issued, refreshToken: null }

  const { remember, replaces = null } = terms
  const exp = Math.min(session.idleExpiresAt, session.expiresAt)
  const value = tokens.signRefresh({
    sub: session.subject,
    sid: session.id,
    gen: session.generation,
    auth_time: session.authTime,
    iat: session.rotatedAt,
    exp,
    end: session.expiresAt,
    ...(!remember && { remember: false }),
    ...(replaces !== null && { replaces })
  })
  return { ...issued, refreshToken: { value, maxAge: remember ? exp - at : null, expiresAt: exp } }
}
