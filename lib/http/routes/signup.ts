import { type FastifyInstance } from 'fastify'
import { type FormConfig, READ_FORM } from '../content-types.js'
import { formOf, readHtmlForm } from '../html-forms.js'
import { credentialsSchema, noContent, readCredentials, refusalSchemas, refusedByFastify, withUsernameField } from '../schemas.js'
import { withMessage } from '../../errors.js'
import { subjectOf } from '../../tokens/subject.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/**
 * `POST /signup`: 201 with a token response and the refresh token; 409 for a taken name, 400 for a password that the policy
 * refuses, 401 for an account that was created disabled. With `onSignup` it is an empty 202 for free and taken names alike,
 * against user enumeration.
 */
export function signupRoute (scope: FastifyInstance, url: string, { accounts: { signup, usernameField }, transport, tokenResponse, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'signup',
    summary: signup.isSilent ? 'Create an account' : 'Create an account and log in',
    tags: TAGS,
    security: [],
    body: withUsernameField(signup.isSilent ? credentialsSchema : transport.loginSchema, usernameField),
    response: {
      ...(signup.isSilent ? { 202: noContent('Accepted. The result is sent by e-mail.') } : { 201: tokenResponse.schema, ...refusalSchemas('FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_USER_REFUSED') }),
      ...refusedByFastify,
      ...refusalSchemas('FST_AUTH_PASSWORD_REFUSED', 'FST_AUTH_CROSS_SITE', 'FST_AUTH_TOO_MANY_ATTEMPTS', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }

  const names = { [usernameField]: usernameField, password: 'password' }
  const config: FormConfig = { [READ_FORM]: transport.setsCookie ? body => readHtmlForm(body, names, !signup.isSilent) : undefined }

  scope.post<{ Body: Record<string, unknown> }>(url, { schema, config }, async (request, reply) => {
    const auth = authOf(request)
    const form = formOf(request)
    const { remember = true, ...credentials } = readCredentials(request.body, usernameField)
    if (signup.isSilent) {
      await signup.signupSilently(credentials, auth)
      return form === undefined ? await reply.code(202).send() : reply.redirect(form.redirect, 303)
    }
    const user = await signup.signup(credentials, auth)
    const response = await auth.startSession(subjectOf(user.id, '"users.create"'), { user, remember }).catch((error: unknown) => {
      throw withMessage(error, 'The account was created, but the login failed: log in')
    })
    if (form !== undefined) return reply.redirect(form.redirect, 303)
    reply.code(201)
    return await tokenResponse.format('signup', response, auth)
  })
}
