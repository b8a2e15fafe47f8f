import { type JsonWebKey } from 'node:crypto'
import { importKey } from '../core/import-key.js'
import { createKeyRing, isHmac, type Algorithm, type Key, type KeyRing } from '../core/keys.js'
import { type Seconds } from '../core/time.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

/** A JSON Web Key Set (RFC 7517 section 5) of public keys. What is not named here is never sent. */
export const jwksSchema = {
  type: 'object',
  description: 'The public keys of access tokens, by their kid.',
  properties: {
    keys: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          kty: { type: 'string' },
          kid: { type: 'string' },
          use: { type: 'string', const: 'sig' },
          alg: { type: 'string' },
          n: { type: 'string' },
          e: { type: 'string' },
          crv: { type: 'string' },
          x: { type: 'string' },
          y: { type: 'string' }
        },
        required: ['kty', 'kid', 'use', 'alg']
      }
    }
  },
  required: ['keys']
} as const satisfies JsonSchema

/** The public keys of a ring. */
export type Jwks = FromSchema<typeof jwksSchema>

// A set holds a handful of keys; a page of another kind, or an endless one, is none.
const MAX_JWKS_BYTES = 65_536

/** The public halves of the pairs of a ring. Secrets are left out. */
export function toJwks (ring: KeyRing): Jwks {
  return { keys: pairsOf(ring).map(({ kid, algorithm, verifies }) => ({ ...verifies.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm })) as Jwks['keys'] } // a public key exports no more than the schema names
}

/** Whether a ring has a key that others may hold. */
export function hasPublicKeys (ring: KeyRing): boolean {
  return pairsOf(ring).length > 0
}

function pairsOf ({ byKid }: KeyRing): Key[] {
  return [...byKid.values()].filter(({ algorithm }) => !isHmac(algorithm))
}

/**
 * Fetches the public keys of another service. The address is the configuration's alone: no redirect is followed, and no
 * header of a token is ever looked at. Keys that are none of ours (another algorithm, encryption, too weak) are left
 * out, as RFC 7517 section 5 asks. Throws where that leaves none, or the answer is late, too large or no key set.
 */
export async function fetchJwks (url: string, timeout: Seconds): Promise<KeyRing> {
  const answer = await fetch(url, { redirect: 'error', headers: { accept: 'application/json' }, signal: AbortSignal.timeout(timeout * 1000) })
  if (!answer.ok) throw new Error(`the key set was answered with ${answer.status}`)
  const keys = readKeys(JSON.parse(await readText(answer)))
  if (keys.length === 0) throw new Error('the key set holds no key that verifies access tokens')
  const ring = createKeyRing(keys)
  if (ring.byKid.size < keys.length) throw new Error('the key set holds two keys of one kid')
  return ring
}

async function readText ({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    bytes += chunk.length
    if (bytes > MAX_JWKS_BYTES) throw new Error(`the key set is over ${MAX_JWKS_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function readKeys (jwks: { keys?: unknown } | null): Key[] {
  const members: unknown = jwks?.keys
  if (!Array.isArray(members)) throw new Error('the answer is no key set')
  return members.flatMap(readKey)
}

/** The key, or nothing where it is none of ours. */
function readKey (member: unknown): Key[] {
  const jwk = Object(member) as JsonWebKey // importKey looks closer
  const { kid, alg } = jwk
  if (typeof kid !== 'string' || !ALGORITHMS.has(alg)) return []
  try {
    return [importKey({ kid, algorithm: alg as Algorithm, use: 'verify', publicKey: jwk })] // as the line above says
  } catch {
    return []
  }
}

// No secret is ever taken from a network.
const ALGORITHMS: ReadonlySet<unknown> = new Set<Algorithm>(['RS256', 'PS256', 'ES256', 'EdDSA'])
