import { type FastifyInstance } from 'fastify'
import { type Accounts } from '../../accounts/accounts.js'
import { readCredentials, signupSchema, withUsernameField } from '../credentials.js'
import { grantSchema } from '../grant.js'
import { refusals, refusedByFastify } from '../openapi.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /signup`: 201 with a grant and the cookie; 409 for a taken name, 400 for a password that the policy refuses. */
export function signupRoute (scope: FastifyInstance, url: string, signup: NonNullable<Accounts['signup']>, { usernameField, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'signup',
    summary: 'Make an account and log in',
    tags: TAGS,
    security: [],
    body: withUsernameField(signupSchema, usernameField),
    response: {
      201: grantSchema,
      ...refusedByFastify,
      ...refusals('FST_AUTH_PASSWORD_REFUSED', 'FST_AUTH_CROSS_SITE', 'FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  scope.post<{ Body: Record<string, unknown> }>(url, { schema }, async (request, reply) => {
    const auth = authOf(request)
    const user = await signup(readCredentials(request.body, usernameField), auth)
    reply.code(201)
    return await auth.loginUser(user, true)
  })
}
