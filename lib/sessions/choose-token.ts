import { AuthError } from '../errors.js'
import { type EpochSeconds } from '../time.js'
import { type RefreshClaims } from '../tokens/claims.js'
import { type Tokens, type VerifiedRefreshToken } from '../tokens/jwt.js'

type Verify = Tokens['verifyRefresh']

/**
 * Chooses and verifies one of several refresh cookies; null if none is valid. A browser sends several if the attributes of the
 * cookie have changed, or if an app on another sub-domain has a cookie of the same name.
 *
 * It ignores tokens with an invalid signature, tokens of other subjects than `subject` if that is given, and expired tokens if
 * there is a valid one. Of the rest it takes the token of the newest session.
 * Throws FST_AUTH_REFRESH_TOKEN_INVALID for tokens of several subjects: one of them may come from cookie tossing.
 */
export function chooseToken (tokens: readonly string[], verify: Verify, now: EpochSeconds, subject?: string): VerifiedRefreshToken | null {
  const [first = '', ...others] = tokens
  if (others.length === 0 && subject === undefined) return verify(first)
  const ours = tokens.flatMap(token => verify(token) ?? []).filter(({ claims }) => (subject ?? claims.sub) === claims.sub)
  const unexpired = ours.filter(({ claims }) => now < claims.exp)
  const candidates = unexpired.length > 0 ? unexpired : ours
  if (new Set(candidates.map(({ claims }) => claims.sub)).size > 1) throw new AuthError('FST_AUTH_REFRESH_TOKEN_INVALID')
  return candidates.reduce<VerifiedRefreshToken | null>((newest, one) => newest === null || isNewer(one.claims, newest.claims) ? one : newest, null)
}

/**
 * The token that `chooseToken` chooses, without I/O: invalid tokens cause no load on the store and end no session.
 * Throws FST_AUTH_REFRESH_TOKEN_MISSING, _INVALID, _EXPIRED.
 */
export function verifyChosen (tokens: readonly string[], verify: Verify, now: EpochSeconds): VerifiedRefreshToken {
  const verified = chooseToken(tokens, verify, now)
  if (verified === null) throw new AuthError(tokens.length === 0 ? 'FST_AUTH_REFRESH_TOKEN_MISSING' : 'FST_AUTH_REFRESH_TOKEN_INVALID')
  if (now >= verified.claims.exp) throw new AuthError('FST_AUTH_REFRESH_TOKEN_EXPIRED')
  return verified
}

/** As `verifyChosen`; null if the token is missing, invalid or expired, or for tokens of several subjects. */
export function verifyChosenOrNull (tokens: readonly string[], verify: Verify, now: EpochSeconds): VerifiedRefreshToken | null {
  try {
    return verifyChosen(tokens, verify, now)
  } catch {
    return null
  }
}

/** `other` precedes `token` in the header. Of two cookies with equal paths, browsers send the older one first (RFC 6265 section 5.4), so `token` wins a tie. */
function isNewer (token: RefreshClaims, other: RefreshClaims): boolean {
  if (token.sid === other.sid) return token.gen >= other.gen
  if (token.end !== other.end) return token.end > other.end // a login sets it, and nothing changes it
  if (other.replaces === token.sid) return false
  return token.replaces === other.sid || token.iat >= other.iat
}
