import { type AccessClaims, type RefreshClaims } from './claims.js'

/** The payload of a token whose signature, key, algorithm and kind are right; its claims are not judged yet. */
export interface Verified {
  readonly payload: unknown
  /** Whether the key that signed it is the one that signs now. */
  readonly signedByCurrentKey: boolean
}

/** What the core needs of JSON Web Tokens: two kinds, each with its own keys. Verifying never throws. */
export interface Tokens {
  signAccess (claims: AccessClaims): string
  signRefresh (claims: RefreshClaims): string
  /** Null for everything that is not an access token of ours. */
  verifyAccess (token: string): Verified | null
  /** Null for everything that is not a refresh token of ours. */
  verifyRefresh (token: string): Verified | null
}
