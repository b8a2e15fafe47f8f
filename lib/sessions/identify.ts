import { type RequestContext } from '../events.js'
import { type EpochSeconds } from '../time.js'
import { type AppClaims, type RefreshClaims } from '../tokens/claims.js'
import { type VerifiedRefreshToken } from '../tokens/jwt.js'
import { loadAppClaims, type UserSource } from './load-user.js'
import { readSession, type RefreshDependencies } from './refresh.js'
import { type Session } from './session.js'

/** The user of a refresh token. It is no token: nothing signs it, and it authorises no request. */
export interface Identity {
  /** The user id as text. */
  readonly sub: string
  /** The id of the session. */
  readonly sid: string
  /** The time of the last login or reauthentication, in seconds since the epoch. */
  readonly auth_time: EpochSeconds
  /** The absolute end of the session, in seconds since the epoch. A session that is not refreshed ends earlier (`refreshToken.idle`). */
  readonly expiresAt: EpochSeconds
  /** The app's own claims, as `accessToken.claims` returns them for this user now; empty without that option. */
  readonly claims: AppClaims
}

export interface IdentifyOptions {
  /**
   * False: the user is not looked up, which saves a query. `claims` is then empty, and a disabled or deleted user is accepted
   * until its sessions are revoked. True by default.
   */
  readonly user?: boolean | undefined
}

interface IdentifyDependencies extends UserSource, RefreshDependencies {}

/**
 * Identifies the user of a verified refresh token by one read of the session. It rotates nothing and issues no token.
 *
 * - The rotation policy decides as for a refresh, so a token is accepted here exactly if a refresh would accept it now. In
 *   particular a token that was replaced earlier is reuse and ends the session: a thief who only reads pages is detected too.
 *   That revocation is the only write.
 * - The answer is the same for the current and the previous token, and no field changes with a rotation. Otherwise a thief could
 *   wait until the owner has refreshed, and use a copied token within the grace period.
 * - A user who is unknown or disabled is refused, since no access token limits how long pages stay readable. Only a refresh ends
 *   the session of such a user: a page view writes nothing.
 * - No rate limit is consumed. Only a token with a valid signature costs a read, one per request, like `authenticateStrict`.
 *
 * With a store that keeps no sessions the signature and the expiry decide alone. Throws FST_AUTH_SESSION_ENDED,
 * FST_AUTH_REFRESH_TOKEN_EXPIRED, _REUSED, FST_AUTH_USER_REFUSED, FST_AUTH_STORE_UNAVAILABLE.
 */
export async function identify (verified: VerifiedRefreshToken, dependencies: IdentifyDependencies, context: RequestContext, at: EpochSeconds, { user = true }: IdentifyOptions = {}): Promise<Identity> {
  const session = await readSession(dependencies, verified, context, at)
  return toIdentity(verified.claims, session, user ? await loadAppClaims(session.subject, dependencies, context) : {})
}

/** Only fields that a rotation does not change. The idle expiry would show the time of the last one; `auth_time` is that of the token, as at a refresh. */
function toIdentity ({ auth_time: authTime }: RefreshClaims, { subject, id, expiresAt }: Session, claims: AppClaims): Identity {
  return { sub: subject, sid: id, auth_time: authTime, expiresAt, claims }
}
