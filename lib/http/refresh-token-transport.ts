import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type IssuedRefreshToken } from '../sessions/issue-tokens.js'
import { readOAuthForm } from './oauth-form.js'
import { bearerToken } from './request-auth.js'
import { ACCESS_TOKEN_SCHEME, credentialsSchema, emptyBodySchema, type JsonSchema, loginSchema, REFRESH_TOKEN_SCHEME, refreshCookieScheme, refreshTokenSchema, type SecurityScheme } from './schemas.js'
import { type RefreshCookie } from './cookie.js'
import { tokenResponseSchema, tokenResponseWithRefreshTokenSchema } from './token-response.js'

/** Reads refresh tokens from requests, writes them to replies, and documents both. */
export interface RefreshTokenTransport {
  /** All distinct refresh tokens, in the order of the request. */
  read (request: FastifyRequest): string[]
  /** The access token that renews the session if the refresh token is missing or expired; null if the request has none. Absent if renewal is off. */
  readonly renewingToken?: (request: FastifyRequest) => string | null
  /** Sends a refresh token. Returns the fields that it adds to the token response. */
  send (reply: FastifyReply, token: IssuedRefreshToken): { refresh_token?: string }
  /** The Set-Cookie line of a refresh token; null without a cookie. */
  setCookieLine (token: IssuedRefreshToken): string | null
  /** Clears the refresh cookie, if there is one. */
  clear (reply: FastifyReply): void
  /** The security scheme of refresh tokens. */
  readonly scheme: SecurityScheme
  readonly security: Security
  /** That of refresh, which may accept access tokens too. */
  readonly refreshSecurity: Security
  /** The body of refresh and logout, its content types, and the parser of its form. */
  readonly body: JsonSchema
  readonly consumes: readonly string[]
  readonly readForm?: (body: string) => Record<string, string> | null
  /** True for the cookie. HTML forms are accepted then, since their page can keep nothing else. */
  readonly setsCookie: boolean
  readonly loginSchema: typeof loginSchema | typeof credentialsSchema
  readonly tokenResponseSchema: JsonSchema
}

type Security = ReadonlyArray<Readonly<Record<string, readonly string[]>>>

/** For browsers: an HttpOnly cookie. */
export function cookieTransport (cookie: RefreshCookie, renewWithAccessToken: boolean): RefreshTokenTransport {
  const scheme = refreshCookieScheme(cookie.name)
  const security = [{ [scheme.name]: [] }]
  return {
    ...cookie,
    ...(renewWithAccessToken && { renewingToken: ({ headers }: FastifyRequest) => bearerToken(headers) }),
    scheme,
    security,
    refreshSecurity: renewWithAccessToken ? [...security, { [ACCESS_TOKEN_SCHEME]: [] }] : security,
    body: emptyBodySchema,
    consumes: ['application/json'],
    setsCookie: true,
    loginSchema,
    tokenResponseSchema
  }
}

const BODY_SECURITY: Security = [{}, { [REFRESH_TOKEN_SCHEME.name]: [] }]

/** For native apps: request and response bodies. It neither reads nor sets a cookie. */
export const bodyTransport: RefreshTokenTransport = {
  /** The body precedes the Authorization header, in which many clients send an access token with every request. */
  read ({ body, headers }) {
    const { refresh_token: inBody } = Object(body) as { refresh_token?: unknown } // Object() makes an object of any body
    if (typeof inBody === 'string' && inBody !== '') return [inBody]
    return [bearerToken(headers) ?? ''].filter(token => token !== '')
  },
  send: (_reply, { value }) => ({ refresh_token: value }),
  setCookieLine: () => null,
  clear () {},
  scheme: REFRESH_TOKEN_SCHEME,
  security: BODY_SECURITY,
  refreshSecurity: BODY_SECURITY,
  body: refreshTokenSchema,
  consumes: ['application/json', 'application/x-www-form-urlencoded'],
  readForm: body => readOAuthForm(body, 'refresh_token', { refresh_token: 'refresh_token' }),
  setsCookie: false,
  loginSchema: credentialsSchema,
  tokenResponseSchema: tokenResponseWithRefreshTokenSchema
}

/** The request has no credential that refresh accepts. */
export function isAnonymous (request: FastifyRequest, transport: RefreshTokenTransport): boolean {
  return transport.read(request).length === 0 && (transport.renewingToken?.(request) ?? null) === null
}
