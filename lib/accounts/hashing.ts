import { networkOf, readAddress } from '../client-address.js'
import { startDeadline, type Timeouts } from '../deadline.js'
import { withholding } from '../redaction.js'
import { loadArgon2, type Argon2 } from './argon2.js'
import { createHashKinds, type HashingParameters, needsRehash, parsePasswordHash, type StoredHash, withKeyId } from './password-hash.js'
import { judgePassword, passwordRefused, readPassword, type PasswordOwner, type PasswordRules } from './policy.js'
import { busy, createPasswordQueue, type PasswordQueueOptions } from './queue.js'
import { createPepper, type PepperOptions } from './pepper.js'

/** Passwords: judged, hashed with argon2id, verified. All work goes through one bounded queue. */
export interface Passwords {
  /**
   * A new hash as a PHC string. Throws FST_AUTH_PASSWORD_REFUSED for what can never be a password (no text,
   * ill-formed, over 1024 bytes) and FST_AUTH_BUSY. The policy is `check`'s.
   */
  hash (password: unknown, from?: WorkSource): Promise<string>
  /**
   * Whether the hash is this password's; false for any hash or password that cannot be one, and for null. Every false
   * costs one verification of each kind of hash that is known to be stored, so that its time does not tell why. Throws FST_AUTH_BUSY, and
   * FST_AUTH_STORE_UNAVAILABLE if `verifyLegacy` fails.
   */
  verify (passwordHash: string | null, password: unknown, from?: WorkSource): Promise<boolean>
  /** Judges a new password. Throws FST_AUTH_PASSWORD_REFUSED, FST_AUTH_STORE_UNAVAILABLE if the app's own rule fails. */
  check (password: unknown, owner?: PasswordOwner): Promise<void>
  /** Whether a hash should be made anew at the next login, because it is weaker than what is made now. */
  needsRehash (passwordHash: string): boolean
  /** Whether a hash can be verified at all: by its own kind, or by `verifyLegacy`. */
  canVerify (passwordHash: string): boolean
}

/**
 * Who causes password work: whoever floods the queue waits behind everybody else. Fastify's request is one; what says
 * nothing counts as one client.
 */
export interface WorkSource {
  readonly ip?: string | null | undefined
}

/**
 * Verifies a hash that another system made (bcrypt, scrypt, …). Gets the password as it was typed; true logs in, and
 * the hash is replaced at once. It is answered 503 if it throws or takes too long.
 */
export type VerifyLegacy = (passwordHash: string, password: string) => Promise<boolean> | boolean

/** How passwords are judged and made. */
export interface PasswordsOptions extends HashingParameters, PasswordRules {
  readonly verifyLegacy: VerifyLegacy | undefined
  readonly pepper: PepperOptions | undefined
  readonly queue: PasswordQueueOptions
  /** The time that `check` and `verifyLegacy` may take. */
  readonly timeouts: Timeouts
  /** Loads argon2, at each use. */
  readonly loadArgon2?: (() => Promise<Argon2>) | undefined
}

// RFC 9106 section 3.1: the number of argon2id.
const ARGON2ID = 2

/** Builds passwords. Throws a TypeError for a pepper whose current key is missing. */
export function createPasswords (options: PasswordsOptions): Passwords {
  const { memoryCost, timeCost, parallelism, verifyLegacy, timeouts } = options
  const load = options.loadArgon2 ?? loadArgon2
  const parameters = { memoryCost, timeCost, parallelism }
  const pepper = createPepper(options.pepper ?? { current: null, keys: {} })
  const queue = createPasswordQueue(options.queue)
  const kinds = createHashKinds(parameters)
  /** A hash that `verifyLegacy` has answered about. */
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
        // As it was typed, since the other system did not bring it into NFC; where `text` is a string, so is it.
        const typed = text === null ? null : password as string
        if (typed !== null && await verifiesElsewhere(stored === null ? passwordHash : null, typed)) return true
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

  /** A hash of our own kind whose pepper is known; null for any other. */
  function readHash (passwordHash: string | null): StoredHash | null {
    const stored = parsePasswordHash(passwordHash)
    return stored === null || pepper.keyOf(stored.keyId) === undefined ? null : stored
  }

  async function matches (stored: StoredHash, text: string): Promise<boolean> {
    kinds.add(stored)
    const secret = pepper.keyOf(stored.keyId) as Buffer // `readHash` has seen it
    return await compute(argon2 => argon2.verify(stored.encoded, text, { secret }))
  }

  /** Whether a hash of the other system is this password's. Who has none costs the verification of somebody else's. */
  async function verifiesElsewhere (passwordHash: string | null, password: string): Promise<boolean> {
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
      // It was given nothing that it could refuse: it is out of memory.
      throw busy(cause)
    }
  }
}

/** Of IPv6 a /48, since one customer of a provider may have 256 or 65,536 networks of 64 bits. */
function clientOf (from: WorkSource = {}): string {
  return networkOf(readAddress(from.ip), 48)
}

function accept (password: unknown): string {
  const { text, refusal } = readPassword(password)
  if (refusal !== null) throw passwordRefused(refusal)
  return text
}
