import { createPrivateKey, createPublicKey, createSecretKey, KeyObject, sign, verify, type AsymmetricKeyDetails, type JsonWebKeyInput } from 'node:crypto'
import { HMAC_KEY_LENGTHS, isHmac, type Algorithm, type Key, type KeyPairAlgorithm } from './ring.js'
import { isRoca, secretWeakness } from './strength.js'

/** A JSON Web Key (RFC 7517). Not the type of @types/node, which moved between its versions. */
export interface JsonWebKey {
  readonly kty?: string | undefined
  readonly [member: string]: unknown
}

/** A key as the app has it: text (PEM, or the secret itself), a KeyObject of node:crypto, or a JSON Web Key (RFC 7517). */
export type KeyMaterial = string | KeyObject | JsonWebKey

/** A key for access tokens. Exactly one of `secret`, `privateKey` and `publicKey` must be given. */
export interface KeyOptions {
  /** The `kid` of its tokens (RFC 7515 section 4.1.4). Never reuse it for another key. */
  readonly kid: string
  readonly algorithm: Algorithm
  /** Exactly one key signs, except in a service that only verifies. A retired private key only verifies. */
  readonly use: 'sign' | 'verify'
  /** For HS256, HS384 and HS512: at least 32, 48 or 64 random bytes. */
  readonly secret?: KeyMaterial | Uint8Array | undefined
  /** For RS256, PS256, ES256 and EdDSA. */
  readonly privateKey?: KeyMaterial | undefined
  /** For the algorithms of `privateKey`; verifies only. */
  readonly publicKey?: KeyMaterial | undefined
  /** True if it also verifies tokens without a `kid`, as of other issuers. At most one key; false by default. */
  readonly withoutKid?: boolean | undefined
}

interface KeyPair {
  /** Null if only the public key is given. */
  readonly privateKey: KeyObject | null
  readonly publicKey: KeyObject
}

const MIN_RSA_BITS = 2048
// FIPS 186-5 section 5.1: with small exponents signatures have been forged (Bleichenbacher 2006).
const MIN_RSA_EXPONENT = 65_537n

/** Node's key type for each algorithm. EdDSA means Ed25519 only. */
const KEY_TYPES: Record<KeyPairAlgorithm, string> = { RS256: 'rsa', PS256: 'rsa', ES256: 'ec', EdDSA: 'ed25519' }

/** Throws a TypeError whose message continues "the key …" and never holds the key. */
export function importKey (options: KeyOptions): Key {
  const { kid, algorithm, use, secret, privateKey, publicKey, withoutKid = false } = options
  const given = [secret, privateKey, publicKey].filter(material => material !== undefined)
  if (given.length !== 1) throw new TypeError('needs exactly one of secret, privateKey and publicKey')
  if (isHmac(algorithm)) {
    if (secret === undefined) throw new TypeError(`is a key pair, and ${algorithm} needs a secret: anybody with the public key could forge tokens`)
    const key = importSecret(secret, options)
    assertStrongSecret(key, HMAC_KEY_LENGTHS[algorithm])
    return { kid, algorithm, signs: use === 'sign' ? key : null, verifies: key, withoutKid }
  }
  if (secret !== undefined) throw new TypeError(`is a secret, and ${algorithm} needs a key pair`)
  if (use === 'sign' && privateKey === undefined) throw new TypeError('is a public key, which cannot sign: give privateKey')
  const pair = importPair(options, algorithm)
  return { kid, algorithm, signs: use === 'sign' ? pair.privateKey : null, verifies: pair.publicKey, withoutKid }
}

function importSecret (material: KeyMaterial | Uint8Array, options: KeyOptions): KeyObject {
  if (material instanceof Uint8Array) return createSecretKey(material)
  if (typeof material === 'string') return createSecretKey(material, 'utf8')
  if (material instanceof KeyObject) {
    if (material.type === 'secret') return material
    throw new TypeError(`is a ${material.type} key, and a secret is needed`)
  }
  assertJwkParameters(material, options)
  const { kty, k } = material
  if (kty !== 'oct' || typeof k !== 'string') throw new TypeError('is not a JSON Web Key of a secret (kty "oct")')
  return createSecretKey(k, 'base64url')
}

function assertStrongSecret (key: KeyObject, minBytes: number): void {
  const weakness = secretWeakness(key.export(), minBytes)
  if (weakness !== null) throw new TypeError(weakness)
}

function importPair (options: KeyOptions, algorithm: KeyPairAlgorithm): KeyPair {
  const { privateKey: material, publicKey } = options
  const pair = material === undefined
    ? { privateKey: null, publicKey: importKeyObject(publicKey, 'public', options) }
    : pairOf(importKeyObject(material, 'private', options))
  assertKeyType(pair.publicKey, algorithm)
  assertPairMatches(pair)
  return pair
}

function pairOf (privateKey: KeyObject): KeyPair {
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

function importKeyObject (material: KeyMaterial | undefined, kind: 'private' | 'public', options: KeyOptions): KeyObject {
  if (material instanceof KeyObject) {
    if (material.type === kind) return material
    throw new TypeError(`is a ${material.type} key, and a ${kind} one is needed`)
  }
  if (typeof material === 'object') assertJwkParameters(material, options)
  // createPublicKey accepts a private key, so one given by mistake would go unnoticed.
  const isPrivate = typeof material === 'object' ? material.d !== undefined : /PRIVATE KEY-----/.test(String(material))
  if (isPrivate !== (kind === 'private')) throw new TypeError(`is not a ${kind} key`)
  try {
    // Node checks the members of a JSON Web Key.
    const input = typeof material === 'object' ? { key: { ...material } as JsonWebKeyInput['key'], format: 'jwk' as const } : String(material)
    return kind === 'private' ? createPrivateKey(input) : createPublicKey(input)
  } catch {
    // No cause: it may hold parts of the key.
    throw new TypeError(`cannot be read: a ${kind} key is PEM without a passphrase, a KeyObject or a JSON Web Key`)
  }
}

/** Checks `kid`, `alg`, `use` and `key_ops` of a JSON Web Key, if present (RFC 7517 section 4). */
function assertJwkParameters (jwk: JsonWebKey, { kid, algorithm, use }: KeyOptions): void {
  if (jwk['kid'] !== undefined && jwk['kid'] !== kid) throw new TypeError('is a JSON Web Key with another kid')
  if (jwk['alg'] !== undefined && jwk['alg'] !== algorithm) throw new TypeError(`is a JSON Web Key for another algorithm than ${algorithm}`)
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') throw new TypeError('is a JSON Web Key that is not for signatures')
  const operations: unknown = jwk['key_ops']
  const needed = use === 'sign' ? ['sign'] : ['verify', 'sign']
  if (operations !== undefined && !(Array.isArray(operations) && needed.some(operation => operations.includes(operation)))) {
    throw new TypeError('is a JSON Web Key for other operations')
  }
}

function assertKeyType (key: KeyObject, algorithm: KeyPairAlgorithm): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails } = key
  if (type !== KEY_TYPES[algorithm]) throw new TypeError(`is of type ${type}, and ${algorithm} needs ${KEY_TYPES[algorithm]}`)
  const { namedCurve, modulusLength, publicExponent } = asymmetricKeyDetails as Required<AsymmetricKeyDetails> // present for these key types
  if (type === 'ec' && namedCurve !== 'prime256v1') throw new TypeError(`is on the curve ${namedCurve}, and ${algorithm} needs P-256`)
  if (type !== 'rsa') return
  if (modulusLength < MIN_RSA_BITS) throw new TypeError(`has ${modulusLength} bits and needs at least ${MIN_RSA_BITS}`)
  if (publicExponent < MIN_RSA_EXPONENT) throw new TypeError(`has a public exponent under ${MIN_RSA_EXPONENT}`)
  if (isRoca(key)) throw new TypeError('comes from a generator whose keys can be factored (ROCA, CVE-2017-15361)')
}

/** The two keys of a JSON Web Key may not match. */
function assertPairMatches ({ privateKey, publicKey }: KeyPair): void {
  if (privateKey === null) return
  const probe = Buffer.from('probe')
  const hash = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  if (!verify(hash, probe, publicKey, sign(hash, probe, privateKey))) throw new TypeError('has a private and a public key that do not match')
}
