import fastifyJwt, { type JWT } from '@fastify/jwt'
import { createSigner, createVerifier } from 'fast-jwt'
import { type FastifyInstance } from 'fastify'
import { type OpenedKeys } from '../keys/load.js'
import { isHmac, type Key, type KeyRing, type SigningKey, type TokenKind } from '../keys/ring.js'
import { type AccessClaims, MAX_TOKEN_LENGTH, type RefreshClaims } from './claims.js'
import { createVerificationCache, type VerificationCache, type Verified } from './verification-cache.js'

/** The codec of JSON Web Tokens: two kinds, each with its own keys. Verifying never throws. */
export interface Tokens {
  signAccess (claims: AccessClaims): string
  signRefresh (claims: RefreshClaims): string
  /** Null if the token is no access token signed with one of the keys. */
  verifyAccess (token: string): Verified | null
  /** Null if the token is no refresh token signed with one of the keys. */
  verifyRefresh (token: string): Verified | null
  /** Reloads the keys for a token with an unknown key, as `KeySource.seek`; undefined if a reload cannot help. */
  seekKey (kind: TokenKind, token: string): Promise<void> | undefined
}

/** The `typ` header of each kind, so that neither is accepted as the other (RFC 8725 section 3.11). `at+jwt` is from RFC 9068. */
const TYPES: Record<TokenKind, string> = { access: 'at+jwt', refresh: 'rt+jwt' }

/** Canonical base64url: otherwise unused bits of the last character would give one token many spellings. */
const SEGMENT = '(?:[\\w-]{4})*(?:[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])?'
const COMPACT = new RegExp(`^${SEGMENT}\\.${SEGMENT}\\.${SEGMENT}$`)

/** `exp` and `nbf` are validated in `claims.ts` by the injected clock; the libraries would use Date.now. */
const TIMELESS = { ignoreExpiration: true, ignoreNotBefore: true } as const

/** Signs and verifies one kind of token. */
interface Codec {
  sign (claims: object): string
  verify (token: string): Verified | null
}

type Sign = (claims: object) => string
/** Throws for a token that is not valid. */
type Verify = (token: string) => unknown

/** Creates the signer and the verifier of a key. */
interface Engine {
  signer (key: SigningKey, typ: string): Sign
  verifier (key: Key): Verify
}

/**
 * Creates the codec over key rings. It reads `rings` for every token, so that keys can change at any time.
 *
 * `scope` must be an encapsulated context: in the host's own, the decorators of @fastify/jwt could clash with the host's.
 */
export async function createTokens (scope: FastifyInstance, keys: OpenedKeys): Promise<Tokens> {
  const { rings } = keys
  const access = createCodec('access', () => rings().access, prepared)
  const refresh = createCodec('refresh', () => rings().refresh, await registerJwt(scope, rings().refresh))
  return {
    signAccess: access.sign,
    signRefresh: refresh.sign,
    verifyAccess: verifyOnce(() => rings().access, access.verify),
    verifyRefresh: refresh.verify,
    seekKey: seekKeyIn(keys)
  }
}

/** Creates the codec of a service that only verifies. */
export function createAccessVerifier (keys: OpenedKeys): Pick<Tokens, 'verifyAccess' | 'seekKey'> {
  const ring = (): KeyRing => keys.rings().access
  return { verifyAccess: verifyOnce(ring, createCodec('access', ring, prepared).verify), seekKey: seekKeyIn(keys) }
}

function seekKeyIn ({ changing, seek }: OpenedKeys): Tokens['seekKey'] {
  return (kind, token) => changing.has(kind) ? seek(kind, kidOf(token)) : undefined
}

/** The `kid` in the header of a token; undefined if there is none. */
function kidOf (token: string): string | undefined {
  const header = headerOf(token)
  const { kid } = header === undefined ? {} : parseHeader(header)
  return typeof kid === 'string' ? kid : undefined
}

function createCodec (kind: TokenKind, ring: () => KeyRing, engine: Engine): Codec {
  const typ = TYPES[kind]
  // Each key is prepared once, and collected with its ring.
  const signerOf = once((key: SigningKey) => engine.signer(key, typ))
  const verifierOf = once((key: Key) => engine.verifier(key))
  // All tokens of a key have the same header, so the last one that was verified is not parsed again.
  let last: { readonly header: string, readonly ring: KeyRing, readonly key: Key } | undefined

  return {
    sign: claims => signerOf(ring().signing as SigningKey)(claims), // a service that only verifies never signs

    verify (token) {
      const header = headerOf(token)
      if (header === undefined) return null
      const keys = ring()
      const known = last?.header === header && last.ring === keys ? last.key : null
      const key = known ?? findKey(header, keys, typ)
      if (key === null) return null
      try {
        const payload = verifierOf(key)(token)
        if (known === null) last = { header, ring: keys, key }
        return { payload, signedByCurrentKey: key.kid === keys.signing?.kid }
      } catch {
        return null
      }
    }
  }
}

/** Verifies each token once: the result depends on the key ring only, so each ring has its own cache. */
function verifyOnce (ring: () => KeyRing, verify: Codec['verify']): Codec['verify'] {
  const cacheOf = once<KeyRing, VerificationCache>(() => createVerificationCache())
  return token => {
    const cache = cacheOf(ring())
    const known = cache.get(token)
    if (known !== undefined) return known
    const verified = verify(token)
    return verified === null ? null : cache.set(token, verified)
  }
}

function once<K extends object, T> (make: (key: K) => T): (key: K) => T {
  const made = new WeakMap<K, T>()
  return key => {
    const known = made.get(key)
    if (known !== undefined) return known
    const value = make(key)
    made.set(key, value)
    return value
  }
}

/**
 * The engine of access tokens. Every request verifies one, and its key may be a key pair, so a key is parsed once and not for
 * each token. @fastify/jwt uses fast-jwt too.
 */
const prepared: Engine = {
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
