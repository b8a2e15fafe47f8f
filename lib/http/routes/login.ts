import { type FastifyInstance } from 'fastify'
import { type FormConfig, READ_FORM } from '../content-types.js'
import { formOf, readHtmlForm } from '../html-forms.js'
import { readOAuthForm } from '../oauth-form.js'
import { readCredentials, refusalSchemas, refusedByFastify, withUsernameField } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /login`: 200 with a token response and the refresh token; the same 401 for an unknown user and a wrong password. */
export function loginRoute (scope: FastifyInstance, url: string, { accounts: { passwordVerifier, usernameField }, transport, tokenResponse, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'login',
    summary: 'Log in',
    description: 'Accepts JSON or an OAuth 2.0 password form. An HTML form with the field `redirect`, a path of this app, is answered with 303.',
    tags: TAGS,
    security: [],
    consumes: ['application/json', 'application/x-www-form-urlencoded'],
    body: withUsernameField(transport.loginSchema, usernameField),
    response: {
      200: tokenResponse.schema,
      ...refusedByFastify,
      ...refusalSchemas('FST_AUTH_CREDENTIALS_INVALID', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_CROSS_SITE', 'FST_AUTH_TOO_MANY_ATTEMPTS', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const oauthNames = { username: usernameField, [usernameField]: usernameField, password: 'password' } // Swagger shows `usernameField`
  const htmlNames = { [usernameField]: usernameField, password: 'password' }
  const readHtml = (body: string) => transport.setsCookie ? readHtmlForm(body, htmlNames, true) : undefined
  const config: FormConfig = {
    [READ_FORM] (body) {
      const form = readHtml(body)
      return form === undefined ? readOAuthForm(body, 'password', oauthNames) : form
    }
  }

  scope.post<{ Body: Record<string, unknown> }>(url, { schema, config }, async (request, reply) => {
    const auth = authOf(request)
    const { username, password, remember } = readCredentials(request.body, usernameField)
    const { subject, user, isStillValid } = await passwordVerifier.verifyLogin({ username, password }, auth)
    const response = await auth.startSession(subject, { user, remember, isStillValid })
    const form = formOf(request)
    if (form !== undefined) return reply.redirect(form.redirect, 303)
    return await tokenResponse.format('login', response, auth)
  })
}
