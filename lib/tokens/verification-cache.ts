import { type EpochSeconds } from '../time.js'
import { type AccessClaims } from './claims.js'

/** Longer tokens are verified each time, so that a few of them cannot fill the cache. */
const MAX_LENGTH = 2048

/** The memory of a token with its claims, for each of its characters: 2.2 to 2.4 bytes were measured. */
const BYTES_PER_CHARACTER = 2.5

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
 * When the newer half is full, or its first token has expired, it becomes the older half, and the former older half is
 * evicted. Tokens that are used move to the newer half. So the cache shrinks with the traffic, and nothing is sorted. A token is
 * kept from its second verification on, so that a flood of distinct tokens costs what it would without a cache.
 */
export class VerificationCache {
  readonly #maxBytes: number
  #recent = new Map<string, Entry>()
  #earlier = new Map<string, Entry>()
  #recentBytes = 0
  #recentExpiry: EpochSeconds = Infinity
  readonly #verified = new VerifiedTokens()

  /** `maxBytes` bounds both halves together. */
  constructor (maxBytes: number) {
    this.#maxBytes = maxBytes
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

  /** Freezes the claims, since requests share them. */
  set (token: string, claims: AccessClaims): AccessClaims {
    deepFreeze(claims)
    if (token.length <= MAX_LENGTH && this.#verified.remember(token)) this.#put(token.slice(-TAIL_LENGTH), { token, claims })
    return claims
  }

  #put (tail: string, entry: Entry): void {
    const { token, claims: { iat, exp } } = entry
    const bytes = BYTES_PER_CHARACTER * token.length
    if (bytes > this.#maxBytes / 2) return
    if (this.#recentBytes + bytes > this.#maxBytes / 2 || iat >= this.#recentExpiry) this.#swap()
    if (this.#recent.size === 0) this.#recentExpiry = exp
    this.#recent.set(tail, entry)
    this.#recentBytes += bytes
  }

  #swap (): void {
    this.#earlier = this.#recent
    this.#recent = new Map()
    this.#recentBytes = 0
  }
}

/**
 * The tokens that were verified lately, by 30 bits of their signatures, in half a megabyte. A later token may take the place of
 * an earlier one, which is then verified once more.
 */
class VerifiedTokens {
  readonly #marks = new Uint16Array(2 ** 18)

  /** True if the token was remembered before. */
  remember (token: string): boolean {
    let bits = 0
    for (let at = token.length - 6; at < token.length - 1; at++) bits = bits << 6 | token.charCodeAt(at) & 63 // the last character has unused bits
    const place = bits & this.#marks.length - 1
    const mark = bits >>> 14
    const isKnown = this.#marks[place] === mark
    this.#marks[place] = mark
    return isKnown
  }
}

/** Freezes a JSON value at every depth. */
function deepFreeze (value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFreeze(inner)
}
