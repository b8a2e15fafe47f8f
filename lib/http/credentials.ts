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

/** The body of a signup. */
export const signupSchema = {
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

/** Who somebody says they are, and the proof. */
export type Credentials = FromSchema<typeof loginSchema>

/** A body schema in which the username is called what the app calls it. */
export function withUsernameField ({ properties: { username, ...others }, ...schema }: typeof loginSchema | typeof signupSchema, field: string): JsonSchema {
  return { ...schema, properties: { [field]: username, ...others }, required: [field, 'password'] }
}

/** The credentials of a validated body, whatever its username is called. */
export function readCredentials (body: Record<string, unknown>, field: string): Credentials {
  const { [field]: username, ...others } = body
  return { ...others, username } as Credentials // the schema has just been checked, under the app's name for one field
}

/**
 * The credentials of an OAuth2 password form. Fields of the standard that mean nothing here (scope, client_id, …) and
 * unknown ones are ignored, and an empty one was not sent (RFC 6749 section 3.2); one sent twice is not, nor is another
 * grant_type: null then.
 */
export function readPasswordForm (body: string, field: string): Record<string, string> | null {
  const form = new URLSearchParams(body)
  const known = ['grant_type', 'username', 'password'].map(name => form.getAll(name))
  if (known.some(values => values.length > 1)) return null
  const [grantType = 'password', name, password] = known.map(([value]) => value === '' ? undefined : value)
  if (grantType !== 'password') return null
  return { ...(name !== undefined && { [field]: name }), ...(password !== undefined && { password }) }
}
