import { type FastifyInstance } from 'fastify'
import { noContent, refusals, refusedByFastify } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /logout`: 204 for any refresh token, valid or not; 503 if the store fails, which keeps the cookie. */
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
