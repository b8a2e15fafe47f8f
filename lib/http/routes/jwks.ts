import { type FastifyInstance } from 'fastify'
import { type JsonSchema, refusedByFastify } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'
import { keyPairsOf, type KeyRing } from '../../keys/ring.js'

/** `GET /jwks`: the public keys of access tokens as a JWK Set (RFC 7517 section 5), for services that only verify. */
export function jwksRoute (scope: FastifyInstance, url: string, { publicKeys }: RouteDependencies): void {
  if (publicKeys === undefined) return
  const { ring, maxAge } = publicKeys
  const schema: RouteSchema = {
    operationId: 'jwks',
    summary: 'The public keys of access tokens',
    tags: TAGS,
    response: { 200: jwksSchema, 500: refusedByFastify[500] }
  }

  scope.get(url, { schema }, async (_request, reply) => {
    reply.removeHeader('pragma')
    reply.header('cache-control', `public, max-age=${maxAge}`)
    return toJwks(ring())
  })
}

const jwksSchema = {
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

/** A JSON Web Key Set (RFC 7517 section 5) of public keys. */
interface Jwks {
  readonly keys: ReadonlyArray<{ readonly kty: string, readonly kid: string, readonly use: 'sig', readonly alg: string } & Readonly<Record<'n' | 'e' | 'crv' | 'x' | 'y', string | undefined>>>
}

/** The public keys of a ring, without its secrets. */
function toJwks (ring: KeyRing): Jwks {
  return { keys: keyPairsOf(ring).map(({ kid, algorithm, verifies }) => ({ ...verifies.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm })) as Jwks['keys'] } // a public key exports no private members
}
