import { networkOf, readAddress } from '../client-address.js'
import { startDeadline, type Timeouts } from '../deadline.js'
import { withholding } from '../redaction.js'
import { loadArgon2, type Argon2 } from './argon2.js'
import { createHashKinds, type HashingParameters, needsRehash, parsePasswordHash, type StoredHash, withKeyId } from './hash-format.js'
import { judgePassword, passwordRefused, readPassword, type PasswordOwner, type PasswordRules } from './password-policy.js'
import { busy, createPasswordQueue, type PasswordQueueOptions } from './hashing-queue.js'
import { createPepper, type PepperOptions } from './pepper.js'

/** Password policy, hashing with argon2id, and verification. All hashing goes through one concurrency-limited queue. */
export interface Passwords {
  /**
   * Resolves to a new hash as a PHC string. Throws FST_AUTH_PASSWORD_REFUSED for a value that can never be a password (no
   * string, ill-formed Unicode, over 1024 bytes), and FST_AUTH_BUSY. It does not apply the policy: call `check` first.
   */
  hash (password: unknown, from?: WorkSource): Promise<string>
  /**
   * True if the password matches the hash; false for null, and for an invalid hash or password. Every false costs one
   * verification of each kind of hash that is known to be stored, so that its time does not reveal the reason (user
   * enumeration). Throws FST_AUTH_BUSY, and FST_AUTH_STORE_UNAVAILABLE if `verifyLegacy` fails.
   */
  verify (passwordHash: string | null, password: unknown, from?: WorkSource): Promise<boolean>
  /**
   * Checks a new password against the policy. Throws FST_AUTH_PASSWORD_REFUSED, and FST_AUTH_STORE_UNAVAILABLE if the app's
   * own rule fails.
   */
  check (password: unknown, owner?: PasswordOwner): Promise<void>
  /** True if a hash is weaker than a new one, so that the next login should replace it. */
  needsRehash (passwordHash: string): boolean
  /** True if a hash can be verified: as an argon2 hash, or by `verifyLegacy`. */
  canVerify (passwordHash: string): boolean
}

/**
 * The client that causes password work. The queue is fair between clients, so that one who floods it delays itself.
 * Fastify's request fits. All work without an address counts as one client.
 */
export interface WorkSource {
  readonly ip?: string | null | undefined
}

/**
 * Verifies a hash of another system (bcrypt, scrypt, …), with the password as it was typed. True logs the user in, and
 * the hash is replaced at once. If it throws or takes too long, the reply is 503.
 */
export type VerifyLegacy = (passwordHash: string, password: string) => Promise<boolean> | boolean

export interface PasswordsOptions extends HashingParameters, PasswordRules {
  readonly verifyLegacy: VerifyLegacy | undefined
  readonly pepper: PepperOptions | undefined
  readonly queue: PasswordQueueOptions
  /** For `check` and `verifyLegacy`. */
  readonly timeouts: Timeouts
  /** Called at each use. */
  readonly loadArgon2?: (() => Promise<Argon2>) | undefined
}

// The type of argon2id (RFC 9106 section 3.1).
const ARGON2ID = 2

/** Throws a TypeError for a pepper whose current key is missing. */
export function createPasswords (options: PasswordsOptions): Passwords {
  const { memoryCost, timeCost, parallelism, verifyLegacy, timeouts } = options
  const load = options.loadArgon2 ?? loadArgon2
  const parameters = { memoryCost, timeCost, parallelism }
  const pepper = createPepper(options.pepper ?? { current: null, keys: {} })
  const queue = createPasswordQueue(options.queue)
  const kinds = createHashKinds(parameters)
  /** A hash that `verifyLegacy` has answered for: the decoy of users without one. */
  let legacyExample: string | null = null

  return {
    async hash (password, from) {
      const text = accept(password)
      const encoded = await queue.run(clientOf(from), () => compute(argon2 => argon2.hash(text, { ...parameters, type: ARGON2ID, secret: pepper.current })))
      return pepper.currentId === null ? encoded : withKeyId(encoded, pepper.currentId)
    },

    async verify (passwordHash, password, from) {
      const { text } = readPassword(password)
      const stored = text === null ? null : readHash(passwordHash)
      return await queue.run(clientOf(from), async () => {
        if (stored !== null && text !== null && await matches(stored, text)) return true
        // As it was typed, since the other system did not normalise it to NFC. If `text` is a string, so is `password`.
        const typed = text === null ? null : password as string
        if (typed !== null && await matchesLegacy(stored === null ? passwordHash : null, typed)) return true
        for (const encoded of kinds.decoysBeside(stored)) await compute(argon2 => argon2.verify(encoded, text ?? '', { secret: pepper.current }))
        return false
      })
    },

    async check (password, owner = {}) {
      await judgePassword(accept(password), owner, options, timeouts)
    },

    needsRehash (passwordHash) {
      const stored = parsePasswordHash(passwordHash)
      return stored === null || needsRehash(stored, parameters, pepper.currentId)
    },

    canVerify: passwordHash => verifyLegacy !== undefined || readHash(passwordHash) !== null
  }

  /** An argon2 hash whose pepper is known; null for any other. */
  function readHash (passwordHash: string | null): StoredHash | null {
    const stored = parsePasswordHash(passwordHash)
    return stored === null || pepper.keyOf(stored.keyId) === undefined ? null : stored
  }

  async function matches (stored: StoredHash, text: string): Promise<boolean> {
    kinds.add(stored)
    const secret = pepper.keyOf(stored.keyId) as Buffer // `readHash` has checked that it is known
    return await compute(argon2 => argon2.verify(stored.encoded, text, { secret }))
  }

  /** Verifies a hash of another system, or a decoy for a user without one, so that both take the same time. */
  async function matchesLegacy (passwordHash: string | null, password: string): Promise<boolean> {
    const known = passwordHash || legacyExample
    if (verifyLegacy === undefined || !known) return false
    const answer = await startDeadline(timeouts)(() => withholding([known, password], () => verifyLegacy(known, password)))
    legacyExample ??= known
    return answer === true && known === passwordHash
  }

  async function compute<T> (work: (argon2: Argon2) => Promise<T>): Promise<T> {
    const argon2 = await load()
    try {
      return await work(argon2)
    } catch (cause) {
      // Its arguments are valid, so it is out of memory.
      throw busy(cause)
    }
  }
}

/** IPv6 addresses count by /48, since one customer of a provider may have 256 or 65,536 networks of 64 bits. */
function clientOf (from: WorkSource = {}): string {
  return networkOf(readAddress(from.ip), 48)
}

function accept (password: unknown): string {
  const { text, refusal } = readPassword(password)
  if (refusal !== null) throw passwordRefused(refusal)
  return text
}
