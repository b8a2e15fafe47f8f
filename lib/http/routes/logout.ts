import { type FastifyInstance } from 'fastify'
import { noContent, refusals, refusedByFastify } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /logout`: 204 always, whatever the refresh token is; 503, with a cookie kept, if the session could not be ended. */
export function logoutRoute (scope: FastifyInstance, url: string, { transport, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'logout',
    summary: 'End the session',
    tags: TAGS,
    security: transport.security,
    consumes: transport.consumes,
    body: transport.body,
    response: {
      204: noContent('Logged out.'),
      ...refusedByFastify,
      ...refusals('FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const config = { readForm: transport.readForm }

  scope.post(url, { schema, config }, async (request, reply) => {
    await authOf(request).logout()
    reply.code(204)
  })
}
