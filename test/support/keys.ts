import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { HMAC_KEY_LENGTHS, isHmac, type Algorithm, type KeyPairAlgorithm } from '../../lib/keys/ring.js'
import { type KeyOptions } from '../../lib/index.js'

/** Every algorithm of access tokens. */
export const ALGORITHMS: readonly Algorithm[] = ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA']

/** Both halves of a key pair. */
export interface Pair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** A new key pair for an algorithm. */
export function generatePair (algorithm: KeyPairAlgorithm): Pair {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519')
  return algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
}

/** A key of an app, to sign and to verify with. */
export interface TestKey {
  readonly signs: KeyOptions
  readonly verifies: KeyOptions
}

/** A new key for an algorithm. */
export function generateKey (algorithm: Algorithm, kid: string): TestKey {
  const base = { kid, algorithm }
  if (isHmac(algorithm)) {
    const secret = randomBytes(HMAC_KEY_LENGTHS[algorithm]).toString('hex')
    return { signs: { ...base, use: 'sign', secret }, verifies: { ...base, use: 'verify', secret } }
  }
  const { privateKey, publicKey } = generatePair(algorithm)
  return { signs: { ...base, use: 'sign', privateKey: pem(privateKey) }, verifies: { ...base, use: 'verify', publicKey: pem(publicKey) } }
}

/** One half of a pair as PEM. */
export function pem (key: KeyObject): string {
  return String(key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }))
}

/** A modulus with the fingerprint of the generator of CVE-2017-15361: a power of 65537. */
export function powerOfGenerator (exponent: bigint): string {
  const hex = (65_537n ** exponent).toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url')
}
