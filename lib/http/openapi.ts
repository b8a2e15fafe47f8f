import { type FastifySchema, type RouteOptions } from 'fastify'
import { messageOf, statusOf, type AuthErrorCode } from '../errors.js'
import { demandsAccessToken } from './authenticate.js'
import { type JsonSchema } from './json-schema.js'

/** The name of the access token's security scheme in an OpenAPI document. */
export const ACCESS_TOKEN_SCHEME = 'accessToken'
/** The name of the refresh cookie's. */
export const REFRESH_COOKIE_SCHEME = 'refreshCookie'

type SecurityScheme = Readonly<Record<string, unknown>>

/** The security schemes by name. With a login route, Swagger UI's Authorize logs in by its password form. */
export function securitySchemes (cookieName: string, tokenUrl: string | null): Readonly<Record<string, SecurityScheme>> {
  return {
    [ACCESS_TOKEN_SCHEME]: tokenUrl === null
      ? { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }
      : { type: 'oauth2', description: 'Log in with username and password; a client has no id or secret here.', flows: { password: { tokenUrl, scopes: {} } } },
    [REFRESH_COOKIE_SCHEME]: { type: 'apiKey', description: 'Sent by the browser itself after a login: there is nothing to enter.', in: 'cookie', name: cookieName }
  }
}

/** The schemes in the words of Swagger 2, which knows neither bearer tokens nor cookies. */
const SECURITY_DEFINITIONS: Readonly<Record<string, SecurityScheme>> = {
  [ACCESS_TOKEN_SCHEME]: { type: 'apiKey', description: 'Bearer, a space, and the access token.', in: 'header', name: 'Authorization' },
  [REFRESH_COOKIE_SCHEME]: { type: 'apiKey', description: 'Sent by the browser itself after a login: there is nothing to enter.', in: 'header', name: 'Cookie' }
}

/** What @fastify/swagger gives a route's own transform: one of two documents. */
interface TransformInput {
  readonly schema: FastifySchema
  readonly url: string
  readonly openapiObject?: { components?: { securitySchemes?: Record<string, unknown> } }
  readonly swaggerObject?: { securityDefinitions?: Record<string, unknown> }
}

/**
 * A route's own transform for @fastify/swagger. It declares our schemes, since naming an undeclared one breaks the whole
 * document, and leaves out a body that can only be empty, since Swagger UI would ask for it.
 */
export function describeRoute (schemes: ReturnType<typeof securitySchemes>): (input: TransformInput) => { schema: FastifySchema, url: string } {
  return ({ schema: { body, ...schema }, url, openapiObject, swaggerObject }) => {
    if (openapiObject !== undefined) {
      const components = openapiObject.components ??= {}
      components.securitySchemes = { ...schemes, ...components.securitySchemes }
    }
    if (swaggerObject !== undefined) {
      swaggerObject.securityDefinitions = { ...SECURITY_DEFINITIONS, ...swaggerObject.securityDefinitions }
    }
    return { schema: hasFields(body) ? { ...schema, body } : schema, url }
  }
}

function hasFields (body: unknown): boolean {
  const { properties = {} } = (body ?? {}) as Partial<JsonSchema> // the bodies of our routes are such
  return Object.keys(properties).length > 0
}

/** The response schemas of refusals, one for each status, naming its codes. */
export function refusals (...codes: readonly AuthErrorCode[]): Record<number, JsonSchema> {
  const statuses = [...new Set(codes.map(statusOf))]
  return Object.fromEntries(statuses.map(status => [status, refusal(status, codes.filter(code => statusOf(code) === status))]))
}

/** An empty answer. */
export function noContent (description: string): JsonSchema {
  return { type: 'null', description }
}

/** What Fastify itself refuses before a handler runs, and the answer to what nobody foresaw. */
export const refusedByFastify: Record<number, JsonSchema> = {
  400: errorSchema('The body is not as described; the message names the field.'),
  413: errorSchema('The body is too large.'),
  415: errorSchema('The body is of another content type.'),
  500: errorSchema('Something unforeseen.')
}

/** Marks a host's route that one of our hooks protects as needing an access token, so that Swagger UI sends it. */
export function markProtected (route: RouteOptions): void {
  const hooks = [route.onRequest, route.preParsing, route.preValidation, route.preHandler].flat()
  if (!hooks.some(hook => hook !== undefined && demandsAccessToken(hook))) return
  const schema: FastifySchema & { security?: unknown } = route.schema ?? {}
  route.schema = { security: [{ [ACCESS_TOKEN_SCHEME]: [] }], ...schema } as FastifySchema // `security` is @fastify/swagger's
}

/** Where Fastify refuses with the same status, its codes are possible too. */
function refusal (status: number, codes: readonly AuthErrorCode[]): JsonSchema {
  const meanings = codes.map(code => `- \`${code}\`: ${messageOf(code)}`).join('\n')
  const others = refusedByFastify[status]
  return others === undefined ? errorSchema(meanings, codes) : errorSchema(`${others['description']}\n${meanings}`)
}

/** Open to more properties: a host's own error handler may shape the body its own way. */
function errorSchema (description: string, codes?: readonly AuthErrorCode[]): JsonSchema {
  return {
    type: 'object',
    description,
    properties: {
      statusCode: { type: 'integer' },
      code: { type: 'string', ...(codes && { enum: codes }) },
      error: { type: 'string' },
      message: { type: 'string' }
    },
    additionalProperties: true
  }
}
