import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type IssuedRefreshToken } from '../sessions/issue.js'
import { bearerToken } from './headers.js'
import { credentialsSchema, emptyBodySchema, type JsonSchema, loginSchema, readOAuthForm, REFRESH_TOKEN_SCHEME, refreshCookieScheme, refreshTokenSchema, type SecurityScheme } from './schemas.js'
import { type RefreshCookie } from './cookie.js'
import { tokenResponseSchema, tokenResponseWithRefreshTokenSchema } from './token-response.js'

/** How refresh tokens travel between a client and us: nothing else knows where in a request or a reply they are. */
export interface RefreshTokenTransport {
  /** Every different refresh token that a request carries, in its order. */
  read (request: FastifyRequest): string[]
  /** Hands a client its refresh token. Gives what the body of the grant gains by it. */
  give (reply: FastifyReply, token: IssuedRefreshToken): { refresh_token?: string }
  /** Tells the client to forget it, where a reply can. */
  forget (reply: FastifyReply): void
  readonly description: TransportDescription
}

/** What the routes say of it, and by what they check their bodies. */
export interface TransportDescription {
  /** How refresh and logout are proven. */
  readonly scheme: SecurityScheme
  readonly security: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
  /** The body of refresh and logout, what it may be, and how a form of it is read. */
  readonly body: JsonSchema
  readonly consumes: readonly string[]
  readonly readForm?: (body: string) => Record<string, string> | null
  /** The body of a login. */
  readonly login: typeof loginSchema | typeof credentialsSchema
  readonly grant: JsonSchema
}

/** Browsers: in a cookie that no script sees. */
export function cookieTransport (cookie: RefreshCookie): RefreshTokenTransport {
  const scheme = refreshCookieScheme(cookie.name)
  return {
    read: request => cookie.read(request),
    give (reply, token) {
      cookie.set(reply, token)
      return {}
    },
    forget (reply) { cookie.clear(reply) },
    description: { scheme, security: [{ [scheme.name]: [] }], body: emptyBodySchema, consumes: ['application/json'], login: loginSchema, grant: tokenResponseSchema }
  }
}

/** Native apps, which keep it themselves: in bodies. No cookie is ever looked at or set. */
export const bodyTransport: RefreshTokenTransport = {
  /** The body's goes first: clients send their access token with everything, and in the same header. */
  read ({ body, headers }) {
    const { refresh_token: inBody } = Object(body) as { refresh_token?: unknown } // no property of what is no object
    if (typeof inBody === 'string' && inBody !== '') return [inBody]
    return [bearerToken(headers) ?? ''].filter(token => token !== '')
  },
  give: (_reply, { value }) => ({ refresh_token: value }),
  forget () {},
  description: {
    scheme: REFRESH_TOKEN_SCHEME,
    security: [{}, { [REFRESH_TOKEN_SCHEME.name]: [] }],
    body: refreshTokenSchema,
    consumes: ['application/json', 'application/x-www-form-urlencoded'],
    readForm: body => readOAuthForm(body, 'refresh_token', { refresh_token: 'refresh_token' }),
    login: credentialsSchema,
    grant: tokenResponseWithRefreshTokenSchema
  }
}

/** Makes a function that says whether a request holds nothing that a refresh could go by. */
export function anonymity ({ read }: Pick<RefreshTokenTransport, 'read'>, renewWithAccessToken: boolean): (request: FastifyRequest) => boolean {
  return request => read(request).length === 0 && !(renewWithAccessToken && bearerToken(request.headers) !== null)
}
