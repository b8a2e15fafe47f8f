import { importKey, type JsonWebKey } from '../core/import-key.js'
import { createKeyRing, type Algorithm, type Key, type KeyRing } from '../core/keys.js'
import { type Seconds } from '../core/time.js'

// A set holds a handful of keys; a page of another kind, or an endless one, is none.
const MAX_JWKS_BYTES = 65_536

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
