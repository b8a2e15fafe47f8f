import { type FastifyInstance } from 'fastify'
import { type FromSchema, refusalSchemas, refusedByFastify, verifiedSchema, verifySchema } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /verify`: 200 with the claims of a valid access token, for services that cannot verify it themselves. */
export function verifyRoute (scope: FastifyInstance, url: string, { authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'verify',
    summary: 'Verify an access token',
    tags: TAGS,
    security: [],
    body: verifySchema,
    response: {
      200: verifiedSchema,
      ...refusedByFastify,
      ...refusalSchemas('FST_AUTH_ACCESS_TOKEN_INVALID', 'FST_AUTH_ACCESS_TOKEN_EXPIRED', 'FST_AUTH_SESSION_ENDED', 'FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.post<{ Body: FromSchema<typeof verifySchema> }>(url, { schema }, async request => ({ claims: await authOf(request).verify(request.body.token) }))
}
