import { type FastifyInstance } from 'fastify'
import { refusals, refusedByFastify } from '../responses.js'
import { ACCESS_TOKEN_SCHEME } from '../security-schemes.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /refresh`: 200 with a grant; 401 only when the person has to log in. It never deletes the cookie. */
export function refreshRoute (scope: FastifyInstance, url: string, { delivery, grantBody, renewWithAccessToken, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'refresh',
    summary: 'Swap the refresh token for a new access token',
    description: 'Only a 401 means that the person is logged out. After 403, 429 and 5xx the session is as it was.',
    tags: TAGS,
    security: renewWithAccessToken ? [...delivery.security, { [ACCESS_TOKEN_SCHEME]: [] }] : delivery.security,
    consumes: delivery.consumes,
    body: delivery.body,
    response: {
      200: grantBody.schema,
      ...refusedByFastify,
      ...refusals('FST_AUTH_REFRESH_TOKEN_MISSING', 'FST_AUTH_REFRESH_TOKEN_INVALID', 'FST_AUTH_REFRESH_TOKEN_EXPIRED',
        'FST_AUTH_REFRESH_TOKEN_REUSED', 'FST_AUTH_SESSION_ENDED', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_CROSS_SITE',
        'FST_AUTH_TOO_MANY_ATTEMPTS', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const config = { readForm: delivery.readForm }

  scope.post(url, { schema, config }, async request => {
    const auth = authOf(request)
    return await grantBody.of('refresh', await auth.refresh(), auth)
  })
}
