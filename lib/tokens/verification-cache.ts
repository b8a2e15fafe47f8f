/** The payload of a token whose signature, key, algorithm and kind are right; its claims are not judged yet. */
export interface Verified {
  readonly payload: unknown
  /** Whether the key that signed it is the one that signs now. */
  readonly signedByCurrentKey: boolean
}

/** Tokens whose signature was verified lately: a browser sends the same one until it expires. */
export interface VerificationCache {
  /** What verifying this very text gave, or undefined. */
  get (token: string): Verified | undefined
  /** Remembers what verifying a token gave, frozen, since requests share it from now on. */
  set (token: string, verified: Verified): Verified
}

const CAPACITY = 10_000

/** Longer tokens are verified each time, so that the cache is bounded in bytes too. */
const MAX_LENGTH = 2048

/**
 * Builds an empty cache. Only the signature is remembered: whether a token has expired, is meant for us or belongs to an
 * ended session is judged at every request. Its key is the whole text, so another spelling of a token is another token.
 *
 * Half of it is forgotten at once when it is full, those that nobody has sent since: a flood of distinct tokens costs what
 * it would without a cache, and no sorting.
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

/** Freezes what JSON can carry, at every depth. */
function deepFreeze (value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFreeze(inner)
}
