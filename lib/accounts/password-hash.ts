import { randomBytes } from 'node:crypto'

/** What one argon2 computation costs. */
export interface HashingParameters {
  /** Memory, in KiB. */
  readonly memoryCost: number
  /** Passes over the memory. */
  readonly timeCost: number
  /** Lanes. */
  readonly parallelism: number
}

/** A stored hash that can be verified, and what it says of itself. */
export interface StoredHash extends HashingParameters {
  /** The PHC string itself. */
  readonly encoded: string
  readonly type: 'argon2id' | 'argon2i' | 'argon2d'
  /** 19 is RFC 9106; 16, or none in the string, is what came before it. */
  readonly version: 16 | 19
  /** The pepper that is in it, by its id; null where there is none. */
  readonly keyId: string | null
}

/** The most that a stored hash may cost: 1 GiB, 16 passes, 16 lanes. Whoever can write a row could else stall the server. */
export const MAX_COST: HashingParameters = { memoryCost: 2 ** 20, timeCost: 16, parallelism: 16 }

// Key id of 1 to 8 bytes, salt of 8 to 64 bytes and hash of 16 to 64 bytes, in base64 without padding.
const PHC = /^\$(argon2(?:id|i|d))(?:\$v=(16|19))?\$([mtp]=[1-9]\d{0,6}),([mtp]=[1-9]\d{0,6}),([mtp]=[1-9]\d{0,6})(?:,keyid=([A-Za-z0-9+/]{2,11}))?\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/

/**
 * Reads an argon2 hash in the PHC string format, its parameters in any order (argon2 0.45 writes m, p, t).
 * Null for everything that cannot be verified or would cost more than `MAX_COST`.
 */
export function parsePasswordHash (value: unknown): StoredHash | null {
  const [encoded, type, version, one = '', two = '', three = '', keyId] = PHC.exec(typeof value === 'string' ? value : '') ?? []
  if (encoded === undefined) return null
  const { m = 0, t = 0, p = 0 } = readParameters([one, two, three])
  const stored = {
    encoded,
    type: type as StoredHash['type'], // the expression lets no other through
    version: version === '19' ? 19 : 16,
    keyId: keyId === undefined ? null : Buffer.from(keyId, 'base64').toString(),
    memoryCost: m,
    timeCost: t,
    parallelism: p
  } as const
  return isBearable(stored) ? stored : null
}

/** Whether a hash is weaker than what is made now: another type, an older version, another pepper or none, or less of anything. */
export function needsRehash (stored: StoredHash, now: HashingParameters, keyId: string | null): boolean {
  return stored.type !== 'argon2id' || stored.version !== 19 || stored.keyId !== keyId ||
    stored.memoryCost < now.memoryCost || stored.timeCost < now.timeCost || stored.parallelism < now.parallelism
}

/** A new hash with the id of the pepper that is in it, as the PHC string format of argon2 writes it: `keyid`, after the costs. */
export function withKeyId (encoded: string, keyId: string): string {
  const id = Buffer.from(keyId).toString('base64').replaceAll('=', '')
  return encoded.replace(/^(?:\$[^$]+){3}/, parameters => `${parameters},keyid=${id}`)
}

/** A hash that no password has and that costs as much to verify as a real one of these parameters. */
export function decoyHash ({ memoryCost, timeCost, parallelism }: HashingParameters, type: StoredHash['type'] = 'argon2id'): string {
  return `$${type}$v=19$m=${memoryCost},t=${timeCost},p=${parallelism}$${unpadded(16)}$${unpadded(32)}`
}

function readParameters (pairs: readonly string[]): { m?: number, t?: number, p?: number } {
  return Object.fromEntries(pairs.map(pair => [pair.charAt(0), Number(pair.slice(2))]))
}

/** RFC 9106 section 3.1: at least 8 KiB for each lane. A parameter that was not given is 0 here. */
function isBearable ({ memoryCost, timeCost, parallelism }: HashingParameters): boolean {
  return parallelism >= 1 && parallelism <= MAX_COST.parallelism &&
    timeCost >= 1 && timeCost <= MAX_COST.timeCost &&
    memoryCost >= 8 * parallelism && memoryCost <= MAX_COST.memoryCost
}

function unpadded (bytes: number): string {
  return randomBytes(bytes).toString('base64').replaceAll('=', '')
}

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
