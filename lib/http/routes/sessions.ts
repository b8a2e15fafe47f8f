import { type FastifyInstance } from 'fastify'
import { emptyBodySchema } from '../bodies.js'
import { deviceSchema } from '../device.js'
import { noContent, refusals, refusedByFastify } from '../responses.js'
import { ACCESS_TOKEN_SCHEME } from '../security-schemes.js'
import { ACCESS_TOKEN_REFUSALS, TAGS, type RouteDependencies, type RouteSchema } from './route.js'

const security = [{ [ACCESS_TOKEN_SCHEME]: [] }]

/** `GET /sessions`, `DELETE /sessions/:id` and `DELETE /sessions` (all others): a person's own sessions, nobody else's. */
export function sessionsRoutes (scope: FastifyInstance, url: string, { listable, authenticate, authOf }: RouteDependencies): void {
  if (!listable) return
  const listSchema: RouteSchema = {
    operationId: 'listSessions',
    summary: 'The sessions of the caller, oldest first',
    tags: TAGS,
    security,
    response: {
      200: { type: 'array', items: deviceSchema },
      500: refusedByFastify[500],
      ...refusals(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const revokeSchema: RouteSchema = {
    operationId: 'revokeSession',
    summary: 'End one of the sessions of the caller',
    tags: TAGS,
    security,
    params: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
    body: emptyBodySchema,
    response: {
      204: noContent('Ended.'),
      ...refusedByFastify,
      ...refusals(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_CROSS_SITE', 'FST_AUTH_SESSION_UNKNOWN', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const revokeOthersSchema: RouteSchema = {
    operationId: 'revokeOtherSessions',
    summary: 'End all sessions of the caller but this one',
    tags: TAGS,
    security,
    body: emptyBodySchema,
    response: {
      204: noContent('Ended.'),
      ...refusedByFastify,
      ...refusals(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.get(url, { schema: listSchema, onRequest: authenticate }, async request => await authOf(request).sessions())

  scope.delete<{ Params: { id: string } }>(`${url}/:id`, { schema: revokeSchema, onRequest: authenticate }, async (request, reply) => {
    await authOf(request).revokeSession(request.params.id)
    reply.code(204)
  })

  scope.delete(url, { schema: revokeOthersSchema, onRequest: authenticate }, async (request, reply) => {
    await authOf(request).revokeOtherSessions()
    reply.code(204)
  })
}
