import { type Secret } from '../keys/ring.js'

/**
 * Secrets that are hashed with every password (argon2's `secret`), so that a stolen user table alone is of no use.
 * Each hash names its key; the current one goes into new hashes. A key that is taken away takes its passwords with it.
 */
export interface PepperOptions {
  /** The id of the key for new hashes. */
  readonly current: string
  /** By ids of 1 to 8 letters, digits, "-" and "_". */
  readonly keys: Readonly<Record<string, Secret>>
}

/** The keys as argon2 takes them. */
export interface Pepper {
  /** The id that new hashes name; null where there is no pepper. */
  readonly currentId: string | null
  /** The key for new hashes; empty where there is no pepper. */
  readonly current: Buffer
  /** The key that a hash names, empty for a hash that names none; undefined where it is not known. */
  keyOf (keyId: string | null): Buffer | undefined
}

/** Reads the pepper. Throws a TypeError if its current key is not among its keys. */
export function createPepper ({ current: currentId, keys }: PepperOptions | { current: null, keys: object }): Pepper {
  const byId = new Map<string | null, Buffer>([[null, Buffer.alloc(0)]])
  for (const [id, key] of Object.entries(keys)) byId.set(id, Buffer.from(key))
  const current = byId.get(currentId)
  if (current === undefined) throw new TypeError('option "passwords.pepper.current" names none of "passwords.pepper.keys"')
  return { currentId, current, keyOf: keyId => byId.get(keyId) }
}
