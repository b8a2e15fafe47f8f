import { type FastifyInstance } from 'fastify'
import { LIST_LIMIT } from '../../sessions/list.js'
import { ACCESS_TOKEN_SCHEME, emptyBodySchema, errorSchema, type JsonSchema, noContent, refusalSchemas, refusedByFastify } from '../schemas.js'
import { formatCursor, parseCursor, type SessionViewListQuery, sessionViewListSchema, sessionViewSchema } from '../session-view.js'
import { ACCESS_TOKEN_REFUSALS, type RouteDependencies, type RouteSchema, TAGS } from './route.js'

const security = [{ [ACCESS_TOKEN_SCHEME]: [] }]

const listSchema: RouteSchema = {
  operationId: 'listSessions',
  summary: 'The sessions of the caller, oldest first',
  tags: TAGS,
  security,
  querystring: sessionViewListSchema,
  response: {
    200: {
      type: 'array',
      items: sessionViewSchema,
      headers: { Link: { type: 'string', description: 'The next page (RFC 8288, rel="next"), if there is one.' } }
    },
    400: errorSchema('A parameter does not match the schema; the message names it.'),
    500: refusedByFastify[500],
    ...refusalSchemas(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_STORE_UNAVAILABLE')
  }
}

const revokeSchema: RouteSchema = {
  operationId: 'revokeSession',
  summary: 'End a session of the caller',
  tags: TAGS,
  security,
  params: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
  body: emptyBodySchema,
  response: {
    204: noContent('Ended.'),
    414: errorSchema('The id is longer than the router accepts (Fastify\'s maxParamLength).'),
    ...refusedByFastify,
    ...refusalSchemas(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_CROSS_SITE', 'FST_AUTH_SESSION_UNKNOWN', 'FST_AUTH_STORE_UNAVAILABLE')
  }
}

const revokeOthersSchema: RouteSchema = {
  operationId: 'revokeOtherSessions',
  summary: 'End all other sessions of the caller',
  tags: TAGS,
  security,
  body: emptyBodySchema,
  response: {
    204: noContent('Ended.'),
    ...refusedByFastify,
    ...refusalSchemas(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
  }
}

/** `GET /sessions`, `DELETE /sessions/:id`, and `DELETE /sessions` for all but the current one: the caller's own sessions. */
export function sessionsRoutes (scope: FastifyInstance, url: string, { hooks: { authenticate }, authOf }: RouteDependencies): void {
  scope.get<{ Querystring: SessionViewListQuery }>(url, { schema: listSchema, onRequest: authenticate }, async (request, reply) => {
    const { limit = LIST_LIMIT, after } = request.query
    // One more than requested, to know whether there is a next page.
    const sessions = await authOf(request).sessions({ limit: limit + 1, after: parseCursor(after) })
    const page = sessions.slice(0, limit)
    const last = page.at(-1)
    // Relative, since a proxy may have changed the path of the URL.
    if (last !== undefined && sessions.length > limit) reply.header('link', `<?limit=${limit}&after=${formatCursor(last)}>; rel="next"`)
    return page
  })

  scope.delete<{ Params: { id: string } }>(`${url}/:id`, { schema: revokeSchema, onRequest: authenticate }, async (request, reply) => {
    await authOf(request).revokeSession(request.params.id)
    reply.code(204)
  })

  scope.delete(url, { schema: revokeOthersSchema, onRequest: authenticate }, async (request, reply) => {
    await authOf(request).revokeOtherSessions()
    reply.code(204)
  })
}

/**
 * `GET /session`: 200 with the user of the refresh cookie, for a renderer in another process that forwards the cookie. It rotates
 * nothing. Off by default: only such a renderer needs it, and it answers with personal data for the cookie alone.
 */
export function sessionRoute (scope: FastifyInstance, url: string, { transport, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'session',
    summary: 'The user of the refresh token',
    description: 'For a server that renders pages. It changes nothing and does not extend the session.',
    tags: TAGS,
    security: transport.security,
    response: {
      200: identitySchema,
      500: refusedByFastify[500],
      ...refusalSchemas('FST_AUTH_REFRESH_TOKEN_MISSING', 'FST_AUTH_REFRESH_TOKEN_INVALID', 'FST_AUTH_REFRESH_TOKEN_EXPIRED', 'FST_AUTH_REFRESH_TOKEN_REUSED',
        'FST_AUTH_SESSION_ENDED', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.get(url, { schema }, async request => await authOf(request).identify())
}

const identitySchema = {
  type: 'object',
  properties: {
    sub: { type: 'string', description: 'The user id.' },
    sid: { type: 'string', description: 'The id of the session.' },
    auth_time: { type: 'integer', description: 'The time of the last login or reauthentication, in seconds since the epoch.' },
    expiresAt: { type: 'integer', description: 'The absolute end of the session, in seconds since the epoch.' },
    claims: { type: 'object', description: 'The claims of the app.', additionalProperties: true }
  },
  required: ['sub', 'sid', 'auth_time', 'expiresAt', 'claims']
} as const satisfies JsonSchema
