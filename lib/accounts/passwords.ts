import { type Timeouts } from '../core/deadline.js'
import { decoyHash, needsRehash, parsePasswordHash, type HashingParameters } from './password-hash.js'
import { readPasswordOptions, type PasswordOptions, type PasswordOwner } from './password-options.js'
import { judgePassword, passwordRefused, readPassword } from './password-policy.js'
import { busy, createPasswordQueue, type PasswordQueueOptions } from './password-queue.js'

/** Passwords: judged, hashed with argon2id, verified. All work goes through one bounded queue. */
export interface Passwords {
  /**
   * A new hash as a PHC string. Throws FST_AUTH_PASSWORD_REFUSED for what can never be a password (no text,
   * ill-formed, over 1024 bytes) and FST_AUTH_BUSY. The policy is `check`'s.
   */
  hash (password: unknown): Promise<string>
  /**
   * Whether the hash is this password's; false for any hash or password that cannot be one, and for null.
   * Every answer costs one argon2 computation, so that its time does not tell why. Throws FST_AUTH_BUSY.
   */
  verify (passwordHash: string | null, password: unknown): Promise<boolean>
  /** Judges a new password. Throws FST_AUTH_PASSWORD_REFUSED, FST_AUTH_STORE_UNAVAILABLE if the app's own rule fails. */
  check (password: unknown, owner?: PasswordOwner): Promise<void>
  /** Whether a hash should be made anew at the next login, because it is weaker than what is made now. */
  needsRehash (passwordHash: string): boolean
}

/** What is used of the package argon2. */
export interface Argon2 {
  hash (password: string, options: HashingParameters & { readonly type: 2 }): Promise<string>
  verify (encoded: string, password: string): Promise<boolean>
}

/** How passwords are made. */
export interface PasswordsOptions extends PasswordOptions {
  /** The time that `check` may take. */
  readonly timeouts: Timeouts
  readonly queue?: PasswordQueueOptions | undefined
  /** Loads argon2, at its first use. */
  readonly loadArgon2?: (() => Promise<Argon2>) | undefined
}

// RFC 9106 section 3.1: the number of argon2id.
const ARGON2ID = 2

/** Builds passwords. Throws a TypeError for parameters weaker than the minimum. */
export function createPasswords (options: PasswordsOptions): Passwords {
  // A dynamic import: an app whose people log in another way never loads the native module.
  const { timeouts, loadArgon2 = () => import('argon2') } = options
  const rules = readPasswordOptions(options)
  const queue = createPasswordQueue(options.queue)
  const decoy = decoyHash(rules.parameters)

  return {
    async hash (password) {
      const text = accept(password)
      return await compute(argon2 => argon2.hash(text, { ...rules.parameters, type: ARGON2ID }))
    },

    async verify (passwordHash, password) {
      const { text } = readPassword(password)
      const encoded = text === null ? null : parsePasswordHash(passwordHash)?.encoded ?? null
      const matches = await compute(argon2 => argon2.verify(encoded ?? decoy, text ?? ''))
      return matches && encoded !== null
    },

    async check (password, owner = {}) {
      await judgePassword(accept(password), owner, rules, timeouts)
    },

    needsRehash (passwordHash) {
      const stored = parsePasswordHash(passwordHash)
      return stored === null || needsRehash(stored, rules.parameters)
    }
  }

  async function compute<T> (work: (argon2: Argon2) => Promise<T>): Promise<T> {
    return await queue.run(async () => {
      try {
        return await work(await loadArgon2())
      } catch (cause) {
        // It was given nothing that it could refuse: it is out of memory, or not built for this machine.
        throw busy(cause)
      }
    })
  }
}

function accept (password: unknown): string {
  const { text, refusal } = readPassword(password)
  if (refusal !== null) throw passwordRefused(refusal)
  return text
}
