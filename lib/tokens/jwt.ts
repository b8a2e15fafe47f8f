import fastifyJwt, { type JWT } from '@fastify/jwt'
import { type FastifyInstance } from 'fastify'
import { type OpenedKeys } from '../keys/reload.js'
import { type Key, type KeyRing, type SigningKey, type TokenKind } from '../keys/ring.js'
import { type AccessClaims, type AccessPolicy, isRefreshClaims, MAX_TOKEN_LENGTH, readAccessClaims, type RefreshClaims } from './claims.js'
import { createSigner, createVerifier, decode, type Sign, type Verify } from './jws.js'
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

/** With the memory of the verification cache in bytes. */
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
