import { type AccessClaims } from '../tokens/claims.js'

/**
 * `request.auth`: the authentication of the request. A method that rejects with an AuthError sets the headers of the refusal
 * on the reply (`WWW-Authenticate` of RFC 6750 section 3, `Retry-After`), so that the app's own error handler sends them too.
 *
 * A service that only verifies has this part alone; an app with sessions has `SessionVerbs` too.
 */
export interface RequestAuth {
  /**
   * The claims of the access token. Never null behind `authenticate`. Elsewhere, as behind `authenticateOptional`, it may be null
   * despite its type: use `claimsOrNull` there.
   */
  readonly claims: AccessClaims
  /** The claims of the access token; null if the request is not authenticated. */
  readonly claimsOrNull: AccessClaims | null
  /**
   * Authenticates the request by its access token. Rejects with FST_AUTH_ACCESS_TOKEN_MISSING, _INVALID or _EXPIRED; with
   * `revocation: 'immediate'` also with FST_AUTH_SESSION_ENDED, or FST_AUTH_STORE_UNAVAILABLE if the store must be asked and fails.
   */
  authenticate (): Promise<AccessClaims>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The authentication of the request. */
    auth: RequestAuth
  }
}
