import { type Verified } from './tokens.js'

/** Tokens whose signature was verified lately: a browser sends the same one until it expires. */
export interface TokenMemory {
  /** What verifying this very text gave, or undefined. */
  recall (token: string): Verified | undefined
  /** Remembers what verifying a token gave, frozen, since requests share it from now on. */
  keep (token: string, verified: Verified): Verified
}

const CAPACITY = 10_000

/** Longer tokens are verified each time, so that the memory is bounded in bytes too. */
const MAX_LENGTH = 2048

/**
 * Builds an empty memory. Only the signature is remembered: whether a token has expired, is meant for us or belongs to an
 * ended session is judged at every request. Its key is the whole text, so another spelling of a token is another token.
 *
 * Half of it is forgotten at once when it is full, those that nobody has sent since: a flood of distinct tokens costs what
 * it would without a memory, and no sorting.
 */
export function createTokenMemory (capacity = CAPACITY): TokenMemory {
  let recent = new Map<string, Verified>()
  let earlier = new Map<string, Verified>()

  return {
    recall (token) {
      const known = recent.get(token)
      if (known !== undefined) return known
      const before = earlier.get(token)
      if (before !== undefined) put(token, before)
      return before
    },

    keep (token, verified) {
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
