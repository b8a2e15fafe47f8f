import { type Secret } from '../keys/ring.js'

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

/** The keys as argon2 takes them. */
export interface Pepper {
  /** The id in new hashes; null without a pepper. */
  readonly currentId: string | null
  /** The key for new hashes; empty without a pepper. */
  readonly current: Buffer
  /** The key of a hash: empty for a hash without one, undefined if the id is unknown. */
  keyOf (keyId: string | null): Buffer | undefined
}

/** Throws a TypeError if the current key is not among the keys. */
export function createPepper ({ current: currentId, keys }: PepperOptions | { current: null, keys: object }): Pepper {
  const byId = new Map<string | null, Buffer>([[null, Buffer.alloc(0)]])
  for (const [id, key] of Object.entries(keys)) byId.set(id, Buffer.from(key))
  const current = byId.get(currentId)
  if (current === undefined) throw new TypeError('option "passwords.pepper.current" names none of "passwords.pepper.keys"')
  return { currentId, current, keyOf: keyId => byId.get(keyId) }
}
