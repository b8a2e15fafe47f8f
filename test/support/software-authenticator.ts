import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** A security key in memory with one passkey (Web Authentication Level 2), without a browser: the test chooses the origin. */
export interface SoftwareAuthenticator {
  /** Answers `navigator.credentials.create()`, with attestation "none". */
  create (challenge: string, origin: string): object
  /** Answers `navigator.credentials.get()`. */
  get (challenge: string, origin: string): object
}

type Cbor = number | string | Buffer | ReadonlyMap<number | string, Cbor>

const USER_PRESENT = 0x01
const USER_VERIFIED = 0x04
const HAS_CREDENTIAL = 0x40

export function softwareAuthenticator (rpId: string): SoftwareAuthenticator {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const id = randomBytes(16)
  let counter = 0

  function authenticatorData (flags: number, ...credential: Buffer[]): Buffer {
    const start = Buffer.alloc(5)
    start.writeUInt8(USER_PRESENT | USER_VERIFIED | flags)
    start.writeUInt32BE(++counter, 1)
    return Buffer.concat([sha256(rpId), start, ...credential])
  }
  const answer = (response: Record<string, Buffer>): object => ({
    id: id.toString('base64url'),
    rawId: id.toString('base64url'),
    type: 'public-key',
    clientExtensionResults: {},
    response: Object.fromEntries(Object.entries(response).map(([name, bytes]) => [name, bytes.toString('base64url')]))
  })

  return {
    create (challenge, origin) {
      // COSE key: EC2, ES256, P-256, x, y (RFC 9053).
      const key = cbor(new Map<number, Cbor>([[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(x, 'base64url')], [-3, Buffer.from(y, 'base64url')]]))
      const authData = authenticatorData(HAS_CREDENTIAL, Buffer.alloc(16), Buffer.from([0, id.length]), id, key)
      const attestationObject = cbor(new Map<string, Cbor>([['fmt', 'none'], ['attStmt', new Map()], ['authData', authData]]))
      return answer({ clientDataJSON: clientData('webauthn.create', challenge, origin), attestationObject })
    },
    get (challenge, origin) {
      const clientDataJSON = clientData('webauthn.get', challenge, origin)
      const data = authenticatorData(0)
      return answer({ clientDataJSON, authenticatorData: data, signature: sign('sha256', Buffer.concat([data, sha256(clientDataJSON)]), privateKey) })
    }
  }
}

function clientData (type: string, challenge: string, origin: string): Buffer {
  return Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }))
}

function sha256 (data: string | Buffer): Buffer {
  return createHash('sha256').update(data).digest()
}

/** The part of CBOR (RFC 8949) that an attestation needs. */
function cbor (value: Cbor): Buffer {
  if (typeof value === 'number') return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value)
  if (typeof value === 'string') return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([cborHead(2, value.length), value])
  return Buffer.concat([cborHead(5, value.size), ...[...value].flat().map(cbor)])
}

function cborHead (majorType: number, argument: number): Buffer {
  if (argument < 24) return Buffer.from([majorType << 5 | argument])
  return Buffer.from([majorType << 5 | 24, argument]) // up to 255, which is enough here
}
