import { type FastifyInstance, type FastifyRequest, type RouteShorthandOptions } from 'fastify'
import { type Accounts } from '../../accounts/accounts.js'
import { type Throttle } from '../../accounts/throttle.js'
import { type SilentSignup } from '../../accounts/silent-signup.js'
import { type PublicKeys } from '../../keys/jwks.js'
import { type AuthenticateHook } from '../hooks.js'
import { type TransportDescription } from '../refresh-token-transport.js'
import { type TokenResponseBody } from '../token-response.js'
import { type HttpRequestAuth } from '../request-auth.js'

/** The routes that exist when what they need is there. */
export type RouteName = 'signup' | 'login' | 'refresh' | 'logout' | 'sessions' | 'password' | 'reauthenticate' | 'verify' | 'jwks'

/** Registers a route, or several of one name, unless what they need is missing. */
export type RegisterRoute = (scope: FastifyInstance, url: string, dependencies: RouteDependencies) => void

/** What the routes are made of. */
export interface RouteDependencies {
  /** The hook of routes that need an access token. */
  readonly authenticate: AuthenticateHook
  /** Marks routes that say themselves who may call them: hooks of the whole app refuse nobody there. */
  readonly exempt: symbol
  readonly accounts: Accounts
  /** Rate limits. */
  readonly throttle: Throttle
  /** Where signups answer alike for free and taken names. */
  readonly signupSilently: SilentSignup | undefined
  /** How refresh tokens travel. */
  readonly transport: TransportDescription
  /** Whether an access token stands in for a refresh token that expired or is missing. */
  readonly renewWithAccessToken: boolean
  /** What is answered with a grant. */
  readonly tokenResponse: TokenResponseBody
  readonly usernameField: string
  /** Whether the store can list a subject's sessions. */
  readonly listable: boolean
  /** What others may verify access tokens with. */
  readonly publicKeys: PublicKeys | undefined
  /** Whether a request holds nothing that a refresh could go by. */
  isAnonymous (request: FastifyRequest): boolean
  /** The `request.auth` of a request. */
  authOf (request: FastifyRequest): HttpRequestAuth
}

/** The schema of a route, with what @fastify/swagger adds to Fastify's own. */
export type RouteSchema = NonNullable<RouteShorthandOptions['schema']> & {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: readonly string[]
  readonly consumes?: readonly string[]
  readonly security?: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
}

/** The tag of all our routes in an OpenAPI document. */
export const TAGS = ['auth'] as const

/** The refusals of a route that needs an access token. */
export const ACCESS_TOKEN_REFUSALS = ['FST_AUTH_ACCESS_TOKEN_MISSING', 'FST_AUTH_ACCESS_TOKEN_INVALID', 'FST_AUTH_ACCESS_TOKEN_EXPIRED', 'FST_AUTH_SESSION_ENDED'] as const
