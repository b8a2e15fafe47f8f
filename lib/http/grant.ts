import { type AccessClaims } from '../core/claims.js'
import { type Issued } from '../core/issue.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

/** The body that a grant is answered with (RFC 6749 section 5.1). */
export const grantSchema = {
  type: 'object',
  description: 'An access token. The refresh token is in the cookie, never here.',
  properties: {
    access_token: { type: 'string', description: 'Send it as "Authorization: Bearer <token>".' },
    token_type: { type: 'string', const: 'Bearer' },
    expires_in: { type: 'integer', description: 'Seconds until the access token expires.' }
  },
  required: ['access_token', 'token_type', 'expires_in']
} as const satisfies JsonSchema

/** The same for clients that keep the refresh token themselves. */
export const grantWithRefreshTokenSchema = {
  ...grantSchema,
  description: 'An access token, and the refresh token for the next one.',
  properties: { ...grantSchema.properties, refresh_token: { type: 'string', description: 'Keep it where only the app can read it; it replaces the one before.' } },
  required: [...grantSchema.required, 'refresh_token']
} as const satisfies JsonSchema

/**
 * What signup, login, refresh, password and reauthenticate answer: `access_token`, `token_type`, and `expires_in` in
 * seconds; `refresh_token` only where `refreshToken.delivery` is 'body'.
 */
export type Grant = FromSchema<typeof grantSchema> & { refresh_token?: string }

/** The routes that answer with a grant. */
export type GrantRoute = 'signup' | 'login' | 'refresh' | 'password' | 'reauthenticate'

/** What an app may shape the body of a route by. */
export interface GrantContext {
  readonly route: GrantRoute
  /** The claims of the grant's access token. */
  readonly claims: AccessClaims
}

/** Makes an object of a grant: the body that a route answers with. */
export type FormatGrant = (grant: Grant, context: GrantContext) => Promise<object> | object

/** The body for what a verb gave. */
export function toGrant ({ accessToken, expiresIn }: Issued): Grant {
  return { access_token: accessToken, token_type: 'Bearer', expires_in: expiresIn }
}
