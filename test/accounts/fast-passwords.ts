import argon2 from 'argon2'
import { PasswordHasher, type Argon2, type PasswordHasherOptions, type Passwords } from '../../lib/accounts/hashing.js'

/** A log of the calls of argon2. */
export interface Work {
  loads: number
  hashes: number
  /** The verified hashes, in order. */
  readonly verified: string[]
}

/** The default options, with parameters for tests with many logins: a millisecond per hash. */
export const FAST: PasswordHasherOptions = {
  memoryCost: 1024,
  timeCost: 2,
  parallelism: 1,
  minLength: 8,
  check: undefined,
  contextWords: [],
  verifyLegacy: undefined,
  pepper: undefined,
  queue: { concurrency: 2, waiting: 50, maxWait: 5 },
  timeouts: { call: 2, request: 3 }
}

/** Real password hashing with fast parameters, and a log of the calls of argon2. `argon2` replaces parts of it. */
export function fastPasswords (options: Partial<PasswordHasherOptions> = {}, replaced: Partial<Argon2> = {}): { passwords: Passwords, work: Work } {
  const work: Work = { loads: 0, hashes: 0, verified: [] }
  const engine: Argon2 = { hash: argon2.hash, verify: argon2.verify, ...replaced }
  const loadArgon2 = async (): Promise<Argon2> => {
    work.loads++
    return {
      async hash (password, parameters) {
        work.hashes++
        return await engine.hash(password, parameters)
      },
      async verify (encoded, password, parameters) {
        work.verified.push(encoded)
        return await engine.verify(encoded, password, parameters)
      }
    }
  }
  const passwords = new PasswordHasher({ ...FAST, loadArgon2, ...options })
  return { passwords, work }
}
