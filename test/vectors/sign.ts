import { constants, createHash, createHmac, createPrivateKey, createPublicKey, privateEncrypt, publicDecrypt, sign, type JsonWebKey, type KeyObject } from 'node:crypto'

/** Base64url of text, or of a value as JSON. */
export function segment (part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

/** The correct signature of a text with a Wycheproof key. */
export function signatureOf (text: string, key: JsonWebKey, algorithm: string): Buffer {
  const hash = `sha${algorithm.slice(2)}`
  if (key.kty === 'oct') return createHmac(hash, Buffer.from(String(key.k), 'base64url')).update(text).digest()
  const privateKey = createPrivateKey({ key, format: 'jwk' })
  if (key.kty === 'EC') return sign(hash, Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const padding = algorithm.startsWith('PS') ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}
  return sign(hash, Buffer.from(text), { key: privateKey, ...padding })
}

/** RSA without padding: the encoded message of a signature. */
export function encodedIn (signature: Buffer, key: JsonWebKey): Buffer | null {
  try {
    return publicDecrypt({ key: createPublicKey({ key, format: 'jwk' }), padding: constants.RSA_NO_PADDING }, signature)
  } catch {
    return null // of another length, or beyond the modulus
  }
}

/** RSA without padding: a signature of exactly these bytes. */
export function signEncoded (encoded: Buffer, key: KeyObject): Buffer {
  return privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded)
}

/** Faults of an encoding. */
export interface PssTweaks {
  readonly saltLength?: number
  /** The hash algorithms of the message, of the encoding and of its mask. */
  readonly digest?: string
  readonly encodingDigest?: string
  readonly maskDigest?: string
  /** Bytes to XOR with the hash of the text, the unmasked block, and the result. */
  readonly inMessageHash?: number
  readonly inPadding?: number
  readonly inSeparator?: number
  readonly inSalt?: number
  readonly inHash?: number
  readonly inMasked?: number
  readonly trailer?: number
  readonly topBits?: boolean
}

/** EMSA-PSS (RFC 8017 section 9.1.1) of a text for a key of 2048 bits, with a fault. */
export function encodePss (text: string, tweaks: PssTweaks): Buffer {
  const { saltLength = 32, digest = 'sha256', encodingDigest = digest, maskDigest = digest } = tweaks
  const size = 256
  const messageHash = createHash(digest).update(text).digest()
  flip(messageHash, 0, tweaks.inMessageHash)
  const salt = Buffer.alloc(saltLength, 7)
  const hash = createHash(encodingDigest).update(Buffer.alloc(8)).update(messageHash).update(salt).digest()
  const block = Buffer.concat([Buffer.alloc(size - saltLength - hash.length - 2), Buffer.of(1), salt])
  const separator = size - saltLength - hash.length - 2
  flip(block, 3, tweaks.inPadding)
  flip(block, separator, tweaks.inSeparator)
  if (saltLength > 0) flip(block, separator + 1, tweaks.inSalt)
  const mask = maskOf(hash, block.length, maskDigest)
  const masked = Buffer.from(block.map((byte, i) => byte ^ Number(mask[i])))
  masked[0] = Number(masked[0]) & 0x7f | (tweaks.topBits === true ? 0x40 : 0)
  flip(masked, 5, tweaks.inMasked)
  flip(hash, 0, tweaks.inHash)
  return Buffer.concat([masked, hash, Buffer.of(tweaks.trailer ?? 0xbc)])
}

function flip (bytes: Buffer, at: number, bits = 0): void {
  bytes[at] = Number(bytes[at]) ^ bits
}

/** MGF1 (RFC 8017 appendix B.2.1). */
function maskOf (seed: Buffer, length: number, digest: string): Buffer {
  const blocks: Buffer[] = []
  for (let i = 0, size = 0; size < length; i++) {
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(i)
    const block = createHash(digest).update(seed).update(counter).digest()
    blocks.push(block)
    size += block.length
  }
  return Buffer.concat(blocks).subarray(0, length)
}
