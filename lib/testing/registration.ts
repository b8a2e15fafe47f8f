import { type FastifyInstance } from 'fastify'
import { type EventListener } from '../audit/events.js'
import { type User } from '../accounts/user.js'
import { type RouteName } from '../http/routes/route.js'
import { type AppClaims } from '../tokens/claims.js'
import { type Clock, type Seconds } from '../time.js'

/** The parts of a registration that the test kit uses. */
export interface TestRegistration {
  /** The URL of a route, with all prefixes; false if it is switched off. */
  readonly urlOf: (route: RouteName) => string | false
  readonly clock: Clock
  readonly onEvent: EventListener | undefined
  /** The lifetime of an access token. */
  readonly expiresIn: Seconds
  /** Starts a session as `request.auth.login` does, without a request. */
  login (subject: string, options: TestLoginOptions): Promise<TestLogin>
}

export interface TestLoginOptions {
  /** The user, in place of the one that `users.findById` returns. */
  readonly user?: User | undefined
  readonly claims?: AppClaims | undefined
  readonly remember?: boolean | undefined
}

export interface TestLogin {
  readonly accessToken: string
  readonly refreshToken: string
  /** The Set-Cookie line of the refresh token; null where it is not sent in a cookie. */
  readonly setCookie: string | null
}

/** In the registry of symbols, since a server may use the CommonJS build and its test the ESM build. */
const REGISTRATIONS = Symbol.for('fastify-refresh-cookie.testing')

/** Offers a registration to the test kit. The plugin calls it outside production only. */
export function offerForTests ({ server }: Pick<FastifyInstance, 'server'>, registration: TestRegistration): void {
  Reflect.set(server, REGISTRATIONS, [...registrationsOf(server), registration])
}

/** The registrations of a server, across contexts, in their order. */
export function registrationsOf (server: object): readonly TestRegistration[] {
  return Reflect.get(server, REGISTRATIONS) as readonly TestRegistration[] | undefined ?? [] // written by offerForTests only
}
