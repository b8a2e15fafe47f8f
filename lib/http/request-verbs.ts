import { type AccessClaims } from '../tokens/claims.js'

/**
 * `request.auth`: who sends the request. A verb that rejects with a refusal puts the headers of it on the reply
 * (`WWW-Authenticate`, `Retry-After`), so that an error handler of the app's own sends them too.
 *
 * A service that only verifies has this part alone; an app with sessions has `SessionVerbs` too.
 */
export interface RequestAuth {
  /**
   * The claims of the access token. Typed as if there always were some, since that is so behind `authenticate`; where nobody
   * was authenticated it is null: behind `authenticateOptional` use `claimsOrNull`.
   */
  readonly claims: AccessClaims
  /** The claims of the access token; null where nobody was authenticated. */
  readonly claimsOrNull: AccessClaims | null
  /**
   * Authenticates the request by its access token. Rejects with FST_AUTH_ACCESS_TOKEN_MISSING, _INVALID or _EXPIRED; with
   * `revocation: 'immediate'` also with FST_AUTH_SESSION_ENDED, or FST_AUTH_STORE_UNAVAILABLE where only the store can tell.
   */
  authenticate (): Promise<AccessClaims>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sends the request. */
    auth: RequestAuth
  }
}
