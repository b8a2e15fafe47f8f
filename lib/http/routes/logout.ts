import { type FastifyInstance } from 'fastify'
import { type FormConfig, READ_FORM } from '../content-types.js'
import { formOf, readHtmlForm } from '../html-forms.js'
import { noContent, refusalSchemas, refusedByFastify } from '../schemas.js'
import { TAGS, type RouteDependencies, type RouteSchema } from './route.js'

/** `POST /logout`: 204 for any refresh token, valid or not; 503 if the store fails, which keeps the cookie. */
export function logoutRoute (scope: FastifyInstance, url: string, { transport, authOf }: RouteDependencies): void {
  const schema: RouteSchema = {
    operationId: 'logout',
    summary: 'End the session',
    description: 'An HTML form with the field `redirect`, a path of this app, is answered with 303.',
    tags: TAGS,
    security: transport.security,
    consumes: transport.consumes,
    body: transport.body,
    response: {
      204: noContent('Logged out.'),
      ...refusedByFastify,
      ...refusalSchemas('FST_AUTH_CROSS_SITE', 'FST_AUTH_STORE_UNAVAILABLE')
    }
  }
  const config: FormConfig = { [READ_FORM]: transport.readForm ?? (body => readHtmlForm(body, {}, false)) }

  scope.post(url, { schema, config }, async (request, reply) => {
    await authOf(request).logout()
    const form = formOf(request)
    return form === undefined ? await reply.code(204).send() : reply.redirect(form.redirect, 303)
  })
}
