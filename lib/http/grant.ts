import { type Issued } from '../core/issue.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

/** The body of a successful login, signup or refresh (RFC 6749 section 5.1). */
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

/** What login, signup and refresh answer: `access_token`, `token_type`, and `expires_in` in seconds. */
export type Grant = FromSchema<typeof grantSchema>

/** The body for what a login or a refresh gave. */
export function toGrant ({ accessToken, expiresIn }: Issued): Grant {
  return { access_token: accessToken, token_type: 'Bearer', expires_in: expiresIn }
}
