import { type AccessClaims } from '../tokens/claims.js'
import { unavailable } from '../deadline.js'
import { type Revocations } from './revocations.js'
import { type SessionService } from './service.js'

/**
 * The claims of an access token for a caller that cannot wait for the store. Throws as `SessionService.authenticate`, and
 * FST_AUTH_STORE_UNAVAILABLE where only the store can tell whether the session has ended and the unknown are refused.
 */
export function verifyAtOnce (token: string, sessions: Pick<SessionService, 'authenticate' | 'isCertain'>, revocations: Pick<Revocations, 'refusesUnknown'> | undefined): AccessClaims {
  const claims = sessions.authenticate(token)
  if (revocations?.refusesUnknown() && !sessions.isCertain(claims)) throw unavailable(new Error('only the store knows whether this session has ended'))
  return claims
}
