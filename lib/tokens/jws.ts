import { constants, createHmac, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'
import { type Algorithm, type Key, type SigningKey } from '../keys/ring.js'

/** Signs claims as a compact JWS. */
export type Sign = (claims: object) => string

/** The payload of a compact JWS; undefined for an invalid signature or encoding: creating an Error costs more than verifying. Throws if the payload is no JSON. */
export type Verify = (token: string) => unknown

/** A signature algorithm (RFC 7518 section 3). Signatures are in base64url. */
interface Signature {
  of (text: string, key: KeyObject): string
  isValid (signature: string, text: string, key: KeyObject): boolean
}

const SIGNATURES: Readonly<Record<Algorithm, Signature>> = {
  HS256: hmac('sha256'),
  HS384: hmac('sha384'),
  HS512: hmac('sha512'),
  RS256: keyPair('sha256', { padding: constants.RSA_PKCS1_PADDING }),
  PS256: keyPair('sha256', { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }),
  ES256: keyPair('sha256', { dsaEncoding: 'ieee-p1363' }),
  EdDSA: keyPair(null, {})
}

/** A signer whose tokens have the `typ`. It encodes the header once: HS256 takes 2.5 µs, with fast-jwt 5.1. */
export function createSigner ({ kid, algorithm, signs }: SigningKey, typ: string): Sign {
  const header = encode(JSON.stringify({ alg: algorithm, typ, kid }))
  const signature = SIGNATURES[algorithm]
  return claims => {
    const text = `${header}.${encode(JSON.stringify(claims))}`
    return `${text}.${signature.of(text, signs)}`
  }
}

/** A verifier that uses the algorithm of the key, whatever the header says (RFC 8725 section 3.1). HS256 takes 3 µs, with fast-jwt 4.8. */
export function createVerifier ({ algorithm, verifies }: Key): Verify {
  const signature = SIGNATURES[algorithm]
  return token => {
    const end = token.lastIndexOf('.')
    const text = token.slice(0, end)
    if (!signature.isValid(token.slice(end + 1), text, verifies)) return undefined
    const payload = decode(text.slice(text.indexOf('.') + 1))
    return payload === null ? undefined : JSON.parse(payload.toString())
  }
}

function hmac (hash: string): Signature {
  const of: Signature['of'] = (text, key) => createHmac(hash, key).update(text).digest('base64url')
  return {
    of,
    isValid (signature, text, key) {
      const [given, expected] = [Buffer.from(signature), Buffer.from(of(text, key))]
      return given.length === expected.length && timingSafeEqual(given, expected)
    }
  }
}

function keyPair (hash: string | null, parameters: object): Signature {
  return {
    of: (text, key) => sign(hash, Buffer.from(text), { key, ...parameters }).toString('base64url'),
    isValid (signature, text, key) {
      const bytes = decode(signature)
      return bytes !== null && verify(hash, Buffer.from(text), { key, ...parameters }, bytes)
    }
  }
}

function encode (text: string): string {
  return Buffer.from(text).toString('base64url')
}

/**
 * Decodes a segment of a token; null unless it is canonical base64url: the last character has unused bits, and Node's decoder
 * ignores characters outside the alphabet, so that one token would have many spellings.
 */
export function decode (segment: string): Buffer | null {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : null
}
