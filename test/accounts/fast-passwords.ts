import argon2 from 'argon2'
import { allowWeakHashing } from '../../lib/accounts/password-options.js'
import { createPasswords, type Argon2, type Passwords, type PasswordsOptions } from '../../lib/accounts/passwords.js'

/** What argon2 was asked to do. */
export interface Work {
  loads: number
  hashes: number
  /** The hashes that were verified, in order. */
  readonly verified: string[]
}

/** Parameters for tests that log in often: a millisecond each. */
export const FAST = { memoryCost: 1024, timeCost: 2, parallelism: 1, [allowWeakHashing]: true } as const

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
      async verify (encoded, password) {
        work.verified.push(encoded)
        return await engine.verify(encoded, password)
      }
    }
  }
  const passwords = createPasswords({ ...FAST, timeouts: { call: 2, request: 3 }, loadArgon2, ...options })
  return { passwords, work }
}
