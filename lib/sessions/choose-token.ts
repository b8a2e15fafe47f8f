import { AuthError } from '../errors.js'
import { type RefreshClaims } from '../tokens/claims.js'
import { type EpochSeconds } from '../time.js'

/** Reads a refresh token of ours, of any age; null for any other text. */
export type ReadToken = (token: string) => RefreshClaims | null

/**
 * Of the refresh tokens that a browser sent, the one that counts. A browser holds several where the attributes of the
 * cookie changed, or where an app on another sub-domain has a cookie of the same name. Those that we did not sign do not
 * count, nor do expired ones beside one that is good, nor those of others than `subject`, if that is given. Of one subject
 * it is that of the newest session. Where none counts it is the first; undefined where there is none.
 * Throws FST_AUTH_REFRESH_TOKEN_INVALID for tokens of several subjects: one of them may have been tossed in.
 */
export function chooseToken (tokens: readonly string[], read: ReadToken, now: EpochSeconds, subject?: string): string | undefined {
  const [first, ...others] = tokens
  if (others.length === 0) return first
  const ours = tokens.flatMap(token => {
    const claims = read(token)
    return claims === null || (subject ?? claims.sub) !== claims.sub ? [] : [{ token, claims }]
  })
  const good = ours.filter(({ claims }) => now < claims.exp)
  const counting = good.length > 0 ? good : ours
  if (new Set(counting.map(({ claims }) => claims.sub)).size > 1) throw new AuthError('FST_AUTH_REFRESH_TOKEN_INVALID')
  return newestOf(counting)?.token ?? first
}

/** What the token that counts says of its holder; null where none does that is good, or tokens of several subjects do. */
export function sessionRefOf (tokens: readonly string[], read: ReadToken, now: EpochSeconds): RefreshClaims | null {
  try {
    const claims = read(chooseToken(tokens, read, now) ?? '')
    return claims === null || now >= claims.exp ? null : claims
  } catch {
    return null
  }
}

function newestOf<T extends { readonly claims: RefreshClaims }> ([first, ...others]: readonly T[]): T | undefined {
  return first && others.reduce((newest, one) => isNewer(one.claims, newest.claims) ? one : newest, first)
}

/** Whether a token is newer than one that is before it in the header, where browsers put the older of two alike. */
function isNewer (token: RefreshClaims, other: RefreshClaims): boolean {
  if (token.sid === other.sid) return token.gen >= other.gen
  if (token.auth_time !== other.auth_time) return token.auth_time > other.auth_time
  if (other.replaces === token.sid) return false
  return token.replaces === other.sid || token.iat >= other.iat
}
