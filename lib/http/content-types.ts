import { type FastifyContextConfig, type FastifyInstance, type FastifyRequest } from 'fastify'
import { HtmlForm, rememberForm } from './html-forms.js'

/** The property of a route's config that reads its forms: the types of an app's own routes do not show it. */
export const READ_FORM = Symbol('readForm')

export interface FormConfig extends FastifyContextConfig {
  /** Reads a form body of this route; null refuses the form, undefined its content type. Routes without it take JSON only. */
  readonly [READ_FORM]?: ((body: string) => unknown) | undefined
}

/** The largest body that our routes read, in bytes. */
export const BODY_LIMIT = 16 * 1024

/**
 * Replaces the host's parsers in our context. It accepts JSON, forms on routes with `READ_FORM`, and an empty body of any
 * content type, which axios, curl and Swagger UI send to refresh and logout. Everything else is 415: a form of another
 * site can send text/plain without a CORS preflight.
 */
export function registerContentTypes (scope: FastifyInstance): void {
  const parseJson = scope.getDefaultJsonParser('error', 'error')
  scope.removeAllContentTypeParsers()

  scope.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) => {
    if (body === '') return done(null, undefined)
    parseJson(request, body, (error, value) => done(error && badJson(), value))
  })

  scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (request: FastifyRequest, body: string, done) => {
    if (body === '') return done(null, undefined)
    const { [READ_FORM]: readForm } = request.routeOptions.config as FormConfig // only our own routes have the symbol
    const form = readForm?.(body)
    if (form === undefined) return done(readForm === undefined ? unsupported() : unsupportedForm())
    if (form instanceof HtmlForm) {
      rememberForm(request, form)
      return done(null, form.fields)
    }
    done(form === null ? badForm(body) : null, form)
  })

  scope.addContentTypeParser('*', { parseAs: 'string' }, (_request: FastifyRequest, body: string, done) => {
    done(body === '' ? null : unsupported(), undefined)
  })
}

function unsupportedForm (): Error {
  return unsupported('Unsupported Media Type: send application/json, or a form with the field "redirect"')
}

function unsupported (message = 'Unsupported Media Type: send application/json'): Error {
  return Object.assign(new Error(message), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', statusCode: 415 })
}

/** Instead of the parser's error, which quotes the body before Fastify 5.5. */
function badJson (): Error {
  return Object.assign(new Error("Body is not valid JSON but content-type is set to 'application/json'"), { code: 'FST_ERR_CTP_INVALID_JSON_BODY', statusCode: 400 })
}

function badForm (body: string): Error {
  return Object.assign(new Error(`body ${mistakeOf(new URLSearchParams(body))}`), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
}

function mistakeOf (form: URLSearchParams): string {
  if ([...form.keys()].some(name => name !== 'remember' && form.getAll(name).length > 1)) return 'has a field twice, and only remember may be'
  if (form.has('grant_type')) return 'has another grant_type than this route, or the username in two fields'
  return 'must have redirect and failure as paths of this app, and failure needs redirect'
}
