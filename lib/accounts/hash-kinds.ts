import { decoyHash, type HashingParameters, type StoredHash } from './password-hash.js'

/**
 * The kinds of argon2 hashes that are stored, as far as this process has seen them: after the cost was raised, hashes of the
 * former cost stay until their owners log in. A failed verification costs one computation of each kind, whatever is stored
 * for the name, so that its time does not tell who exists.
 */
export interface HashKinds {
  /** Remembers the kind of a stored hash. */
  add (stored: StoredHash): void
  /** A hash that no password has, of each kind but that of `stored`. */
  decoysBeside (stored: StoredHash | null): string[]
}

/** All kinds together cost at most this many times today's: whoever can write a row could else slow down every login. */
const MOST_WORK = 8

/** Builds the memory of kinds; today's is always known. */
export function createHashKinds (today: HashingParameters): HashKinds {
  const decoys = new Map([[kindOf({ ...today, type: 'argon2id' }), decoyHash(today)]])
  let left = (MOST_WORK - 1) * workOf(today)

  return {
    add (stored) {
      const kind = kindOf(stored)
      if (decoys.has(kind) || workOf(stored) > left) return
      left -= workOf(stored)
      decoys.set(kind, decoyHash(stored, stored.type))
    },

    decoysBeside (stored) {
      const verified = stored === null ? null : kindOf(stored)
      return [...decoys].filter(([kind]) => kind !== verified).map(([, decoy]) => decoy)
    }
  }
}

function kindOf ({ type, memoryCost, timeCost, parallelism }: HashingParameters & Pick<StoredHash, 'type'>): string {
  return `${type} ${memoryCost} ${timeCost} ${parallelism}`
}

function workOf ({ memoryCost, timeCost }: HashingParameters): number {
  return memoryCost * timeCost
}
