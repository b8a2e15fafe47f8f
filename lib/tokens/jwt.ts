import fastifyJwt, { type JWT } from '@fastify/jwt'
import { createSigner, createVerifier } from 'fast-jwt'
import { type FastifyInstance } from 'fastify'
import { type OpenedKeys } from '../keys/rotation.js'
import { isHmac, type Key, type KeyRing, type SigningKey, type TokenKind } from '../keys/ring.js'
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

/** Canonical base64url: otherwise unused bits of the last character would give one token many spellings. */
const SEGMENT = '(?:[\\w-]{4})*(?:[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])?'
const COMPACT = new RegExp(`^${SEGMENT}\\.${SEGMENT}\\.${SEGMENT}$`)

/** `exp` and `nbf` are validated in `claims.ts` by the injected clock; the libraries would use Date.now. */
const TIMELESS = { ignoreExpiration: true, ignoreNotBefore: true } as const

/** With the memory of the verification cache in bytes. */
export type VerificationPolicy = AccessPolicy & { readonly cacheBytes: number }

type Sign = (claims: object) => string
/** Throws for a token that is not valid. */
type Verify = (token: string) => unknown

/** Creates the signer and the verifier of a key. */
interface Engine {
  signer (key: SigningKey, typ: string): Sign
  verifier (key: Key): Verify
}

/**
 * `scope` must be an encapsulated context: in the host's own, the decorators of @fastify/jwt could clash with the host's.
 */
export async function createTokens (scope: FastifyInstance, keys: OpenedKeys, policy: VerificationPolicy): Promise<Tokens> {
  const access = new Codec('access', keys, prepared)
  const refresh = new Codec('refresh', keys, await registerJwt(scope, keys.rings().refresh))
  return {
    ...createAccessVerifier(keys, policy, access),
    signAccess: access.sign.bind(access),
    signRefresh: refresh.sign.bind(refresh),
    verifyRefresh (token) {
      const verified = refresh.verify(token)
      if (verified === null || !isRefreshClaims(verified.payload)) return null
      return { claims: verified.payload, signedByCurrentKey: verified.signedByCurrentKey }
    }
  }
}

/** Verifies access tokens, each once: the result depends on the policy and the key ring only, so each ring has its own cache. */
export function createAccessVerifier (keys: OpenedKeys, policy: VerificationPolicy, codec = new Codec('access', keys, prepared)): Pick<Tokens, 'verifyAccess' | 'seekKey'> {
  let ring: KeyRing | undefined
  let cache = new VerificationCache(policy.cacheBytes)
  return {
    verifyAccess (token) {
      const current = keys.rings().access
      if (ring !== current) [ring, cache] = [current, new VerificationCache(policy.cacheBytes)]
      return cache.get(token) ?? cache.set(token, readAccessClaims(codec.verify(token)?.payload, policy))
    },
    seekKey: keys.changing.size === 0 ? undefined : (kind, token) => keys.changing.has(kind) ? keys.seek(kind, kidOf(token)) : undefined
  }
}

/** The `kid` in the header of a token; undefined if there is none. */
function kidOf (token: string): string | undefined {
  const { kid } = parseHeader(headerOf(token) ?? '')
  return typeof kid === 'string' ? kid : undefined
}

/** Signs and verifies one type of token with the keys of one kind. It reads the key ring for every token, so that keys can change at any time. */
export class Codec {
  readonly #kind: TokenKind
  readonly #keys: OpenedKeys
  readonly #engine: Engine
  readonly #type: string
  // Each key is prepared once, and collected with its ring.
  readonly #signers = new WeakMap<Key, Sign>()
  readonly #verifiers = new WeakMap<Key, Verify>()
  // All tokens of a key have the same header, so the last one that was verified is not parsed again.
  #last: { readonly header: string, readonly ring: KeyRing, readonly key: Key } | undefined

  constructor (kind: TokenKind, keys: OpenedKeys, engine: Engine, type = TYPES[kind]) {
    this.#kind = kind
    this.#keys = keys
    this.#engine = engine
    this.#type = type
  }

  get signingKey (): SigningKey {
    return this.#keys.rings()[this.#kind].signing as SigningKey // a service that only verifies never signs
  }

  sign (claims: object): string {
    const key = this.signingKey
    const sign = this.#signers.get(key) ?? this.#engine.signer(key, this.#type)
    this.#signers.set(key, sign)
    return sign(claims)
  }

  /** Null for a token that is not valid: another key, algorithm or `typ`, or a wrong signature. */
  verify (token: string): { readonly payload: unknown, readonly key: Key, readonly signedByCurrentKey: boolean } | null {
    const header = headerOf(token)
    if (header === undefined) return null
    const ring = this.#keys.rings()[this.#kind]
    const key = this.#last?.header === header && this.#last.ring === ring ? this.#last.key : findKey(header, ring, this.#type)
    if (key === null) return null
    const verify = this.#verifiers.get(key) ?? this.#engine.verifier(key)
    this.#verifiers.set(key, verify)
    try {
      const payload = verify(token)
      this.#last = { header, ring, key }
      return { payload, key, signedByCurrentKey: key.kid === ring.signing?.kid }
    } catch {
      return null
    }
  }
}

/**
 * The engine of access tokens. Every request verifies one, and its key may be a key pair, so a key is parsed once and not for
 * each token. @fastify/jwt uses fast-jwt too.
 */
export const prepared: Engine = {
  signer: ({ kid, algorithm, signs }, typ) => createSigner({
    algorithm,
    kid,
    header: { alg: algorithm, typ },
    key: isHmac(algorithm) ? signs.export() : signs.export({ type: 'pkcs8', format: 'pem' })
  }),
  verifier: ({ algorithm, verifies }) => createVerifier({
    ...TIMELESS,
    algorithms: [algorithm],
    key: isHmac(algorithm) ? verifies.export() : verifies.export({ type: 'spki', format: 'pem' })
  })
}

let registrations = 0

/**
 * The engine of refresh tokens: @fastify/jwt, registered with the key that signs at the start, which is mostly the only one.
 * Any other key is passed with each token.
 */
async function registerJwt (scope: FastifyInstance, { signing: first }: KeyRing): Promise<Engine> {
  const namespace = `refreshToken${++registrations}`
  const optionsOf = ({ kid, algorithm }: Key, typ: string) => ({ kid, algorithm, header: { alg: algorithm, typ } })
  const known = first as SigningKey // a ring that issues tokens has a signing key
  await scope.register(fastifyJwt, {
    namespace,
    decoratorName: `${namespace}Claims`,
    secret: known.signs.export(),
    sign: optionsOf(known, TYPES.refresh),
    verify: { ...TIMELESS, algorithms: [known.algorithm] }
  })
  const jwt = Reflect.get(scope.jwt, namespace) as JWT // the types of `jwt` lack namespaces
  return {
    signer (key, typ) {
      const options = { key: key.signs.export(), ...optionsOf(key, typ) }
      return key === known ? claims => jwt.sign(claims) : claims => jwt.sign(claims, options)
    },
    verifier (key) {
      const options = { ...TIMELESS, key: key.verifies.export(), algorithms: [key.algorithm] }
      return key === known ? token => jwt.verify(token) : token => jwt.verify(token, options)
    }
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

/** The first segment of a token, if it is a compact JWS in canonical base64url. */
function headerOf (token: string): string | undefined {
  return token.length <= MAX_TOKEN_LENGTH && COMPACT.test(token) ? token.slice(0, token.indexOf('.')) : undefined
}

/** Empty if the header is no JSON. */
function parseHeader (encoded: string): { kid?: unknown, alg?: unknown, typ?: unknown, crit?: unknown } {
  try {
    return { ...JSON.parse(Buffer.from(encoded, 'base64url').toString()) }
  } catch {
    return {}
  }
}

/** Media types are case-insensitive and may carry their "application/" (RFC 7515 section 4.1.9). */
function isType (typ: unknown, expected: string): boolean {
  return typ === expected || (typeof typ === 'string' && inLowerCase(typ).replace(/^application\//, '') === expected)
}

/** ASCII only: `toLowerCase` also turns U+212A, the Kelvin sign, into "k". */
function inLowerCase (text: string): string {
  return text.replace(/[A-Z]+/g, letters => letters.toLowerCase())
}
