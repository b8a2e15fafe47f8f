import { inspect } from 'node:util'
import { MAX_COST, type HashingParameters } from './password-hash.js'

/**
 * Lets password hashing be weaker than the minimum, for tests that log in a thousand times:
 * `passwords: { memoryCost: 1024, [allowWeakHashing]: true }`. Refused when NODE_ENV is "production".
 */
// Registered, so that the ESM and the CommonJS build of this package mean the same key.
export const allowWeakHashing: unique symbol = Symbol.for('fastify-refresh-cookie.allowWeakHashing')

/** Whose password it is, as far as known. */
export interface PasswordOwner {
  /** The normalised username. */
  readonly username?: string
}

/**
 * The app's own rule, e.g. a look-up among breached passwords. True or nothing accepts, everything else refuses.
 * It gets the password in Unicode NFC; it is answered 503 if it throws or takes too long.
 */
export type PasswordCheck = (password: string, owner: PasswordOwner) => Promise<boolean | void> | boolean | void

/** How passwords are judged and hashed (argon2id). */
export interface PasswordOptions {
  /** Memory for one hash, in KiB; 19456 by default. */
  readonly memoryCost?: number | undefined
  /** Passes over the memory; 2 by default. */
  readonly timeCost?: number | undefined
  /** Lanes; 1 by default. */
  readonly parallelism?: number | undefined
  /** The fewest characters (Unicode code points) of a new password, 8 to 64; 8 by default. */
  readonly minLength?: number | undefined
  readonly check?: PasswordCheck | undefined
  readonly [allowWeakHashing]?: boolean | undefined
}

/** Password options that were checked, with their defaults. */
export interface PasswordRules {
  readonly parameters: HashingParameters
  readonly minLength: number
  readonly check: PasswordCheck | undefined
}

/** The weakest parameters that are good enough (OWASP Password Storage Cheat Sheet), the recommended ones first. */
const MINIMA = [
  { memoryCost: 19_456, timeCost: 2 },
  { memoryCost: 47_104, timeCost: 1 },
  { memoryCost: 12_288, timeCost: 3 },
  { memoryCost: 9216, timeCost: 4 },
  { memoryCost: 7168, timeCost: 5 }
] as const

/** Checks password options and fills in the defaults. Throws a TypeError that names the option and the way out. */
export function readPasswordOptions (options: PasswordOptions = {}): PasswordRules {
  const { memoryCost = MINIMA[0].memoryCost, timeCost = MINIMA[0].timeCost, parallelism = 1, minLength = 8, check } = options
  // 128 KiB: 8 for each of the most lanes (RFC 9106 section 3.1).
  assertInteger('memoryCost', memoryCost, 128, MAX_COST.memoryCost)
  assertInteger('timeCost', timeCost, 1, MAX_COST.timeCost)
  assertInteger('parallelism', parallelism, 1, MAX_COST.parallelism)
  // NIST SP 800-63B section 3.1.1.2: 8 at the very least, and 64 must be welcome.
  assertInteger('minLength', minLength, 8, 64)
  if (check !== undefined && typeof check !== 'function') throw wrong('check', check, 'it must be a function')

  const parameters = { memoryCost, timeCost, parallelism }
  assertStrong(parameters, options[allowWeakHashing] === true)
  return { parameters, minLength, check }
}

function assertInteger (name: string, value: unknown, min: number, max: number): void {
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return
  throw wrong(name, value, `it must be a whole number from ${min} to ${max}`)
}

function assertStrong ({ memoryCost, timeCost }: HashingParameters, weakAllowed: boolean): void {
  if (MINIMA.some(minimum => memoryCost >= minimum.memoryCost && timeCost >= minimum.timeCost)) return
  if (weakAllowed && process.env['NODE_ENV'] !== 'production') return
  const minima = MINIMA.map(minimum => `${minimum.memoryCost} with ${minimum.timeCost}`).join(', ')
  const exception = weakAllowed ? '[allowWeakHashing] does not work in production' : 'in tests set [allowWeakHashing] to true'
  throw wrong('memoryCost', memoryCost, `with timeCost ${timeCost} that is too weak; use at least ${minima}; ${exception}`)
}

function wrong (name: string, value: unknown, wayOut: string): TypeError {
  return new TypeError(`option "passwords.${name}" is ${inspect(value, { depth: 0, maxStringLength: 60 })}: ${wayOut}`)
}
