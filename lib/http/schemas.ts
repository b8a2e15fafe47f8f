import { type AuthErrorCode, messageOf, statusOf } from '../errors.js'

/** A JSON schema, the source of validation, OpenAPI and, with `FromSchema`, the TypeScript type. */
export interface JsonSchema {
  readonly type: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly [keyword: string]: unknown
}

interface Primitives { string: string, integer: number, boolean: boolean, null: null }

/** The type that a schema written `as const` describes. */
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

/** The login body: JSON, or an OAuth 2.0 password form (RFC 6749 section 4.3.2). */
export const loginSchema = {
  type: 'object',
  properties: {
    username,
    password,
    remember: { type: 'boolean', description: 'With `false` the refresh cookie ends with the browser.' }
  },
  required: ['username', 'password'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The signup body, and the login body of the transport 'body', which has no cookie to remember. */
export const credentialsSchema = {
  type: 'object',
  properties: { username, password },
  required: ['username', 'password'],
  additionalProperties: false
} as const satisfies JsonSchema

export const passwordChangeSchema = {
  type: 'object',
  properties: { currentPassword: password, newPassword: password },
  required: ['currentPassword', 'newPassword'],
  additionalProperties: false
} as const satisfies JsonSchema

export const passwordSchema = {
  type: 'object',
  properties: { password },
  required: ['password'],
  additionalProperties: false
} as const satisfies JsonSchema

/** The body of reauthenticate with the transport 'body'. */
export const passwordAndRefreshTokenSchema = {
  ...passwordSchema,
  properties: { password, refresh_token: { type: 'string', description: 'The current one. The reply then has one that is as recent as the access token.' } }
} as const satisfies JsonSchema

/** The body of refresh and logout with the transport 'body'. */
export const refreshTokenSchema = {
  type: ['object', 'null'],
  properties: { refresh_token: { type: 'string', description: 'Or send it as "Authorization: Bearer <token>".' } },
  additionalProperties: false
} as const satisfies JsonSchema

/** No body; `{}` is accepted, since some clients send it. */
export const emptyBodySchema = { type: ['object', 'null'], properties: {}, additionalProperties: false } as const satisfies JsonSchema

export const verifySchema = {
  type: 'object',
  properties: { token: { type: 'string', description: 'An access token.' } },
  required: ['token'],
  additionalProperties: false
} as const satisfies JsonSchema

export const verifiedSchema = {
  type: 'object',
  properties: { claims: { type: 'object', description: 'The claims of the token.', additionalProperties: true } },
  required: ['claims']
} as const satisfies JsonSchema

type LoginBody = FromSchema<typeof loginSchema>

/** Renames `username` to the app's `usernameField`. */
export function withUsernameField ({ properties: { username, ...others }, ...schema }: typeof loginSchema | typeof credentialsSchema, field: string): JsonSchema {
  return { ...schema, properties: { [field]: username, ...others }, required: [field, 'password'] }
}

/** The credentials of a validated body; renames the app's `usernameField` to `username`. */
export function readCredentials (body: Record<string, unknown>, field: string): LoginBody {
  const { [field]: username, ...others } = body
  return { ...others, username } as LoginBody // validated by withUsernameField's schema
}

/** The response schemas of refusals: one per status, with its codes. */
export function refusalSchemas (...codes: readonly AuthErrorCode[]): Record<number, JsonSchema> {
  const statuses = [...new Set(codes.map(statusOf))]
  return Object.fromEntries(statuses.map(status => [status, refusal(status, codes.filter(code => statusOf(code) === status))]))
}

export function noContent (description: string): JsonSchema {
  return { type: 'null', description }
}

/** The refusals of Fastify itself, and unexpected errors. */
export const refusedByFastify: Record<number, JsonSchema> = {
  400: errorSchema('The body does not match the schema; the message names the field.'),
  413: errorSchema('The body is too large.'),
  415: errorSchema('The content type of the body is not supported.'),
  500: errorSchema('Unexpected error.')
}

/** Has no enum of codes if Fastify has its own codes for the status. */
function refusal (status: number, codes: readonly AuthErrorCode[]): JsonSchema {
  const meanings = codes.map(code => `- \`${code}\`: ${messageOf(code)}`).join('\n')
  const others = refusedByFastify[status]
  return others === undefined ? errorSchema(meanings, codes) : errorSchema(`${others['description']}\n${meanings}`)
}

/** Allows more properties, since the host's own error handler may shape the body. */
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

/** A security scheme for OpenAPI 3 and Swagger 2. */
export interface SecurityScheme {
  readonly name: string
  /** `server` is the base URL of the document's paths, '' if the document has none. */
  readonly openapi: (server: string) => Readonly<Record<string, unknown>>
  /** Swagger 2 has neither bearer tokens nor cookies. */
  readonly swagger: Readonly<Record<string, unknown>>
}

export const ACCESS_TOKEN_SCHEME = 'accessToken'

/** With a login route, Swagger UI's Authorize logs in with the OAuth 2.0 password flow. */
export function accessTokenScheme (tokenUrl: string | null): SecurityScheme {
  return {
    name: ACCESS_TOKEN_SCHEME,
    openapi: server => tokenUrl === null
      ? { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }
      : { type: 'oauth2', description: 'Log in with username and password; leave client_id and client_secret empty.', flows: { password: { tokenUrl: joinUrl(server, tokenUrl), scopes: {} } } },
    swagger: { type: 'apiKey', description: 'Enter "Bearer <access token>".', in: 'header', name: 'Authorization' }
  }
}

/** Joins a path to the server URL. Like @fastify/swagger it does not repeat the server's path where the path begins with it. */
function joinUrl (server: string, path: string): string {
  const base = new URL(server, 'http://relative').pathname.replace(/\/$/, '')
  return path.startsWith(base) ? server.slice(0, server.length - base.length) + path : server + path
}

export const REFRESH_COOKIE_SCHEME = 'refreshCookie'

export function refreshCookieScheme (cookieName: string): SecurityScheme {
  const cookie = { type: 'apiKey', description: 'The browser sends it after a login: leave it empty.' }
  return { name: REFRESH_COOKIE_SCHEME, openapi: () => ({ ...cookie, in: 'cookie', name: cookieName }), swagger: { ...cookie, in: 'header', name: 'Cookie' } }
}

/** The refresh token with the transport 'body'. */
export const REFRESH_TOKEN_SCHEME: SecurityScheme = {
  name: 'refreshToken',
  openapi: () => ({ type: 'http', scheme: 'bearer', description: 'The refresh_token of the last token response.' }),
  swagger: { type: 'apiKey', description: 'Enter "Bearer <refresh_token>", with the refresh_token of the last token response.', in: 'header', name: 'Authorization' }
}
