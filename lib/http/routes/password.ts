import { type FastifyInstance } from 'fastify'
import { ACCESS_TOKEN_SCHEME, type FromSchema, passwordChangeSchema, refusalSchemas, refusedByFastify } from '../schemas.js'
import { ACCESS_TOKEN_REFUSALS, type RouteDependencies, type RouteSchema, TAGS } from './route.js'

/** `POST /password`: 200 with a token response and a new refresh token; ends every other session of the user. */
export function passwordRoute (scope: FastifyInstance, url: string, { accounts: { passwordVerifier, passwordChange }, tokenResponse, hooks: { authenticate }, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'changePassword',
    summary: 'Change the password and end every other session',
    tags: TAGS,
    security: [{ [ACCESS_TOKEN_SCHEME]: [] }],
    body: passwordChangeSchema,
    response: {
      200: tokenResponse.schema,
      ...refusedByFastify,
      ...refusalSchemas(...ACCESS_TOKEN_REFUSALS, 'FST_AUTH_CREDENTIALS_INVALID', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_PASSWORD_REFUSED', 'FST_AUTH_CROSS_SITE',
        'FST_AUTH_TOO_MANY_ATTEMPTS', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.post<{ Body: FromSchema<typeof passwordChangeSchema> }>(url, { schema, onRequest: authenticate }, async request => {
    const { currentPassword, newPassword } = request.body
    const auth = authOf(request)
    const verified = await passwordVerifier.verifyAgain(await auth.assertUnrevoked(), currentPassword, auth)
    const write = await passwordChange.prepare(verified, newPassword, auth)
    return await tokenResponse.format('password', auth.changePassword(verified.user, write), auth)
  })
}
