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
    this.#dummies = new Map([[kindOf({ ...today, type: 'argon2id' }), dummyHash(today)]])
    this.#left = (MAX_DUMMY_WORK - 1) * workOf(today)
  }

  add (stored: StoredHash): void {
    const kind = kindOf(stored)
    if (this.#dummies.has(kind) || workOf(stored) > this.#left) return
    this.#left -= workOf(stored)
    this.#dummies.set(kind, dummyHash(stored, stored.type))
  }

  /** One dummy hash of each kind but that of `stored`. */
  dummyHashesExcept (stored: StoredHash | null): string[] {
    const verified = stored === null ? null : kindOf(stored)
    return [...this.#dummies].filter(([kind]) => kind !== verified).map(([, dummy]) => dummy)
  }
}

function kindOf ({ type, memoryCost, timeCost, parallelism }: HashingParameters & Pick<StoredHash, 'type'>): string {
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
