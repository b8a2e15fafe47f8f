import { type FastifyInstance, type FastifyRequest, type RouteShorthandOptions } from 'fastify'
import { type PasswordChange } from '../../accounts/password-change.js'
import { type PasswordVerifier } from '../../accounts/password-verifier.js'
import { type Signup } from '../../accounts/signup.js'
import { type PublicKeys } from '../../keys/jwks.js'
import { type AuthenticateHook } from '../hooks.js'
import { type TransportDescription } from '../refresh-token-transport.js'
import { type TokenResponseBody } from '../token-response.js'
import { type HttpRequestAuth } from '../request-auth.js'

export type RouteName = 'signup' | 'login' | 'refresh' | 'logout' | 'session' | 'sessions' | 'password' | 'reauthenticate' | 'verify' | 'jwks'

/** Registers a route, or several of one name. Registers none if a dependency is missing. */
export type RegisterRoute = (scope: FastifyInstance, url: string, dependencies: RouteDependencies) => void

export interface RouteDependencies {
  /** The hook of our routes that need an access token. */
  readonly authenticate: AuthenticateHook
  /** The hook of all our routes: the CSRF policy. */
  readonly refuseCrossSite: AuthenticateHook
  /** Marks our routes, which the hooks of a whole app exempt. */
  readonly exempt: symbol
  readonly passwordVerifier: PasswordVerifier
  readonly signup: Signup
  readonly passwordChange: PasswordChange
  readonly transport: TransportDescription
  /** An access token replaces a refresh token that is expired or missing. */
  readonly renewWithAccessToken: boolean
  readonly tokenResponse: TokenResponseBody
  readonly usernameField: string
  /** The store can list a subject's sessions. */
  readonly listable: boolean
  readonly publicKeys: PublicKeys | undefined
  /** The request has no credential that refresh accepts. */
  isAnonymous (request: FastifyRequest): boolean
  authOf (request: FastifyRequest): HttpRequestAuth
}

/** Fastify's route schema with the properties of @fastify/swagger. */
export type RouteSchema = NonNullable<RouteShorthandOptions['schema']> & {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: readonly string[]
  readonly consumes?: readonly string[]
  readonly security?: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
}

export const TAGS = ['auth'] as const

export const ACCESS_TOKEN_REFUSALS = ['FST_AUTH_ACCESS_TOKEN_MISSING', 'FST_AUTH_ACCESS_TOKEN_INVALID', 'FST_AUTH_ACCESS_TOKEN_EXPIRED', 'FST_AUTH_SESSION_ENDED'] as const
