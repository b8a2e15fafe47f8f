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

/** Who somebody says they are, and the proof. */
export type Credentials = FromSchema<typeof loginSchema>

/** A body schema in which the username is called what the app calls it. */
export function withUsernameField ({ properties: { username, ...others }, ...schema }: typeof loginSchema | typeof credentialsSchema, field: string): JsonSchema {
  return { ...schema, properties: { [field]: username, ...others }, required: [field, 'password'] }
}

/** The credentials of a validated body, whatever its username is called. */
export function readCredentials (body: Record<string, unknown>, field: string): Credentials {
  const { [field]: username, ...others } = body
  return { ...others, username } as Credentials // the schema has just been checked, under the app's name for one field
}

/**
 * The body that a form of OAuth2 stands for (RFC 6749 sections 4.3.2 and 6): `names` says what its fields are called
 * there. Fields of the standard that mean nothing here (scope, client_id, …) and unknown ones are ignored, and an empty
 * one was not sent (section 3.2); one sent twice is not, nor is another grant_type: null then.
 */
export function readGrantForm (body: string, grantType: string, names: Readonly<Record<string, string>>): Record<string, string> | null {
  const form = new URLSearchParams(body)
  const sent = ['grant_type', ...Object.keys(names)].flatMap(name => form.getAll(name).map(value => [name, value] as const))
  if (new Set(sent.map(([name]) => name)).size < sent.length) return null
  const { grant_type: type = grantType, ...fields } = Object.fromEntries(sent.filter(([, value]) => value !== ''))
  if (type !== grantType) return null
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [String(names[name]), value]))
}
