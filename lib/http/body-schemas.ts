import { type FromSchema, type JsonSchema } from './json-schema.js'

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
