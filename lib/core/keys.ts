import { createHash, hkdfSync } from 'node:crypto'

/** The algorithms of symmetric keys (RFC 7518 section 3.2), each with the length of its key in bytes. */
export const HMAC_KEY_LENGTHS = { HS256: 32, HS384: 48, HS512: 64 } as const

/** A JWS algorithm that one secret both signs and verifies with. */
export type HmacAlgorithm = keyof typeof HMAC_KEY_LENGTHS

/** A key, the one algorithm it is for (RFC 8725 section 3.1), and the name tokens call it by. */
export interface Key {
  readonly kid: string
  readonly algorithm: HmacAlgorithm
  readonly secret: Buffer
}

/** One key signs; all of them verify, each looked up by its exact `kid`. */
export interface KeyRing {
  readonly signing: Key
  readonly byKid: ReadonlyMap<string, Key>
}

/** The two kinds of token. Their keys are never the same. */
export type TokenKind = 'access' | 'refresh'

const MIN_SECRET_BYTES = 32
const MIN_DISTINCT_CHARACTERS = 8

/** Derives the keys of one kind of token from secrets (HKDF, RFC 5869): the first signs, all verify. */
export function deriveKeyRing (secrets: readonly string[], kind: TokenKind, algorithm: HmacAlgorithm): KeyRing {
  const keys = secrets.map(secret => deriveKey(secret, kind, algorithm))
  const [signing] = keys
  if (signing === undefined) throw new TypeError('a key ring needs at least one secret')
  return { signing, byKid: new Map(keys.map(key => [key.kid, key])) }
}

/** Why a secret is too weak to sign with, or null when it is not. The sentence never holds the secret. */
export function secretWeakness (secret: string): string | null {
  if (Buffer.byteLength(secret) < MIN_SECRET_BYTES) return `has ${Buffer.byteLength(secret)} bytes and needs at least ${MIN_SECRET_BYTES}`
  if (secret.includes('-----BEGIN')) return 'is a PEM key, which is no shared secret'
  if (new Set(secret).size < MIN_DISTINCT_CHARACTERS) return 'repeats the same few characters'
  return null
}

function deriveKey (secret: string, kind: TokenKind, algorithm: HmacAlgorithm): Key {
  const length = HMAC_KEY_LENGTHS[algorithm]
  const derived = Buffer.from(hkdfSync('sha256', secret, '', `fastify-refresh-cookie ${kind} ${algorithm}`, length))
  // From the key, so that instances agree on it without configuration; a hash of 256 random bits tells nothing of them.
  const kid = createHash('sha256').update(`kid ${kind}`).update(derived).digest('base64url').slice(0, 11)
  return { kid, algorithm, secret: derived }
}
