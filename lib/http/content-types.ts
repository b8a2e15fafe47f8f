import { type FastifyInstance, type FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Reads a form body of this route; null refuses it. Routes without it take JSON only. */
    readForm?: ((body: string) => unknown) | undefined
  }
}

/** The largest body that our routes read, in bytes. */
export const BODY_LIMIT = 16 * 1024

/**
 * Replaces the host's parsers in our context. It accepts JSON, forms on routes with `readForm`, and an empty body of any
 * content type, which axios, curl and Swagger UI send to refresh and logout. Everything else is 415: a form of another
 * site can send text/plain without a CORS preflight.
 */
export function registerContentTypes (scope: FastifyInstance): void {
  const parseJson = scope.getDefaultJsonParser('error', 'error')
  scope.removeAllContentTypeParsers()

  scope.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) => {
    if (body === '') return done(null, undefined)
    parseJson(request, body, done)
  })

  scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (request: FastifyRequest, body: string, done) => {
    if (body === '') return done(null, undefined)
    const { readForm } = request.routeOptions.config
    if (readForm === undefined) return done(unsupported())
    const form = readForm(body)
    done(form === null ? badForm() : null, form)
  })

  scope.addContentTypeParser('*', { parseAs: 'string' }, (_request: FastifyRequest, body: string, done) => {
    done(body === '' ? null : unsupported(), undefined)
  })
}

function unsupported (): Error {
  return Object.assign(new Error('Unsupported Media Type: send application/json'), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', statusCode: 415 })
}

function badForm (): Error {
  return Object.assign(new Error('body/grant_type must match this route, and no field may be sent twice'), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
}
