import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type IssuedRefreshToken } from '../sessions/issue.js'
import { bearerToken } from './headers.js'
import { credentialsSchema, emptyBodySchema, type JsonSchema, loginSchema, readOAuthForm, REFRESH_TOKEN_SCHEME, refreshCookieScheme, refreshTokenSchema, type SecurityScheme } from './schemas.js'
import { type RefreshCookie } from './cookie.js'
import { tokenResponseSchema, tokenResponseWithRefreshTokenSchema } from './token-response.js'

/** Reads refresh tokens from requests and writes them to replies. */
export interface RefreshTokenTransport {
  /** All distinct refresh tokens, in the order of the request. */
  read (request: FastifyRequest): string[]
  /** Sends a refresh token. Returns the fields that it adds to the token response. */
  send (reply: FastifyReply, token: IssuedRefreshToken): { refresh_token?: string }
  /** Clears the refresh cookie, if there is one. */
  clear (reply: FastifyReply): void
  readonly description: TransportDescription
}

/** The schemas and security schemes of a transport. */
export interface TransportDescription {
  /** The security scheme of refresh and logout. */
  readonly scheme: SecurityScheme
  readonly security: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
  /** The body of refresh and logout, its content types, and the parser of its form. */
  readonly body: JsonSchema
  readonly consumes: readonly string[]
  readonly readForm?: (body: string) => Record<string, string> | null
  readonly login: typeof loginSchema | typeof credentialsSchema
  readonly tokenResponse: JsonSchema
}

/** For browsers: an HttpOnly cookie. */
export function cookieTransport (cookie: RefreshCookie): RefreshTokenTransport {
  const scheme = refreshCookieScheme(cookie.name)
  return {
    read: cookie.read,
    send (reply, token) {
      cookie.set(reply, token)
      return {}
    },
    clear (reply) { cookie.clear(reply) },
    description: { scheme, security: [{ [scheme.name]: [] }], body: emptyBodySchema, consumes: ['application/json'], login: loginSchema, tokenResponse: tokenResponseSchema }
  }
}

/** For native apps: request and response bodies. It neither reads nor sets a cookie. */
export const bodyTransport: RefreshTokenTransport = {
  /** The body precedes the Authorization header, in which many clients send an access token with every request. */
  read ({ body, headers }) {
    const { refresh_token: inBody } = Object(body) as { refresh_token?: unknown } // Object() makes an object of any body
    if (typeof inBody === 'string' && inBody !== '') return [inBody]
    return [bearerToken(headers) ?? ''].filter(token => token !== '')
  },
  send: (_reply, { value }) => ({ refresh_token: value }),
  clear () {},
  description: {
    scheme: REFRESH_TOKEN_SCHEME,
    security: [{}, { [REFRESH_TOKEN_SCHEME.name]: [] }],
    body: refreshTokenSchema,
    consumes: ['application/json', 'application/x-www-form-urlencoded'],
    readForm: body => readOAuthForm(body, 'refresh_token', { refresh_token: 'refresh_token' }),
    login: credentialsSchema,
    tokenResponse: tokenResponseWithRefreshTokenSchema
  }
}

/** Makes a check for requests without any credential that refresh accepts. */
export function createIsAnonymous ({ read }: Pick<RefreshTokenTransport, 'read'>, renewWithAccessToken: boolean): (request: FastifyRequest) => boolean {
  return request => read(request).length === 0 && !(renewWithAccessToken && bearerToken(request.headers) !== null)
}
