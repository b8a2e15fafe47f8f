import { importKey, type JsonWebKey } from './import.js'
import { createKeyRing, type Algorithm, type Key, type KeyRing } from './ring.js'
import { type Seconds } from '../time.js'

// A set holds a handful of keys; a page of another kind, or an endless one, is none.
const MAX_JWKS_BYTES = 65_536

/** How a key set is read. */
export interface JwksReading {
  readonly timeout: Seconds
  /** What RSA keys sign with that do not say it themselves. */
  readonly rsaAlgorithm: RsaAlgorithm
}

/** The algorithms of an RSA key, which its type alone does not tell apart. */
export type RsaAlgorithm = 'RS256' | 'PS256'

/** A key set as it was read. */
export interface PublishedKeys {
  readonly ring: KeyRing
  /** For each key that was left out a sentence with the reason, without any part of the key. */
  readonly leftOut: readonly string[]
}

/**
 * Fetches the public keys of another service. The address is the configuration's alone: no redirect is followed, and no
 * header of a token is ever looked at. Keys that are none of ours (another algorithm, encryption, too weak) are left
 * out, as RFC 7517 section 5 asks. Throws where that leaves none, or the answer is late, too large or no key set.
 */
export async function fetchJwks (url: string, { timeout, rsaAlgorithm }: JwksReading): Promise<PublishedKeys> {
  const answer = await fetch(url, { redirect: 'error', headers: { accept: 'application/json' }, signal: AbortSignal.timeout(timeout * 1000) })
  if (!answer.ok) throw new Error(`the key set was answered with ${answer.status}`)
  const members = membersOf(JSON.parse(await readText(answer))).map((member, index) => readMember(member, index, rsaAlgorithm))
  const keys = members.filter(member => typeof member !== 'string')
  const leftOut = atMost(MAX_REASONS, members.filter(member => typeof member === 'string'))
  if (keys.length === 0) throw new Error(['the key set holds no key that verifies access tokens', ...leftOut].join('; '))
  const ring = createKeyRing(keys)
  if (ring.byKid.size < keys.length) throw new Error('the key set holds two keys of one kid')
  return { ring, leftOut }
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

function membersOf (jwks: { keys?: unknown } | null): unknown[] {
  const members: unknown = jwks?.keys
  if (!Array.isArray(members)) throw new Error('the answer is no key set')
  return members
}

/** The key, or why it is none of ours. */
function readMember (member: unknown, index: number, rsaAlgorithm: RsaAlgorithm): Key | string {
  const jwk = Object(member) as JsonWebKey // importKey looks closer
  const { kid } = jwk
  if (typeof kid !== 'string') return `key ${index + 1} has no kid`
  try {
    return importKey({ kid, algorithm: algorithmOf(jwk, rsaAlgorithm), use: 'verify', publicKey: jwk })
  } catch (error) {
    const name = LOGGABLE_KID.test(kid) ? ` (kid ${kid})` : ''
    return `key ${index + 1}${name} ${(error as TypeError).message}` // nothing else is thrown there
  }
}

/** What a key signs with. A key may leave it unsaid (RFC 7517 section 4.4); most types have one algorithm only. */
function algorithmOf ({ alg, kty, crv }: JsonWebKey, rsaAlgorithm: RsaAlgorithm): Algorithm {
  if (alg !== undefined) {
    const named = ALGORITHMS.find(known => known === alg)
    if (named === undefined) throw new TypeError(`is for an algorithm that is none of ${ALGORITHMS.join(', ')}`)
    return named
  }
  if (kty === 'RSA') return rsaAlgorithm
  if (kty === 'EC' && crv === 'P-256') return 'ES256'
  if (kty === 'OKP' && crv === 'Ed25519') return 'EdDSA'
  throw new TypeError(`has no alg, and a type that none of ${ALGORITHMS.join(', ')} is for`)
}

function atMost (max: number, reasons: readonly string[]): readonly string[] {
  return reasons.length <= max ? reasons : [...reasons.slice(0, max), `and ${reasons.length - max} more`]
}

// A handful of keys is usual, and the list is for a line of a log.
const MAX_REASONS = 10

const LOGGABLE_KID = /^[\x21-\x7e]{1,64}$/

// No secret is ever taken from a network.
const ALGORITHMS: readonly Algorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']
