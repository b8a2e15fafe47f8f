import { randomBytes } from 'node:crypto'
import { type HashingParameters, type StoredHash } from './hash-format.js'

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
export class LegacyDummyHashes {
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
