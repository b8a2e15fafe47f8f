import { createHash, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'

/** The algorithms of symmetric keys (RFC 7518 section 3.2), each with the length of its key in bytes. */
export const HMAC_KEY_LENGTHS = { HS256: 32, HS384: 48, HS512: 64 } as const

/** A JWS algorithm that one secret both signs and verifies with. */
export type HmacAlgorithm = keyof typeof HMAC_KEY_LENGTHS

/** A JWS algorithm whose private key signs, and whose public key anybody may hold (RFC 7518 section 3.1, RFC 8037). */
export type KeyPairAlgorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

export type Algorithm = HmacAlgorithm | KeyPairAlgorithm

/** A key has exactly one algorithm (RFC 8725 section 3.1). */
export interface Key {
  readonly kid: string
  readonly algorithm: Algorithm
  /** The secret or private key; null if the key only verifies. */
  readonly signs: KeyObject | null
  /** The same secret, or the public key. */
  readonly verifies: KeyObject
  /** True if it also verifies tokens without a kid. */
  readonly withoutKid: boolean
}

export type SigningKey = Key & { readonly signs: KeyObject }

/** One key signs; all verify, each by its exact `kid`. */
export interface KeyRing {
  /** Null in a service that only verifies. */
  readonly signing: SigningKey | null
  readonly byKid: ReadonlyMap<string, Key>
  /** Verifies tokens without a kid; null if these are refused. */
  readonly unnamed: Key | null
}

/** The kinds of token never share a key. */
export type TokenKind = 'access' | 'refresh'

export type KeyRings = Readonly<Record<TokenKind, KeyRing>>

/** A secret of random bytes, as bytes or as text. */
export type Secret = string | Uint8Array

/** Derives the keys of one kind of token from secrets (HKDF, RFC 5869): the first signs, all verify. */
export function deriveKeyRing (secrets: readonly Secret[], kind: TokenKind, algorithm: HmacAlgorithm): KeyRing & { readonly signing: SigningKey } {
  const keys = secrets.map(secret => deriveKey(secret, kind, algorithm))
  const [signing] = keys
  if (signing === undefined) throw new TypeError('a key ring needs at least one secret')
  return { ...createKeyRing(keys), signing }
}

/** The first key that can sign is the signing one. */
export function createKeyRing (keys: readonly Key[]): KeyRing {
  return {
    signing: keys.find(canSign) ?? null,
    byKid: new Map(keys.map(key => [key.kid, key])),
    unnamed: keys.find(({ withoutKid }) => withoutKid) ?? null
  }
}

export function isHmac (algorithm: Algorithm): algorithm is HmacAlgorithm {
  return Object.hasOwn(HMAC_KEY_LENGTHS, algorithm)
}

/** The keys of a ring that have a public key. */
export function keyPairsOf ({ byKid }: KeyRing): Key[] {
  return [...byKid.values()].filter(({ algorithm }) => !isHmac(algorithm))
}

function canSign (key: Key): key is SigningKey {
  return key.signs !== null
}

function deriveKey (secret: Secret, kind: TokenKind, algorithm: HmacAlgorithm): SigningKey {
  const length = HMAC_KEY_LENGTHS[algorithm]
  const derived = Buffer.from(hkdfSync('sha256', secret, '', `fastify-refresh-cookie ${kind} ${algorithm}`, length))
  // Derived from the key, so that instances agree on it; the hash of 256 random bits reveals nothing about them.
  const kid = createHash('sha256').update(`kid ${kind}`).update(derived).digest('base64url').slice(0, 11)
  const key = createSecretKey(derived)
  return { kid, algorithm, signs: key, verifies: key, withoutKid: false }
}

/**
 * Key rotation: the ring to use when `next` replaces `current`. A new key verifies at once. It signs once `isPropagated`
 * confirms that every instance has had time to load it; until then the old key signs. If `next` lacks the old key, as after
 * a leak, the new one signs at once.
 *
 * Throws a TypeError if a `kid` names another key than before, or if a ring stops or begins to sign.
 */
export function changeKeyRing (current: KeyRing, next: KeyRing, isPropagated: (kid: string) => boolean): KeyRing {
  for (const [kid, key] of next.byKid) {
    const known = current.byKid.get(kid)
    if (known !== undefined && !isSameKey(known, key)) throw new TypeError('a kid was reused for another key: give the new key its own kid')
  }
  if (current.signing === null && next.signing === null) return next
  if (current.signing === null || next.signing === null) throw new TypeError('a service that signs needs a key with use: \'sign\', and one that only verifies has none: to change that, restart it')
  const isKept = next.byKid.has(current.signing.kid)
  return isKept && !isPropagated(next.signing.kid) ? { ...next, signing: current.signing } : next
}

/** True if two rings have the same keys in the same roles. */
export function isSameRing (one: KeyRing, other: KeyRing): boolean {
  return one.signing?.kid === other.signing?.kid && one.unnamed?.kid === other.unnamed?.kid &&
    one.byKid.size === other.byKid.size && [...one.byKid.keys()].every(kid => other.byKid.has(kid))
}

function isSameKey (one: Key, other: Key): boolean {
  return one.algorithm === other.algorithm && one.verifies.equals(other.verifies)
}
