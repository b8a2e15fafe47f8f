import fastifyJwt, { type JWT } from '@fastify/jwt'
import { type FastifyInstance } from 'fastify'
import { MAX_TOKEN_LENGTH } from '../core/claims.js'
import { type Key, type KeyRing, type TokenKind } from '../core/keys.js'
import { type Tokens, type Verified } from '../core/tokens.js'

/** The `typ` header of each kind of token, so that neither is ever taken for the other (RFC 8725 section 3.11, RFC 9068). */
const TYPES: Record<TokenKind, string> = { access: 'at+jwt', refresh: 'rt+jwt' }

/** One kind of token: text from claims, and claims from text. */
interface Codec {
  sign (claims: object): string
  verify (token: string): Verified | null
}

let registrations = 0

/**
 * Registers @fastify/jwt once for each kind of token and turns it into the core's `Tokens`.
 *
 * `scope` must be a context of our own: in the host's, its decorators would clash with the host's own @fastify/jwt.
 */
export async function createTokens (scope: FastifyInstance, rings: Record<TokenKind, KeyRing>): Promise<Tokens> {
  const access = await createCodec(scope, 'access', rings.access)
  const refresh = await createCodec(scope, 'refresh', rings.refresh)
  return {
    signAccess: access.sign,
    signRefresh: refresh.sign,
    verifyAccess: access.verify,
    verifyRefresh: refresh.verify
  }
}

async function createCodec (scope: FastifyInstance, kind: TokenKind, ring: KeyRing): Promise<Codec> {
  const jwt = await registerJwt(scope, kind, ring.signing)
  const findKey = keyFinder(ring, TYPES[kind])

  return {
    sign: claims => jwt.sign(claims),
    verify (token) {
      if (token.length > MAX_TOKEN_LENGTH) return null
      const [header, payload, signature, ...rest] = token.split('.')
      if (!header || !payload || !signature || rest.length > 0 || !isCanonical(signature)) return null
      const key = findKey(header)
      if (key === null) return null
      const verified = verifySignature(jwt, token, key === ring.signing ? undefined : key)
      return verified === undefined ? null : { payload: verified, signedByCurrentKey: key === ring.signing }
    }
  }
}

async function registerJwt (scope: FastifyInstance, kind: TokenKind, { kid, algorithm, secret }: Key): Promise<JWT> {
  const namespace = `${kind}Token${++registrations}`
  await scope.register(fastifyJwt, {
    namespace,
    decoratorName: `${namespace}Claims`,
    secret,
    sign: { algorithm, kid, header: { alg: algorithm, typ: TYPES[kind] } },
    // Times are judged in the core, by the injected clock; here they would be judged by Date.now.
    verify: { algorithms: [algorithm], ignoreExpiration: true, ignoreNotBefore: true }
  })
  return Reflect.get(scope.jwt, namespace) as JWT // namespaces are not in the types of `jwt`
}

/** The payload, or undefined: whatever @fastify/jwt throws, and it throws errors that would be a 500, is one refusal. */
function verifySignature (jwt: JWT, token: string, key: Key | undefined): unknown {
  try {
    return key === undefined ? jwt.verify(token) : jwt.verify(token, { key: key.secret, algorithms: [key.algorithm] })
  } catch {
    return undefined
  }
}

/**
 * Finds the key that a header names, if all of it is as we write it: our `typ`, a `kid` of the ring by exact look-up,
 * and the algorithm of that key, never the header's own choice (RFC 8725 section 3.1). `crit` is always refused, since
 * no extension is understood (RFC 7515 section 4.1.11); `jku`, `jwk`, `x5c` and the like are never looked at.
 */
function keyFinder (ring: KeyRing, type: string): (encodedHeader: string) => Key | null {
  return encodedHeader => {
    const { kid, alg, typ, crit } = parseHeader(encodedHeader)
    const key = typeof kid === 'string' ? ring.byKid.get(kid) : undefined
    if (key === undefined) return null
    return alg === key.algorithm && isType(typ, type) && crit === undefined ? key : null
  }
}

/** What a header says; nothing where it is not one. */
function parseHeader (encoded: string): Record<string, unknown> {
  try {
    return { ...JSON.parse(Buffer.from(encoded, 'base64url').toString()) }
  } catch {
    return {}
  }
}

/** Media types are case-insensitive and may carry their "application/" (RFC 7515 section 4.1.9). */
function isType (typ: unknown, expected: string): boolean {
  return typ === expected || (typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === expected)
}

/** Whether a signature is spelled the only right way. Unused bits of the last character would give a token four spellings. */
function isCanonical (signature: string): boolean {
  return Buffer.from(signature, 'base64url').toString('base64url') === signature
}
