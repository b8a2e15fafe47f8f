import { importKey, type JsonWebKey } from './import.js'
import { createKeyRing, type Algorithm, type Key, type KeyRing } from './ring.js'
import { type Seconds } from '../time.js'

// Against endless responses; a set has a handful of keys.
const MAX_JWKS_BYTES = 65_536

interface FetchOptions {
  readonly timeout: Seconds
  /** The algorithm of RSA keys without `alg`. */
  readonly rsaAlgorithm: RsaAlgorithm
}

/** The algorithms of RSA keys. The key type does not determine which. */
type RsaAlgorithm = 'RS256' | 'PS256'

interface RemoteKeys {
  readonly ring: KeyRing
  /** The reason for each ignored key, without any part of it. */
  readonly ignored: readonly string[]
}

/**
 * Fetches the public keys of another service. Against SSRF the URL is the configured one only: no redirect is followed,
 * and no `jku` or `x5u` of a token is used. Keys for other algorithms, for encryption or too weak are ignored, as RFC 7517
 * section 5 asks. Throws if no key is left, or if the response is late, too large or no key set.
 */
export async function fetchJwks (url: string, { timeout, rsaAlgorithm }: FetchOptions): Promise<RemoteKeys> {
  const response = await fetch(url, { redirect: 'error', headers: { accept: 'application/json' }, signal: AbortSignal.timeout(timeout * 1000) })
  if (!response.ok) throw new Error(`${new URL(url).origin}${new URL(url).pathname} answered ${response.status}`) // without its query, which may hold a secret
  const members = jwksIn(parseJson(await readText(response))).map((member, index) => importJwk(member, index, rsaAlgorithm))
  const keys = members.filter(member => typeof member !== 'string')
  const ignored = firstReasons(members.filter(member => typeof member === 'string'))
  if (keys.length === 0) throw new Error(['the key set holds no key that verifies access tokens', ...ignored].join('; '))
  const ring = createKeyRing(keys)
  if (ring.byKid.size < keys.length) throw new Error('the key set holds two keys with one kid')
  return { ring, ignored }
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

/** The parser's own error quotes the text, which the log of keys leaves out. */
function parseJson (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the response is no JSON')
  }
}

function jwksIn (jwks: unknown): unknown[] {
  const members: unknown = Object(jwks).keys
  if (!Array.isArray(members)) throw new Error('the response is no key set')
  return members
}

/** The key, or the reason why it is ignored. */
function importJwk (member: unknown, index: number, rsaAlgorithm: RsaAlgorithm): Key | string {
  const jwk = Object(member) as JsonWebKey // importKey checks it
  const { kid } = jwk
  if (typeof kid !== 'string') return `key ${index + 1} has no kid`
  try {
    return importKey({ kid, algorithm: algorithmOf(jwk, rsaAlgorithm), use: 'verify', publicKey: jwk })
  } catch (error) {
    const name = LOGGABLE_KID.test(kid) ? ` (kid ${kid})` : ''
    return `key ${index + 1}${name} ${(error as TypeError).message}` // importKey throws nothing else
  }
}

/** `alg` is optional (RFC 7517 section 4.4); most key types have one algorithm only. */
function algorithmOf ({ alg, kty, crv }: JsonWebKey, rsaAlgorithm: RsaAlgorithm): Algorithm {
  if (alg !== undefined) {
    const named = ALGORITHMS.find(known => known === alg)
    if (named === undefined) throw new TypeError(`has an unsupported alg: use one of ${ALGORITHMS.join(', ')}`)
    return named
  }
  if (kty === 'RSA') return rsaAlgorithm
  if (kty === 'EC' && crv === 'P-256') return 'ES256'
  if (kty === 'OKP' && crv === 'Ed25519') return 'EdDSA'
  throw new TypeError(`has no alg, and its type fits none of ${ALGORITHMS.join(', ')}`)
}

function firstReasons (reasons: readonly string[]): readonly string[] {
  return reasons.length <= MAX_REASONS ? reasons : [...reasons.slice(0, MAX_REASONS), `and ${reasons.length - MAX_REASONS} more`]
}

// The reasons go into one log line.
const MAX_REASONS = 10

const LOGGABLE_KID = /^[\x21-\x7e]{1,64}$/

// No HMAC: a published secret is not secret.
const ALGORITHMS: readonly Algorithm[] = ['RS256', 'PS256', 'ES256', 'EdDSA']
