import { createPrivateKey, createPublicKey, createSecretKey, KeyObject, sign, verify, type AsymmetricKeyDetails, type JsonWebKeyInput } from 'node:crypto'
import { HMAC_KEY_LENGTHS, isHmac, type Algorithm, type Key, type KeyPairAlgorithm } from './ring.js'
import { isRoca, secretWeakness } from './strength.js'

/** A JSON Web Key (RFC 7517). A type of our own: that of @types/node is in another place in each of its versions. */
export interface JsonWebKey {
  readonly kty?: string | undefined
  readonly [member: string]: unknown
}

/** A key as the app has it: text (PEM, or a secret itself), an object of node:crypto, or a JSON Web Key (RFC 7517). */
export type KeyMaterial = string | KeyObject | JsonWebKey

/** A key of the ring of access tokens. Exactly one of `secret`, `privateKey` and `publicKey` is given. */
export interface KeyOptions {
  /** The name that tokens call it by; never used for another key. */
  readonly kid: string
  readonly algorithm: Algorithm
  /** Exactly one key of a ring signs, unless the service only verifies. A private key that only verifies is retired. */
  readonly use: 'sign' | 'verify'
  /** For HS256, HS384 and HS512: at least 32, 48 or 64 random bytes. */
  readonly secret?: KeyMaterial | Uint8Array | undefined
  /** For RS256, PS256, ES256 and EdDSA. */
  readonly privateKey?: KeyMaterial | undefined
  /** As `privateKey`; verifies only. */
  readonly publicKey?: KeyMaterial | undefined
  /** Also verifies tokens that name no key at all, as other issuers make them. At most one key of a ring. */
  readonly withoutKid?: boolean | undefined
}

interface KeyPair {
  /** Null where only the public key is there. */
  readonly privateKey: KeyObject | null
  readonly publicKey: KeyObject
}

const MIN_RSA_BITS = 2048
// FIPS 186-5 section 5.1: small exponents have made forged signatures easy before.
const MIN_RSA_EXPONENT = 65_537n

/** What Node calls the keys of an algorithm; Ed448 is not among those of EdDSA here. */
const KEY_TYPES: Record<KeyPairAlgorithm, string> = { RS256: 'rsa', PS256: 'rsa', ES256: 'ec', EdDSA: 'ed25519' }

/** A key from what the app gives. Throws a TypeError that says what is wrong with it, after "the key …", and never prints it. */
export function importKey (options: KeyOptions): Key {
  const { kid, algorithm, use, secret, privateKey, publicKey, withoutKid = false } = options
  const given = [secret, privateKey, publicKey].filter(material => material !== undefined)
  if (given.length !== 1) throw new TypeError('needs exactly one of secret, privateKey and publicKey')
  if (isHmac(algorithm)) {
    if (secret === undefined) throw new TypeError(`is a key pair, and ${algorithm} needs a secret: an algorithm that verifies with what others may see must never sign with it`)
    const key = importSecret(secret, options)
    assertStrongSecret(key, HMAC_KEY_LENGTHS[algorithm])
    return { kid, algorithm, signs: use === 'sign' ? key : null, verifies: key, withoutKid }
  }
  if (secret !== undefined) throw new TypeError(`is a secret, and ${algorithm} needs a key pair`)
  if (use === 'sign' && privateKey === undefined) throw new TypeError('only has its public half, and cannot sign: give privateKey')
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
  assertMeantFor(material, options)
  const { kty, k } = material
  if (kty !== 'oct' || typeof k !== 'string') throw new TypeError('is no JSON Web Key of a secret')
  return createSecretKey(k, 'base64url')
}

function assertStrongSecret (key: KeyObject, minBytes: number): void {
  const weakness = secretWeakness(key.export(), minBytes)
  if (weakness !== null) throw new TypeError(weakness)
}

function importPair (options: KeyOptions, algorithm: KeyPairAlgorithm): KeyPair {
  const { privateKey: material, publicKey } = options
  const pair = material === undefined
    ? { privateKey: null, publicKey: importHalf(publicKey, 'public', options) }
    : pairOf(importHalf(material, 'private', options))
  assertFit(pair.publicKey, algorithm)
  assertBelongTogether(pair)
  return pair
}

function pairOf (privateKey: KeyObject): KeyPair {
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

function importHalf (material: KeyMaterial | undefined, half: 'private' | 'public', options: KeyOptions): KeyObject {
  if (material instanceof KeyObject) {
    if (material.type === half) return material
    throw new TypeError(`is a ${material.type} key, and a ${half} one is needed`)
  }
  if (typeof material === 'object') assertMeantFor(material, options)
  // createPublicKey would take a private key, and one that was meant to stay elsewhere would go unnoticed.
  const isPrivate = typeof material === 'object' ? material.d !== undefined : /PRIVATE KEY-----/.test(String(material))
  if (isPrivate !== (half === 'private')) throw new TypeError(`is no ${half} key`)
  try {
    // Node itself looks at the members of a JSON Web Key.
    const input = typeof material === 'object' ? { key: { ...material } as JsonWebKeyInput['key'], format: 'jwk' as const } : String(material)
    return half === 'private' ? createPrivateKey(input) : createPublicKey(input)
  } catch {
    // Without the cause, which may hold parts of the key.
    throw new TypeError(`cannot be read: a ${half} key is PEM without a passphrase, a KeyObject or a JSON Web Key`)
  }
}

/** Whether a JSON Web Key is meant for what it is used for: its own members say so, where it has them (RFC 7517 section 4). */
function assertMeantFor (jwk: JsonWebKey, { kid, algorithm, use }: KeyOptions): void {
  if (jwk['kid'] !== undefined && jwk['kid'] !== kid) throw new TypeError('is a JSON Web Key with another kid')
  if (jwk['alg'] !== undefined && jwk['alg'] !== algorithm) throw new TypeError(`is a JSON Web Key for another algorithm than ${algorithm}`)
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') throw new TypeError('is a JSON Web Key that is not for signatures')
  const operations: unknown = jwk['key_ops']
  const needed = use === 'sign' ? ['sign'] : ['verify', 'sign']
  if (operations !== undefined && !(Array.isArray(operations) && needed.some(operation => operations.includes(operation)))) {
    throw new TypeError('is a JSON Web Key for other operations')
  }
}

/** Whether a key is of the kind that its algorithm is for, and strong enough. */
function assertFit (key: KeyObject, algorithm: KeyPairAlgorithm): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails } = key
  if (type !== KEY_TYPES[algorithm]) throw new TypeError(`is of type ${type}, and ${algorithm} needs ${KEY_TYPES[algorithm]}`)
  const { namedCurve, modulusLength, publicExponent } = asymmetricKeyDetails as Required<AsymmetricKeyDetails> // which the type says that it has
  if (type === 'ec' && namedCurve !== 'prime256v1') throw new TypeError(`is on the curve ${namedCurve}, and ${algorithm} needs P-256`)
  if (type !== 'rsa') return
  if (modulusLength < MIN_RSA_BITS) throw new TypeError(`has ${modulusLength} bits and needs at least ${MIN_RSA_BITS}`)
  if (publicExponent < MIN_RSA_EXPONENT) throw new TypeError(`has a public exponent under ${MIN_RSA_EXPONENT}`)
  if (isRoca(key)) throw new TypeError('comes from a generator whose keys can be factored (ROCA, CVE-2017-15361)')
}

/** Whether what the private half signs, the public half verifies. A JSON Web Key holds both, and they may differ. */
function assertBelongTogether ({ privateKey, publicKey }: KeyPair): void {
  if (privateKey === null) return
  const probe = Buffer.from('probe')
  const hash = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  if (!verify(hash, probe, publicKey, sign(hash, probe, privateKey))) throw new TypeError('has two halves that do not belong together')
}
