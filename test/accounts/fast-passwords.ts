import argon2 from 'argon2'
import { type Argon2 } from '../../lib/accounts/argon2.js'
import { createPasswords, type Passwords, type PasswordsOptions } from '../../lib/accounts/hashing.js'

/** What argon2 was asked to do. */
export interface Work {
  loads: number
  hashes: number
  /** The hashes that were verified, in order. */
  readonly verified: string[]
}

/** Everything as by default, but with parameters for tests that log in often: a millisecond each. */
export const FAST: PasswordsOptions = {
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

/** Real passwords with fast parameters, and a count of what argon2 did. `argon2` replaces parts of it. */
export function fastPasswords (options: Partial<PasswordsOptions> = {}, replaced: Partial<Argon2> = {}): { passwords: Passwords, work: Work } {
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
  const passwords = createPasswords({ ...FAST, loadArgon2, ...options })
  return { passwords, work }
}
