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
// Symbol.for, so that the ESM and the CommonJS build of this package share the key.
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
