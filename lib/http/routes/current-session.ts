import { type FastifyInstance } from 'fastify'
import { type JsonSchema, refusals, refusedByFastify } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

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
      ...refusals('FST_AUTH_REFRESH_TOKEN_MISSING', 'FST_AUTH_REFRESH_TOKEN_INVALID', 'FST_AUTH_REFRESH_TOKEN_EXPIRED', 'FST_AUTH_REFRESH_TOKEN_REUSED',
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
