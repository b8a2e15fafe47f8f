import { type FastifyInstance } from 'fastify'
import { type FormConfig, READ_FORM } from '../content-types.js'
import { type FromSchema, noContent, refusalSchemas, refusedByFastify } from '../schemas.js'
import { isAnonymous } from '../refresh-token-transport.js'
import { type RouteDependencies, type RouteSchema, TAGS } from './route.js'

/** `optional` avoids a 401 in the browser's console and in the log for visitors who never logged in. */
const querySchema = {
  type: 'object',
  properties: {
    optional: {
      type: 'string',
      enum: ['true', 'false'],
      description: 'With `true` a request without a refresh token is answered with 204 instead of 401. With `renewWithAccessToken` it must have no access token either.'
    }
  },
  required: []
} as const

/** `POST /refresh`: 200 with a token response; 401 only if the user must log in again. It never clears the cookie. */
export function refreshRoute (scope: FastifyInstance, url: string, { transport, tokenResponse, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'refresh',
    summary: 'Swap the refresh token for a new access token',
    description: 'Only a 401 means that the user is logged out. After 403, 429 and 5xx the session is unchanged.',
    tags: TAGS,
    security: transport.refreshSecurity,
    consumes: transport.consumes,
    querystring: querySchema,
    body: transport.body,
    response: {
      200: tokenResponse.schema,
      204: noContent('No refresh token was sent, and `optional` is `true`.'),
      ...refusedByFastify,
      ...refusalSchemas('FST_AUTH_REFRESH_TOKEN_MISSING', 'FST_AUTH_REFRESH_TOKEN_INVALID', 'FST_AUTH_REFRESH_TOKEN_EXPIRED',
        'FST_AUTH_REFRESH_TOKEN_REUSED', 'FST_AUTH_SESSION_ENDED', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_CROSS_SITE',
        'FST_AUTH_TOO_MANY_ATTEMPTS', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const config: FormConfig = { [READ_FORM]: transport.readForm }

  scope.post<{ Querystring: FromSchema<typeof querySchema> }>(url, { schema, config }, (request, reply) => {
    if (request.query.optional === 'true' && isAnonymous(request, transport)) return reply.code(204).send()
    const auth = authOf(request)
    return tokenResponse.format('refresh', auth.refresh(), auth)
  })
}
