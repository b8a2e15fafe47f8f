/** The cost of one argon2 computation. */
export interface HashingParameters {
  /** Memory, in KiB. */
  readonly memoryCost: number
  /** Passes over the memory. */
  readonly timeCost: number
  /** Lanes. */
  readonly parallelism: number
}

/**
 * Allows password hashing below the minimum, for tests that log in a thousand times:
 * `passwords: { memoryCost: 1024, [allowWeakHashing]: true }`. Refused when NODE_ENV is "production".
 */
// Symbol.for, so that two copies of this package share the key.
export const allowWeakHashing: unique symbol = Symbol.for('fastify-refresh-cookie.allowWeakHashing')

/** The minimum parameters of the OWASP Password Storage Cheat Sheet, the recommended ones first. */
export const MINIMA = [
  { memoryCost: 19_456, timeCost: 2 },
  { memoryCost: 47_104, timeCost: 1 },
  { memoryCost: 12_288, timeCost: 3 },
  { memoryCost: 9216, timeCost: 4 },
  { memoryCost: 7168, timeCost: 5 }
] as const

/**
 * The maximum cost of a stored hash: 1 GiB, 16 passes, 16 lanes. Without it, an attacker who can write a row could stall the
 * server.
 */
export const MAX_COST: HashingParameters = { memoryCost: 2 ** 20, timeCost: 16, parallelism: 16 }

/** Throws a TypeError for parameters that are weaker than each of the minima. */
export function assertStrong ({ memoryCost, timeCost }: HashingParameters, weakAllowed: boolean): void {
  if (MINIMA.some(minimum => memoryCost >= minimum.memoryCost && timeCost >= minimum.timeCost)) return
  if (weakAllowed && process.env['NODE_ENV'] !== 'production') return
  const minima = MINIMA.map(minimum => `${minimum.memoryCost} with ${minimum.timeCost}`).join(', ')
  const exception = weakAllowed ? '[allowWeakHashing] does not work in production' : 'in tests set [allowWeakHashing] to true'
  throw new TypeError(`option "passwords.memoryCost" is ${memoryCost}: with timeCost ${timeCost} that is too weak; use at least ${minima}; ${exception}`)
}

/** A parsed hash. */
export interface StoredHash extends HashingParameters {
  /** The PHC string itself. */
  readonly encoded: string
  readonly type: 'argon2id' | 'argon2i' | 'argon2d'
  /** 19 is RFC 9106. 16 came before it, and is meant by a string without a version. */
  readonly version: 16 | 19
  /** The id of its pepper; null if there is none. */
  readonly keyId: string | null
}

// In base64 without padding: a key id of 1 to 8 bytes, a salt of 8 to 64 bytes and a hash of 16 to 64 bytes.
const PHC = /^\$(argon2(?:id|i|d))(?:\$v=(16|19))?\$([mtp]=[1-9]\d{0,6}),([mtp]=[1-9]\d{0,6}),([mtp]=[1-9]\d{0,6})(?:,keyid=([A-Za-z0-9+/]{2,11}))?\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/

/**
 * Parses an argon2 hash in the PHC string format, with its parameters in any order (argon2 0.45 writes m, p, t).
 * Null if it cannot be verified or costs more than `MAX_COST`.
 */
export function parsePasswordHash (value: unknown): StoredHash | null {
  const [encoded, type, version, one = '', two = '', three = '', keyId] = PHC.exec(typeof value === 'string' ? value : '') ?? []
  if (encoded === undefined) return null
  const cost: { m?: number, t?: number, p?: number } = Object.fromEntries([one, two, three].map(pair => [pair.charAt(0), Number(pair.slice(2))]))
  const { m = 0, t = 0, p = 0 } = cost
  const stored = {
    encoded,
    type: type as StoredHash['type'], // PHC matches no other
    version: version === '19' ? 19 : 16,
    keyId: keyId === undefined ? null : Buffer.from(keyId, 'base64').toString(),
    memoryCost: m,
    timeCost: t,
    parallelism: p
  } as const
  return isAffordable(stored) ? stored : null
}

/** True if a hash is weaker than a new one: another type, an older version, another pepper or none, or a lower cost. */
export function needsRehash (stored: StoredHash, now: HashingParameters, keyId: string | null): boolean {
  return stored.type !== 'argon2id' || stored.version !== 19 || stored.keyId !== keyId ||
    stored.memoryCost < now.memoryCost || stored.timeCost < now.timeCost || stored.parallelism < now.parallelism
}

/** Adds the id of the pepper to a new hash, as the PHC string format of argon2 writes it: `keyid`, after the costs. */
export function withKeyId (encoded: string, keyId: string): string {
  const id = Buffer.from(keyId).toString('base64').replaceAll('=', '')
  return encoded.replace(/^(?:\$[^$]+){3}/, parameters => `${parameters},keyid=${id}`)
}

/** RFC 9106 section 3.1: at least 8 KiB for each lane. A missing parameter is 0 here. */
function isAffordable ({ memoryCost, timeCost, parallelism }: HashingParameters): boolean {
  return parallelism >= 1 && parallelism <= MAX_COST.parallelism &&
    timeCost >= 1 && timeCost <= MAX_COST.timeCost &&
    memoryCost >= 8 * parallelism && memoryCost <= MAX_COST.memoryCost
}
