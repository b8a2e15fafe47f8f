import fastifyJwt, { type JWT } from '@fastify/jwt'
import { type FastifyInstance } from 'fastify'
import { constants, createHmac, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto'
import { type OpenedKeys } from '../keys/reload.js'
import { type Key, type KeyRing, type SigningKey, type TokenKind, type Algorithm } from '../keys/ring.js'
import { type AccessClaims, type AccessPolicy, isRefreshClaims, MAX_TOKEN_LENGTH, readAccessClaims, type RefreshClaims } from './claims.js'
import { VerificationCache } from './verification-cache.js'

/** Signs and verifies the two kinds of token, each with its own keys. It does not check times. */
export interface Tokens {
  signAccess (claims: AccessClaims): string
  signRefresh (claims: RefreshClaims): string
  /** The claims of an access token, as `readAccessClaims`. Throws FST_AUTH_ACCESS_TOKEN_INVALID. */
  verifyAccess (token: string): AccessClaims
  /** Null if the token is no refresh token signed with one of the keys. */
  verifyRefresh (token: string): VerifiedRefreshToken | null
  /**
   * Reloads the keys for a token with an unknown key, as `KeySource.seek`; undefined if a reload cannot help. Absent if the keys
   * never change.
   */
  readonly seekKey?: ((kind: TokenKind, token: string) => Promise<void> | undefined) | undefined
}

export interface VerifiedRefreshToken {
  readonly claims: RefreshClaims
  /** True if the key that signed it is the one that signs now. */
  readonly signedByCurrentKey: boolean
}

/** The `typ` header of each kind, so that neither is accepted as the other (RFC 8725 section 3.11). `at+jwt` is from RFC 9068. */
const TYPES: Record<TokenKind, string> = { access: 'at+jwt', refresh: 'rt+jwt' }

/** The shape of a refresh token, whose HS256 signature has 43 characters. Nothing else is decoded: one request can carry hundreds of cookies of this name. */
const REFRESH_TOKEN = /^[\w-]+\.[\w-]+\.[\w-]{43}$/

/** The rules for access tokens, and the memory of the verification cache in bytes. */
export type VerificationPolicy = AccessPolicy & { readonly cacheBytes: number }

/**
 * `scope` must be an encapsulated context: in the host's own, the decorators of @fastify/jwt could clash with the host's.
 */
export async function createTokens (scope: FastifyInstance, keys: OpenedKeys, policy: VerificationPolicy): Promise<Tokens> {
  const access = new Codec('access', keys)
  const refresh = new Codec('refresh', keys, TYPES.refresh, await registerJwt(scope, keys.rings.refresh))
  return {
    ...createAccessVerifier(keys, policy, access),
    signAccess: access.sign.bind(access),
    signRefresh: refresh.sign.bind(refresh),
    verifyRefresh (token) {
      const verified = REFRESH_TOKEN.test(token) ? refresh.verify(token) : null
      if (verified === null || !isRefreshClaims(verified.payload)) return null
      return { claims: verified.payload, signedByCurrentKey: verified.signedByCurrentKey }
    }
  }
}

/** Verifies access tokens, each once: the result depends on the policy and the key ring only, so each ring has its own cache. */
export function createAccessVerifier (keys: OpenedKeys, policy: VerificationPolicy, codec = new Codec('access', keys)): Pick<Tokens, 'verifyAccess' | 'seekKey'> {
  let ring: KeyRing | undefined
  let cache = new VerificationCache(policy.cacheBytes)
  return {
    verifyAccess (token) {
      const current = keys.rings.access
      if (ring !== current) [ring, cache] = [current, new VerificationCache(policy.cacheBytes)]
      return cache.get(token) ?? cache.set(token, readAccessClaims(codec.verify(token)?.payload, policy))
    },
    seekKey: keys.changing.size === 0 ? undefined : (kind, token) => keys.changing.has(kind) && (kind === 'access' || REFRESH_TOKEN.test(token)) ? keys.seek(kind, kidOf(token, TYPES[kind])) : undefined
  }
}

/** The `kid` in the header of a token; undefined if there is none, or for another `typ`, which no key makes valid. */
export function kidOf (token: string, type: string): string | undefined {
  const { kid, typ } = parseHeader(headerOf(token))
  return typeof kid === 'string' && isType(typ, type) ? kid : undefined
}

/** Signs and verifies one type of token with the keys of one kind. It reads the key ring for every token, so that keys can change at any time. */
export class Codec {
  readonly #kind: TokenKind
  readonly #keys: OpenedKeys
  readonly #type: string
  readonly #createSigner: typeof createSigner
  // Cached per key, and garbage-collected with the ring.
  readonly #signers = new WeakMap<Key, Sign>()
  readonly #verifiers = new WeakMap<Key, Verify>()
  // All tokens of a key have the same header, so the last one that was verified is not parsed again.
  #last: { readonly header: string, readonly ring: KeyRing, readonly key: Key } | undefined

  constructor (kind: TokenKind, keys: OpenedKeys, type = TYPES[kind], signerOf = createSigner) {
    this.#kind = kind
    this.#keys = keys
    this.#type = type
    this.#createSigner = signerOf
  }

  get signingKey (): SigningKey {
    return this.#keys.rings[this.#kind].signing as SigningKey // a service that only verifies never signs
  }

  sign (claims: object): string {
    const key = this.signingKey
    const sign = this.#signers.get(key) ?? this.#createSigner(key, this.#type)
    this.#signers.set(key, sign)
    return sign(claims)
  }

  /** Null for a token that is not valid: another key, algorithm or `typ`, or a wrong signature. */
  verify (token: string): { readonly payload: unknown, readonly key: Key, readonly signedByCurrentKey: boolean } | null {
    const header = headerOf(token)
    const ring = this.#keys.rings[this.#kind]
    const key = this.#last?.header === header && this.#last.ring === ring ? this.#last.key : findKey(header, ring, this.#type)
    if (key === null) return null
    const verify = this.#verifiers.get(key) ?? createVerifier(key)
    this.#verifiers.set(key, verify)
    try {
      const payload = verify(token)
      if (payload === undefined) return null
      this.#last = { header, ring, key }
      return { payload, key, signedByCurrentKey: key.kid === ring.signing?.kid }
    } catch {
      return null
    }
  }
}

let registrations = 0

/**
 * Refresh tokens are signed by @fastify/jwt, which is registered with the key that signs at the start, mostly the only one. A later
 * key is passed with each token.
 */
async function registerJwt (scope: FastifyInstance, { signing: first }: KeyRing): Promise<typeof createSigner> {
  const namespace = `refreshToken${++registrations}`
  const optionsOf = ({ kid, algorithm }: Key, typ: string) => ({ kid, algorithm, header: { alg: algorithm, typ } })
  const known = first as SigningKey // a ring that issues tokens has a signing key
  await scope.register(fastifyJwt, {
    namespace,
    decoratorName: `${namespace}Claims`,
    secret: known.signs.export(),
    sign: optionsOf(known, TYPES.refresh)
  })
  const jwt = Reflect.get(scope.jwt, namespace) as JWT // the types of `jwt` lack namespaces
  return (key, typ) => {
    const options = { key: key.signs.export(), ...optionsOf(key, typ) }
    return key === known ? claims => jwt.sign(claims) : claims => jwt.sign(claims, options)
  }
}

/**
 * Finds the key of a header. The header must have our `typ`, a `kid` of the ring by exact look-up, and the algorithm of that
 * key: the header never chooses the algorithm (RFC 8725 section 3.1). `crit` is always refused, since no extension is
 * supported (RFC 7515 section 4.1.11). `jku`, `jwk`, `x5c` and the like are ignored.
 */
function findKey (encodedHeader: string, ring: KeyRing, type: string): Key | null {
  const { kid, alg, typ, crit } = parseHeader(encodedHeader)
  const key = keyNamed(kid, ring)
  if (key === null) return null
  return alg === key.algorithm && isType(typ, type) && crit === undefined ? key : null
}

function keyNamed (kid: unknown, { byKid, unnamed }: KeyRing): Key | null {
  if (kid === undefined) return unnamed
  return typeof kid === 'string' ? byKid.get(kid) ?? null : null
}

/** The first segment of a token; empty for a longer text than a token may be. */
function headerOf (token: string): string {
  return token.length <= MAX_TOKEN_LENGTH ? token.slice(0, token.indexOf('.')) : ''
}

/** Empty if the header is not base64url of JSON. */
function parseHeader (encoded: string): { kid?: unknown, alg?: unknown, typ?: unknown, crit?: unknown } {
  try {
    const json = decode(encoded)
    return json === null ? {} : { ...JSON.parse(json.toString()) }
  } catch {
    return {}
  }
}

/** Media types are case-insensitive and may carry their "application/" (RFC 7515 section 4.1.9). */
function isType (typ: unknown, expected: string): boolean {
  return typ === expected || (typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === expected)
}

/** Signs claims as a compact JWS. */
type Sign = (claims: object) => string

/** The payload of a compact JWS; undefined for an invalid signature or encoding: creating an Error costs more than verifying. Throws if the payload is no JSON. */
type Verify = (token: string) => unknown

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
