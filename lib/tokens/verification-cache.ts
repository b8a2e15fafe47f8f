/** The payload of a token whose signature, key, algorithm and `typ` are valid. Its claims are not validated yet. */
export interface Verified {
  readonly payload: unknown
  /** True if the key that signed it is the one that signs now. */
  readonly signedByCurrentKey: boolean
}

/** Access tokens whose signature was verified: a browser sends the same one until it expires. */
export interface VerificationCache {
  /** The result for exactly this token, or undefined. */
  get (token: string): Verified | undefined
  /** Stores a result and freezes it, since requests share it from now on. */
  set (token: string, verified: Verified): Verified
}

const CAPACITY = 10_000

/** Longer tokens are verified each time, so that the memory of the cache is bounded. */
const MAX_LENGTH = 2048

/**
 * It caches signatures only: expiry, audience and revocation are checked at every request. The key is the whole token, so
 * another spelling is another token.
 *
 * When the newer half is full, it becomes the older half, and what the older half held is evicted. Tokens that are used move
 * to the newer half. So a flood of distinct tokens costs what it would without a cache, and nothing is sorted.
 */
export function createVerificationCache (capacity = CAPACITY): VerificationCache {
  let recent = new Map<string, Verified>()
  let earlier = new Map<string, Verified>()

  return {
    get (token) {
      const known = recent.get(token)
      if (known !== undefined) return known
      const before = earlier.get(token)
      if (before !== undefined) put(token, before)
      return before
    },

    set (token, verified) {
      deepFreeze(verified)
      if (token.length <= MAX_LENGTH) put(token, verified)
      return verified
    }
  }

  function put (token: string, verified: Verified): void {
    if (recent.size >= capacity / 2) {
      earlier = recent
      recent = new Map()
    }
    recent.set(token, verified)
  }
}

/** Freezes a JSON value at every depth. */
function deepFreeze (value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFreeze(inner)
}
