import { type RequestContext } from '../audit/events.js'
import { restated } from '../errors.js'
import { type Issued } from '../sessions/issue.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type FromSchema, type JsonSchema } from './schemas.js'

/** The body that a grant is answered with (RFC 6749 section 5.1). */
export const tokenResponseSchema = {
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
export const tokenResponseWithRefreshTokenSchema = {
  ...tokenResponseSchema,
  description: 'An access token, and the refresh token for the next one.',
  properties: { ...tokenResponseSchema.properties, refresh_token: { type: 'string', description: 'Keep it where only the app can read it; it replaces the one before.' } },
  required: [...tokenResponseSchema.required, 'refresh_token']
} as const satisfies JsonSchema

/**
 * What signup, login, refresh, password and reauthenticate answer: `access_token`, `token_type`, and `expires_in` in
 * seconds; `refresh_token` only where `refreshToken.transport` is 'body'.
 */
export type TokenResponse = FromSchema<typeof tokenResponseSchema> & { refresh_token?: string }

/** The routes that answer with a grant. */
export type GrantRoute = 'signup' | 'login' | 'refresh' | 'password' | 'reauthenticate'

/** What an app may shape the body of a route by. */
export interface TokenResponseContext {
  readonly route: GrantRoute
  /** The claims of the grant's access token. */
  readonly claims: AccessClaims
}

/** Makes an object of a grant: the body that a route answers with. */
export type FormatTokenResponse = (grant: TokenResponse, context: TokenResponseContext) => Promise<object> | object

/** The body for what a verb gave. */
export function toTokenResponse ({ accessToken, expiresIn }: Issued): TokenResponse {
  return { access_token: accessToken, token_type: 'Bearer', expires_in: expiresIn }
}

/** Whom a grant is for: the request, and the claims of its access token. */
export interface Grantee extends Pick<RequestContext, 'bounded'> {
  assertAuthenticated (): AccessClaims
}

/** The bodies of the routes that answer with a grant. */
export interface TokenResponseBody {
  readonly schema: JsonSchema
  /** Whether it is the standard one, from which tools can take the access token. */
  readonly standard: boolean
  /** The body for a grant. Throws FST_AUTH_STORE_UNAVAILABLE where the app's own function fails; a cookie is then set all the same. */
  of (route: GrantRoute, grant: TokenResponse, caller: Grantee): Promise<object> | object
}

/** The app may answer with any object. */
const shapedSchema = { type: 'object', description: 'As the app shapes it.', additionalProperties: true } as const satisfies JsonSchema

/** What was done although its answer cannot be made; the other routes can be asked again. */
const DONE: Partial<Record<GrantRoute, string>> = {
  signup: 'The account was made and is logged in, but the answer could not be made: refresh, or log in',
  password: 'The password was changed, but the answer could not be made: refresh, or log in with the new one'
}

/** Builds the bodies: the grant itself, or what the app makes of it. */
export function createTokenResponseBody (schema: JsonSchema, format: FormatTokenResponse | undefined): TokenResponseBody {
  if (format === undefined) return { schema, standard: true, of: (_route, grant) => grant }
  return {
    schema: shapedSchema,
    standard: false,
    async of (route, grant, caller) {
      try {
        return await caller.bounded(async () => objectOf(await format(grant, { route, claims: caller.assertAuthenticated() })))
      } catch (error) {
        const done = DONE[route]
        throw done === undefined ? error : restated(error, done)
      }
    }
  }
}

function objectOf (body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new TypeError('formatTokenResponse must give an object')
  return body
}
