import { type FastifyInstance, type FastifyRequest, type RouteShorthandOptions } from 'fastify'
import { type PasswordChange } from '../../accounts/password-change.js'
import { type PasswordVerifier } from '../../accounts/password-verifier.js'
import { type Signup } from '../../accounts/signup.js'
import { type Users } from '../../accounts/user.js'
import { type PublicKeys } from '../../keys/reload.js'
import { type OwnHooks } from '../hooks.js'
import { type RefreshTokenTransport } from '../refresh-token-transport.js'
import { type TokenResponseBody } from '../token-response.js'
import { type SessionAuth } from '../session-auth.js'

export type RouteName = 'signup' | 'login' | 'refresh' | 'logout' | 'session' | 'sessions' | 'password' | 'reauthenticate' | 'verify' | 'jwks'

/** The functions of the app's users without which a route does not exist. */
export const NEEDED_FUNCTIONS: Readonly<Partial<Record<RouteName, ReadonlyArray<keyof Users>>>> = {
  signup: ['create'],
  login: ['findByUsername'],
  password: ['findById', 'updatePasswordHash'],
  reauthenticate: ['findById']
}

/** Registers a route, or several of one name. Registers none if a dependency is missing. */
export type RegisterRoute = (scope: FastifyInstance, url: string, dependencies: RouteDependencies) => void

export interface RouteDependencies {
  authOf (request: FastifyRequest): SessionAuth
  readonly hooks: OwnHooks
  readonly accounts: Accounts
  readonly transport: RefreshTokenTransport
  readonly tokenResponse: TokenResponseBody
  /** Undefined if the keys are secrets. */
  readonly publicKeys: PublicKeys | undefined
}

/** The parts of the routes with passwords. */
export interface Accounts {
  readonly passwordVerifier: PasswordVerifier
  readonly signup: Signup
  readonly passwordChange: PasswordChange
  readonly usernameField: string
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
