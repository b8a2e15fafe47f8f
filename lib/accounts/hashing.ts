import { randomBytes } from 'node:crypto'
import { networkOf, readAddress } from '../client-address.js'
import { busy, startDeadline, type Timeouts } from '../deadline.js'
import { type Secret } from '../keys/ring.js'
import { redactErrors } from '../redaction.js'
import { type HashingParameters, needsRehash, parsePasswordHash, type StoredHash, withKeyId } from './hash-format.js'
import { HashingQueue, type HashingQueueOptions } from './hashing-queue.js'
import { assertPolicy, passwordRefused, type PasswordOwner, type PasswordRules } from './password-policy.js'

/** The longest password, in bytes of UTF-8. A longer one is refused, never truncated. */
const MAX_PASSWORD_BYTES = 1024

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
 * The client that causes password work. The queue is fair between clients, so that a client that floods it delays only itself.
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

/**
 * Secrets that are hashed with every password (argon2's `secret`), so that a stolen user table alone is of no use.
 * Each hash names its key; new hashes use the current one. Passwords whose key was removed can no longer be verified.
 */
export interface PepperOptions {
  /** The id of the key for new hashes. */
  readonly current: string
  /** At least 32 random bytes each, by ids of 1 to 8 letters, digits, "-" and "_". */
  readonly keys: Readonly<Record<string, Secret>>
}

export interface PasswordHasherOptions extends HashingParameters, PasswordRules {
  readonly verifyLegacy: VerifyLegacy | undefined
  readonly pepper: PepperOptions | undefined
  readonly queue: HashingQueueOptions
  /** For `check` and `verifyLegacy`. */
  readonly timeouts: Timeouts
  /** Called at the first use, and again if it fails. */
  readonly loadArgon2?: (() => Promise<Argon2>) | undefined
}

/** The part of the package argon2 that is used. */
export interface Argon2 {
  hash (password: string, options: HashingParameters & { readonly type: 2, readonly secret: Buffer }): Promise<string>
  verify (encoded: string, password: string, options: { readonly secret: Buffer }): Promise<boolean>
}

// The type of argon2id (RFC 9106 section 3.1).
const ARGON2ID = 2

export class PasswordHasher implements Passwords {
  readonly #options: PasswordHasherOptions
  readonly #loadArgon2: () => Promise<Argon2>
  #argon2: Argon2 | undefined
  readonly #queue: HashingQueue
  readonly #dummies: DummyHashes
  /** The peppers by their id. That of hashes without one is empty. */
  readonly #peppers = new Map<string | null, Buffer>([[null, Buffer.alloc(0)]])
  /** The id of the pepper of new hashes; null without one. */
  readonly #pepperId: string | null
  readonly #legacyDummies = new LegacyDummyHashes()

  /** Throws a TypeError for a pepper whose current key is missing. */
  constructor (options: PasswordHasherOptions) {
    this.#options = options
    this.#loadArgon2 = options.loadArgon2 ?? loadArgon2
    this.#queue = new HashingQueue(options.queue)
    this.#dummies = new DummyHashes(options)
    const { current, keys } = options.pepper ?? { current: null, keys: {} }
    for (const [id, key] of Object.entries(keys)) this.#peppers.set(id, Buffer.from(key))
    if (!this.#peppers.has(current)) throw new TypeError('option "passwords.pepper.current" is not an id in "passwords.pepper.keys": add this key, or set another id')
    this.#pepperId = current
    // An app may take the methods of `app.passwords` apart.
    this.hash = this.hash.bind(this)
    this.verify = this.verify.bind(this)
    this.check = this.check.bind(this)
    this.needsRehash = this.needsRehash.bind(this)
    this.canVerify = this.canVerify.bind(this)
  }

  /** The queue for hashing has no room. */
  get isFull (): boolean {
    return this.#queue.isFull
  }

  async hash (password: unknown, from?: WorkSource): Promise<string> {
    const text = normalise(password)
    const { memoryCost, timeCost, parallelism } = this.#options
    const secret = this.#peppers.get(this.#pepperId) as Buffer // checked by the constructor
    const encoded = await this.#queue.run(clientOf(from), async () => {
      this.#argon2 ??= await this.#loadArgon2()
      return await this.#argon2.hash(text, { memoryCost, timeCost, parallelism, type: ARGON2ID, secret }).catch(outOfMemory)
    })
    return this.#pepperId === null ? encoded : withKeyId(encoded, this.#pepperId)
  }

  async verify (passwordHash: string | null, password: unknown, from?: WorkSource): Promise<boolean> {
    const { text } = readPassword(password)
    const stored = text === null ? null : this.#readHash(passwordHash)
    return await this.#queue.run(clientOf(from), async keepSlot => {
      if (stored !== null && text !== null) {
        this.#dummies.add(stored)
        if (await this.#matches(stored.encoded, text, stored.keyId)) return true
      }
      // As it was typed, since the other system did not normalise it to NFC. If `text` is a string, so is `password`.
      const typed = text === null ? null : password as string
      if (typed !== null && await this.#matchesLegacy(stored === null ? passwordHash : null, typed, keepSlot)) return true
      for (const dummy of this.#dummies.dummyHashesExcept(stored)) await this.#matches(dummy, text ?? '', this.#pepperId)
      return false
    })
  }

  async check (password: unknown, owner: PasswordOwner = {}): Promise<void> {
    await assertPolicy(normalise(password), owner, this.#options, this.#options.timeouts)
  }

  needsRehash (passwordHash: string): boolean {
    const stored = parsePasswordHash(passwordHash)
    return stored === null || needsRehash(stored, this.#options, this.#pepperId)
  }

  canVerify (passwordHash: string): boolean {
    return this.#options.verifyLegacy !== undefined || this.#readHash(passwordHash) !== null
  }

  /** An argon2 hash whose pepper is known; null for any other. */
  #readHash (passwordHash: string | null): StoredHash | null {
    const stored = parsePasswordHash(passwordHash)
    return stored !== null && this.#peppers.has(stored.keyId) ? stored : null
  }

  async #matches (encoded: string, text: string, pepperId: string | null): Promise<boolean> {
    this.#argon2 ??= await this.#loadArgon2()
    const secret = this.#peppers.get(pepperId) as Buffer // checked by the constructor and `#readHash`
    return await this.#argon2.verify(encoded, text, { secret }).catch(outOfMemory)
  }

  /** Verifies a hash of another system, and on failure one of each other kind, so that each failure takes the same time. */
  async #matchesLegacy (passwordHash: string | null, password: string, keepSlot: (work: Promise<unknown>) => void): Promise<boolean> {
    const { verifyLegacy, timeouts } = this.#options
    if (verifyLegacy === undefined) return false

    const matches = async (hash: string): Promise<unknown> => {
      let isRunning = true
      const work = redactErrors([hash, password], () => verifyLegacy(hash, password)).finally(() => { isRunning = false })
      try {
        return await startDeadline(timeouts)(() => work)
      } catch (error) {
        if (isRunning) this.#legacyDummies.add(hash) // other names wait for it too (user enumeration)
        // A hash that takes too long is still being computed: without its slot a flood would compute any number at once. A call of another service may never end.
        const enough = new Promise(resolve => { setTimeout(resolve, timeouts.request * 1000).unref() })
        keepSlot(Promise.race([work, enough]).catch(() => {}))
        throw error
      }
    }
    const stored = passwordHash || null // a column may be empty
    if (stored !== null) {
      const answer = await matches(stored)
      this.#legacyDummies.add(stored)
      if (answer === true) return true
    }
    for (const dummy of this.#legacyDummies.dummyHashesExcept(stored)) await matches(dummy)
    return false
  }
}

/**
 * Loads argon2, a native module. The import is dynamic, for apps whose users log in another way. Throws an Error with the
 * way out if there is no build for this machine: a retry would not help.
 */
export async function loadArgon2 (): Promise<Argon2> {
  try {
    return await import('argon2')
  } catch (cause) {
    throw new Error('argon2 cannot be loaded, so no password can be hashed or verified: install it on the machine that it runs on ("npm rebuild argon2", with its install script allowed), or leave out "users.findByUsername", "users.create" and "users.updatePasswordHash", with routes: { reauthenticate: false }', { cause })
  }
}

/** The arguments of argon2 are valid here, so a failure is a lack of memory. */
function outOfMemory (cause: unknown): never {
  throw busy(cause)
}

/** IPv6 addresses count by /48, since one customer of a provider may have 256 or 65,536 networks of 64 bits. */
function clientOf (from: WorkSource = {}): string {
  return networkOf(readAddress(from.ip), 48)
}

function normalise (password: unknown): string {
  const { text, refusal } = readPassword(password)
  if (refusal !== null) throw passwordRefused(refusal)
  return text
}

/** A password as it is hashed, or the message that says why it is invalid. */
type ReadPassword =
  | { readonly text: string, readonly refusal: null }
  | { readonly text: null, readonly refusal: string }

/**
 * Normalises a password to Unicode NFC, so that keyboards that compose characters and those that do not give the same
 * (NIST SP 800-63B section 3.1.1.2). Ill-formed text is refused, since every lone surrogate would be hashed as the same U+FFFD.
 */
export function readPassword (value: unknown): ReadPassword {
  if (typeof value !== 'string' || !value.isWellFormed()) return refusal('The password must be text in well-formed Unicode')
  const tooLong = `The password must not be longer than ${MAX_PASSWORD_BYTES} bytes in UTF-8`
  // Checked before NFC, which takes seconds to sort 100,000 accents on one letter. NFC makes at most 3 characters into 2 bytes.
  if (value.length > 2 * MAX_PASSWORD_BYTES) return refusal(tooLong)
  const text = value.normalize('NFC')
  return Buffer.byteLength(text) > MAX_PASSWORD_BYTES ? refusal(tooLong) : { text, refusal: null }
}

function refusal (message: string): ReadPassword {
  return { text: null, refusal: message }
}

/**
 * The maximum cost of all kinds together, in hashes of today's cost. Without it, an attacker who can write a row could slow
 * down every login.
 */
const MAX_DUMMY_WORK = 8

/**
 * The kinds of stored argon2 hashes that this process has seen; that of new hashes is always known. After the cost was raised,
 * hashes of the former cost stay until their owners log in. A failed verification costs one computation of each kind, whatever
 * is stored for the name, so that its time does not reveal which names exist (user enumeration).
 */
export class DummyHashes {
  readonly #dummies: Map<string, string>
  #left: number

  constructor (today: HashingParameters) {
    this.#dummies = new Map([[costKey({ ...today, type: 'argon2id' }), dummyHash(today)]])
    this.#left = (MAX_DUMMY_WORK - 1) * workOf(today)
  }

  add (stored: StoredHash): void {
    const kind = costKey(stored)
    if (this.#dummies.has(kind) || workOf(stored) > this.#left) return
    this.#left -= workOf(stored)
    this.#dummies.set(kind, dummyHash(stored, stored.type))
  }

  /** One dummy hash of each kind but that of `stored`. */
  dummyHashesExcept (stored: StoredHash | null): string[] {
    const verified = stored === null ? null : costKey(stored)
    return [...this.#dummies].filter(([kind]) => kind !== verified).map(([, dummy]) => dummy)
  }
}

/** The most kinds of hashes of other systems that count. */
const MAX_LEGACY_KINDS = 4

/** Shorter ones are placeholders, such as the name of a provider. */
const SHORTEST_LEGACY_HASH = 20

/** The kinds of hashes of other systems that this process has seen, with one hash of each, for the same purpose. */
class LegacyDummyHashes {
  readonly #dummies = new Map<string, string>()

  add (passwordHash: string): void {
    const kind = legacyKindOf(passwordHash)
    if (passwordHash.length < SHORTEST_LEGACY_HASH || this.#dummies.size >= MAX_LEGACY_KINDS) return
    if (!this.#dummies.has(kind)) this.#dummies.set(kind, passwordHash)
  }

  /** One hash of each kind but that of `passwordHash`. */
  dummyHashesExcept (passwordHash: string | null): string[] {
    const verified = passwordHash === null ? null : legacyKindOf(passwordHash)
    return [...this.#dummies].filter(([kind]) => kind !== verified).map(([, dummy]) => dummy)
  }
}

/** The name and the cost at the start of a hash, before the salt: `pbkdf2_sha256 600000`, `2b 12`, `scrypt ln 16 r 8 p 1`. */
function legacyKindOf (passwordHash: string): string {
  const [name = '', ...others] = passwordHash.split(/[$:,={}]+/).filter(part => part !== '')
  if (name.length > 20) return '' // a salt or a hash
  const salt = others.findIndex(part => !/^(?:\d{1,9}|[a-z]{1,3}|rounds|sha\d{1,3}|2[abxy])$/i.test(part))
  return [name, ...others.slice(0, salt)].join(' ')
}

function costKey ({ type, memoryCost, timeCost, parallelism }: HashingParameters & Pick<StoredHash, 'type'>): string {
  return `${type} ${memoryCost} ${timeCost} ${parallelism}`
}

function workOf ({ memoryCost, timeCost }: HashingParameters): number {
  return memoryCost * timeCost
}

/** A hash that matches no password and takes as long to verify as a real one with these parameters. */
export function dummyHash ({ memoryCost, timeCost, parallelism }: HashingParameters, type: StoredHash['type'] = 'argon2id'): string {
  return `$${type}$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${unpadded(16)}$${unpadded(32)}`
}

function unpadded (bytes: number): string {
  return randomBytes(bytes).toString('base64').replaceAll('=', '')
}
