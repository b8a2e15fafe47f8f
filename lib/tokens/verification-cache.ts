import { type AccessClaims } from './claims.js'

const CAPACITY = 10_000

/** Longer tokens are verified each time, so that the memory of the cache is bounded. */
const MAX_LENGTH = 2048

/**
 * A token is found by the end of its signature and then compared as a whole: a map hashes every character of its key, and each
 * request has its own string. Nobody can choose the signature of a valid token.
 */
const TAIL_LENGTH = 22

interface Entry {
  readonly token: string
  readonly claims: AccessClaims
}

/**
 * The claims of access tokens that were verified: a browser sends the same token until it expires. Times and revocation are
 * checked at every request all the same. Another spelling of a token is another token.
 *
 * When the newer half is full, it becomes the older half, and what the older half held is evicted. Tokens that are used move
 * to the newer half. So a flood of distinct tokens costs what it would without a cache, and nothing is sorted.
 */
export class VerificationCache {
  readonly #capacity: number
  #recent = new Map<string, Entry>()
  #earlier = new Map<string, Entry>()

  constructor (capacity = CAPACITY) {
    this.#capacity = capacity
  }

  /** The claims of exactly this token, or undefined. */
  get (token: string): AccessClaims | undefined {
    const tail = token.slice(-TAIL_LENGTH)
    const recent = this.#recent.get(tail)
    if (recent?.token === token) return recent.claims
    const earlier = this.#earlier.get(tail)
    if (earlier?.token !== token) return undefined
    this.#put(tail, earlier)
    return earlier.claims
  }

  /** Freezes the claims, since requests share them from now on. */
  set (token: string, claims: AccessClaims): AccessClaims {
    deepFreeze(claims)
    if (token.length <= MAX_LENGTH) this.#put(token.slice(-TAIL_LENGTH), { token, claims })
    return claims
  }

  #put (tail: string, entry: Entry): void {
    if (this.#recent.size >= this.#capacity / 2) {
      this.#earlier = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(tail, entry)
  }
}

/** Freezes a JSON value at every depth. */
function deepFreeze (value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFreeze(inner)
}
