import { type FastifyInstance } from 'fastify'
import { type KeyRing } from '../../core/keys.js'
import { type Seconds } from '../../core/time.js'
import { jwksSchema, toJwks } from '../jwks.js'
import { refusedByFastify } from '../openapi.js'
import { TAGS, type RouteSchema } from './route.js'

/** The keys that others may verify with. */
export interface PublicKeys {
  ring (): KeyRing
  /** How long others may keep them. */
  readonly maxAge: Seconds
}

/** `GET /jwks`: the public keys of access tokens (RFC 7517 section 5), for services that only verify. */
export function jwksRoute (scope: FastifyInstance, url: string, { ring, maxAge }: PublicKeys): void {
  const schema: RouteSchema = {
    operationId: 'jwks',
    summary: 'The public keys that access tokens are verified with',
    tags: TAGS,
    response: { 200: jwksSchema, 500: refusedByFastify[500] }
  }

  scope.get(url, { schema }, async (_request, reply) => {
    reply.removeHeader('pragma')
    reply.header('cache-control', `public, max-age=${maxAge}`)
    return toJwks(ring())
  })
}
