import { type AuthErrorCode, messageOf, statusOf } from '../errors.js'

/** A JSON schema as our routes write them: validation, OpenAPI and, by `FromSchema`, the TypeScript type come from it. */
export interface JsonSchema {
  readonly type: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly [keyword: string]: unknown
}

interface Primitives { string: string, integer: number, boolean: boolean, null: null }

/** The type of the values that a schema written `as const` describes. */
export type FromSchema<S> =
  S extends { const: infer Value } ? Value
    : S extends { type: 'object', properties: infer Properties, required: ReadonlyArray<infer Required> }
      ? { -readonly [K in keyof Properties as K extends Required ? K : never]: FromSchema<Properties[K]> } &
        { -readonly [K in keyof Properties as K extends Required ? never : K]?: FromSchema<Properties[K]> }
      : S extends { type: 'array', items: infer Items } ? Array<FromSchema<Items>>
        : S extends { type: ReadonlyArray<infer Type extends keyof Primitives> } ? Primitives[Type]
          : S extends { type: infer Type extends keyof Primitives } ? Primitives[Type]
            : never

const username = { type: 'string', minLength: 1, maxLength: 1024 } as const
const password = { type: 'string', minLength: 1, format: 'password' } as const

/** The body of a login: JSON, or an OAuth2 password form (RFC 6749 section 4.3.2). */
export const loginSchema = {
  type: 'object',
  properties: {
    username,
    password,
    remember: { type: 'boolean', description: 'False: the cookie ends with the browser.' }
  },
  required: ['username', 'password'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The body of a signup, and of a login that sets no cookie, so that there is nothing to remember. */
export const credentialsSchema = {
  type: 'object',
  properties: { username, password },
  required: ['username', 'password'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The body of a password change. */
export const passwordChangeSchema = {
  type: 'object',
  properties: { currentPassword: password, newPassword: password },
  required: ['currentPassword', 'newPassword'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The body of a re-authentication. */
export const passwordSchema = {
  type: 'object',
  properties: { password },
  required: ['password'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The body of refresh and logout where the client keeps the refresh token itself. */
export const refreshTokenSchema = {
  type: ['object', 'null'],
  properties: { refresh_token: { type: 'string', description: 'Or send it as "Authorization: Bearer <token>".' } },
  additionalProperties: false
} as const satisfies JsonSchema

/** The body of a route that takes none; `{}` is what some clients send for that. */
export const emptyBodySchema = { type: ['object', 'null'], properties: {}, additionalProperties: false } as const satisfies JsonSchema

/** The body that asks whether an access token is good. */
export const verifySchema = {
  type: 'object',
  properties: { token: { type: 'string', description: 'An access token.' } },
  required: ['token'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The answer to a good one: all its claims, the app's own among them. */
export const verifiedSchema = {
  type: 'object',
  properties: { claims: { type: 'object', description: 'The claims of the token.', additionalProperties: true } },
  required: ['claims']
} as const satisfies JsonSchema

/** The body of a login, whatever its username was called. */
export type LoginBody = FromSchema<typeof loginSchema>

/** A body schema in which the username is called what the app calls it. */
export function withUsernameField ({ properties: { username, ...others }, ...schema }: typeof loginSchema | typeof credentialsSchema, field: string): JsonSchema {
  return { ...schema, properties: { [field]: username, ...others }, required: [field, 'password'] }
}

/** The credentials of a validated body, whatever its username is called. */
export function readCredentials (body: Record<string, unknown>, field: string): LoginBody {
  const { [field]: username, ...others } = body
  return { ...others, username } as LoginBody // the schema has just been checked, under the app's name for one field
}

/**
 * The body that a form of OAuth2 stands for (RFC 6749 sections 4.3.2 and 6): `names` says what its fields are called
 * there. Fields of the standard that mean nothing here (scope, client_id, …) and unknown ones are ignored, and an empty
 * one was not sent (section 3.2); one sent twice is not, nor is another grant_type: null then.
 */
export function readOAuthForm (body: string, grantType: string, names: Readonly<Record<string, string>>): Record<string, string> | null {
  const form = new URLSearchParams(body)
  const sent = ['grant_type', ...Object.keys(names)].flatMap(name => form.getAll(name).map(value => [name, value] as const))
  if (new Set(sent.map(([name]) => name)).size < sent.length) return null
  const { grant_type: type = grantType, ...fields } = Object.fromEntries(sent.filter(([, value]) => value !== ''))
  if (type !== grantType) return null
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [String(names[name]), value]))
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

/** Where Fastify refuses with the same status, its codes are possible too. */
function refusal (status: number, codes: readonly AuthErrorCode[]): JsonSchema {
  const meanings = codes.map(code => `- \`${code}\`: ${messageOf(code)}`).join('\n')
  const others = refusedByFastify[status]
  return others === undefined ? errorSchema(meanings, codes) : errorSchema(`${others['description']}\n${meanings}`)
}

/** The schema of an error. Open to more properties: a host's own error handler may shape the body its own way. */
export function errorSchema (description: string, codes?: readonly AuthErrorCode[]): JsonSchema {
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

/** A way to prove something, in the words of an OpenAPI document and in those of Swagger 2. */
export interface SecurityScheme {
  readonly name: string
  /** `server` is the URL that the document's paths are below, '' where it names none. */
  readonly openapi: (server: string) => Readonly<Record<string, unknown>>
  /** Swagger 2 knows neither bearer tokens nor cookies. */
  readonly swagger: Readonly<Record<string, unknown>>
}

/** The name of the access token's scheme. */
export const ACCESS_TOKEN_SCHEME = 'accessToken'

/** The access token's scheme. With a login route, Swagger UI's Authorize logs in by its password form. */
export function accessTokenScheme (tokenUrl: string | null): SecurityScheme {
  return {
    name: ACCESS_TOKEN_SCHEME,
    openapi: server => tokenUrl === null
      ? { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }
      : { type: 'oauth2', description: 'Log in with username and password; a client has no id or secret here.', flows: { password: { tokenUrl: below(server, tokenUrl), scopes: {} } } },
    swagger: { type: 'apiKey', description: 'Bearer, a space, and the access token.', in: 'header', name: 'Authorization' }
  }
}

/** A path below a server. @fastify/swagger leaves the path of the server out of paths that begin with it, and so is it here. */
function below (server: string, path: string): string {
  const base = new URL(server, 'http://relative').pathname.replace(/\/$/, '')
  return path.startsWith(base) ? server.slice(0, server.length - base.length) + path : server + path
}

/** The refresh cookie's. */
export function refreshCookieScheme (cookieName: string): SecurityScheme {
  const cookie = { type: 'apiKey', description: 'Sent by the browser itself after a login: there is nothing to enter.' }
  return { name: 'refreshCookie', openapi: () => ({ ...cookie, in: 'cookie', name: cookieName }), swagger: { ...cookie, in: 'header', name: 'Cookie' } }
}

/** The refresh token's, where the client keeps it itself. */
export const REFRESH_TOKEN_SCHEME: SecurityScheme = {
  name: 'refreshToken',
  openapi: () => ({ type: 'http', scheme: 'bearer', description: 'The refresh_token of the last grant.' }),
  swagger: { type: 'apiKey', description: 'Bearer, a space, and the refresh_token of the last grant.', in: 'header', name: 'Authorization' }
}
