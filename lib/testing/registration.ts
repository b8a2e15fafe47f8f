import { type FastifyInstance } from 'fastify'
import { type EventListener } from '../events.js'
import { type User } from '../accounts/user.js'
import { type RefreshTokenTransport } from '../http/refresh-token-transport.js'
import { type RouteName } from '../http/routes/route.js'
import { type IssuedRefreshToken } from '../sessions/issue.js'
import { type AppClaims } from '../tokens/claims.js'
import { type Clock, type Seconds } from '../time.js'
import { logWarning } from '../warnings.js'
import { isTestClock, type TestClock } from './test-options.js'

/** The parts of a registration that the test kit uses. */
export interface TestRegistration {
  /** The prefix of the routes, with those of the contexts around. */
  readonly prefix: string
  /** The URL of a route, with all prefixes; false if it is switched off. */
  readonly urlOf: (route: RouteName) => string | false
  readonly clock: TestClock
  readonly onEvent: EventListener | undefined
  /** The lifetime of an access token. */
  readonly expiresIn: Seconds
  /** Starts a session as `request.auth.login` does, without a request. */
  login (subject: string, options: TestLoginOptions): Promise<TestLogin>
}

interface TestLoginOptions {
  /** The user, in place of the one that `users.findById` returns. */
  readonly user?: User | undefined
  readonly claims?: AppClaims | undefined
  readonly remember?: boolean | undefined
  /** That of the browser. */
  readonly userAgent: string
}

interface TestLogin {
  readonly accessToken: string
  readonly refreshToken: string
  /** The Set-Cookie line of the refresh token; null where it is not sent in a cookie. */
  readonly setCookie: string | null
}

/** In the registry of symbols, since a server and its test may load two copies of this package. */
const REGISTRATIONS = Symbol.for('fastify-refresh-cookie.testing')

/** The parts of the plugin that a registration is made of. */
interface RegistrationParts {
  readonly prefix: string
  readonly clock: Clock
  readonly onEvent: EventListener | undefined
  readonly expiresIn: Seconds
  readonly routes: Readonly<Record<RouteName, string | false>>
  readonly transport: Pick<RefreshTokenTransport, 'setCookieLine'>
  readonly login: (subject: string, options: TestLoginOptions) => Promise<{ readonly accessToken: string, readonly refreshToken: IssuedRefreshToken }>
}

/**
 * Offers a registration to the test kit if it has the clock of `testOptions`, and not where NODE_ENV is 'production': all code
 * of the process can then log in as anybody.
 */
export function offerForTests ({ server, log }: Pick<FastifyInstance, 'server' | 'log'>, production: boolean, { clock, ...parts }: RegistrationParts): void {
  if (!isTestClock(clock)) return
  logWarning(log, { code: 'FST_AUTH_WARN_TEST_OPTIONS' })
  if (!production) Reflect.set(server, REGISTRATIONS, [...registrationsOf(server), toRegistration(clock, parts)])
}

/** The registrations of a server, across contexts, in their order. */
export function registrationsOf (server: object): readonly TestRegistration[] {
  return Reflect.get(server, REGISTRATIONS) as readonly TestRegistration[] | undefined ?? [] // written by offerForTests only
}

function toRegistration (clock: TestClock, { prefix, onEvent, expiresIn, routes, transport, login }: Omit<RegistrationParts, 'clock'>): TestRegistration {
  return {
    prefix,
    urlOf: route => routes[route] && prefix + routes[route],
    clock,
    onEvent,
    expiresIn,
    async login (subject, options) {
      const { accessToken, refreshToken } = await login(subject, options)
      return { accessToken, refreshToken: refreshToken.value, setCookie: transport.setCookieLine(refreshToken) }
    }
  }
}
