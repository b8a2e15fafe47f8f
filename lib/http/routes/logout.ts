import { type FastifyInstance } from 'fastify'
import { noContent, REFRESH_COOKIE_SCHEME, refusals, refusedByFastify } from '../openapi.js'
import { emptyBodySchema, TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /logout`: 204 always, whatever the cookie is; 503, with the cookie kept, if the session could not be ended. */
export function logoutRoute (scope: FastifyInstance, url: string, { authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'logout',
    summary: 'End the session and forget the cookie',
    tags: TAGS,
    security: [{ [REFRESH_COOKIE_SCHEME]: [] }],
    body: emptyBodySchema,
    response: {
      204: noContent('Logged out.'),
      ...refusedByFastify,
      ...refusals('FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.post(url, { schema }, async (request, reply) => {
    await authOf(request).logout()
    reply.code(204)
  })
}
