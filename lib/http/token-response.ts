import { type RequestContext } from '../events.js'
import { withMessage } from '../errors.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type FromSchema, type JsonSchema } from './schemas.js'

/** The token response (RFC 6749 section 5.1). */
export const tokenResponseSchema = {
  type: 'object',
  description: 'An access token. The refresh token is only in the cookie.',
  properties: {
    access_token: { type: 'string', description: 'Send it as "Authorization: Bearer <token>".' },
    token_type: { type: 'string', const: 'Bearer' },
    expires_in: { type: 'integer', description: 'Seconds until the access token expires.' }
  },
  required: ['access_token', 'token_type', 'expires_in']
} as const satisfies JsonSchema

export const tokenResponseWithRefreshTokenSchema = {
  ...tokenResponseSchema,
  description: 'An access token and a refresh token.',
  properties: { ...tokenResponseSchema.properties, refresh_token: { type: 'string', description: 'Store it where only the app can read it; it replaces the previous one.' } },
  required: [...tokenResponseSchema.required, 'refresh_token']
} as const satisfies JsonSchema

/** The schema of a reauthentication, whose reply has a refresh token only if the request had one. */
export function withOptionalRefreshToken (schema: JsonSchema): JsonSchema {
  const required = schema.required?.filter(name => name !== 'refresh_token')
  return required === undefined ? schema : { ...schema, required }
}

/**
 * The token response of signup, login, refresh, password and reauthenticate (RFC 6749 section 5.1): `access_token`,
 * `token_type` 'Bearer', and `expires_in` in seconds. `refresh_token` is there only where `refreshToken.transport` is 'body'.
 */
export type TokenResponse = FromSchema<typeof tokenResponseSchema> & { refresh_token?: string }

type TokenResponseRoute = 'signup' | 'login' | 'refresh' | 'password' | 'reauthenticate'

/** The second argument of `formatTokenResponse`. */
export interface TokenResponseContext {
  /** The route that answers. */
  readonly route: TokenResponseRoute
  /** The claims of the access token. */
  readonly claims: AccessClaims
}

/** Makes the body of a reply from a token response. */
export type FormatTokenResponse = (response: TokenResponse, context: TokenResponseContext) => Promise<object> | object

interface TokenResponseCaller extends Pick<RequestContext, 'bounded'> {
  assertAuthenticated (): AccessClaims
}

export interface TokenResponseBody {
  readonly schema: JsonSchema
  /** True for RFC 6749 section 5.1, from which Swagger UI can read the access token. */
  readonly standard: boolean
  /** Throws FST_AUTH_STORE_UNAVAILABLE if the app's `formatTokenResponse` fails; the refresh cookie is still set. */
  format (route: TokenResponseRoute, response: Promise<TokenResponse> | TokenResponse, caller: TokenResponseCaller): Promise<object> | object
}

const customSchema = { type: 'object', description: 'The format is defined by the app.', additionalProperties: true } as const satisfies JsonSchema

/** Messages of the routes that cannot simply be repeated once `formatTokenResponse` has failed. */
const AFTER_WRITE: Partial<Record<TokenResponseRoute, string>> = {
  signup: 'The account was created and logged in, but the response could not be built: refresh, or log in',
  password: 'The password was changed, but the response could not be built: refresh, or log in with the new password'
}

export function createTokenResponseBody (schema: JsonSchema, format: FormatTokenResponse | undefined): TokenResponseBody {
  if (format === undefined) return { schema, standard: true, format: (_route, response) => response }
  return {
    schema: customSchema,
    standard: false,
    async format (route, responding, caller) {
      const response = await responding
      try {
        return await caller.bounded(async () => objectOf(await format(response, { route, claims: caller.assertAuthenticated() })))
      } catch (error) {
        const message = AFTER_WRITE[route]
        throw message === undefined ? error : withMessage(error, message)
      }
    }
  }
}

function objectOf (body: unknown): object {
  // Serialised here too, where the reply can say that the cookie works. Fastify would send bytes as they are.
  if (!JSON.stringify(body)?.startsWith('{') || ArrayBuffer.isView(body)) throw new TypeError('formatTokenResponse must return an object that JSON can carry')
  return body as object // its JSON begins with a brace
}
