import { type FastifyInstance } from 'fastify'
import { ACCESS_TOKEN_SCHEME, type FromSchema, passwordAndRefreshTokenSchema, passwordSchema, refusalSchemas, refusedByFastify } from '../schemas.js'
import { withOptionalRefreshToken } from '../token-response.js'
import { ACCESS_TOKEN_REFUSALS, type RouteDependencies, type RouteSchema, TAGS } from './route.js'

/** `POST /reauthenticate`: 200 with an access token and a refresh cookie whose `auth_time` is now; the session stays. */
export function reauthenticateRoute (scope: FastifyInstance, url: string, { accounts: { passwordVerifier }, transport, tokenResponse, hooks: { authenticate }, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'reauthenticate',
    summary: 'Confirm the password again',
    tags: TAGS,
    security: [{ [ACCESS_TOKEN_SCHEME]: [] }],
    body: transport.setsCookie ? passwordSchema : passwordAndRefreshTokenSchema,
    response: {
      200: withOptionalRefreshToken(tokenResponse.schema),
      ...refusedByFastify,
      ...refusalSchemas(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_CREDENTIALS_INVALID', 'FST_AUTH_REFRESH_TOKEN_REUSED', 'FST_AUTH_CROSS_SITE',
        'FST_AUTH_TOO_MANY_ATTEMPTS', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.post<{ Body: FromSchema<typeof passwordSchema> }>(url, { schema, onRequest: authenticate }, async request => {
    const auth = authOf(request)
    const { user } = await passwordVerifier.verifyAgain(await auth.assertUnrevoked(), request.body.password, auth)
    return await tokenResponse.format('reauthenticate', auth.reauthenticateUser(user), auth)
  })
}
