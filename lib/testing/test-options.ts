import { type FastifyInstance } from 'fastify'
import { allowWeakHashing } from '../accounts/hash-format.js'
import { type AuditEvent, type EventListener } from '../events.js'
import { type Clock, type Duration, type EpochSeconds, parseDuration, systemClock, type Seconds } from '../time.js'
import { type User } from '../accounts/user.js'
import { type RefreshTokenTransport } from '../http/refresh-token-transport.js'
import { type RouteName } from '../http/routes/route.js'
import { type IssuedRefreshToken } from '../sessions/issue-tokens.js'
import { type AppClaims } from '../tokens/claims.js'
import { logWarning } from '../warnings.js'

/** The option `passwords` for tests: hashing takes about 1 ms. The plugin refuses it where NODE_ENV is 'production'. */
export const fastPasswords = { memoryCost: 1024, [allowWeakHashing]: true } as const

/** Options of the plugin for tests. */
export interface TestOptions {
  readonly clock: TestClock
  readonly onEvent: (event: AuditEvent) => void
  readonly passwords: typeof fastPasswords
  readonly rateLimit: false
}

/** The events that each listener of `testOptions` received. */
const recorded = new WeakMap<object, AuditEvent[]>()

/**
 * Options for one app under test: a clock that stands still, a listener that records events, fast hashing, no rate limits (they
 * use the machine's clock). Spread them over the options of the plugin. Throws where NODE_ENV is 'production'.
 */
export function testOptions (): TestOptions {
  assertNotProduction('testOptions')
  const events: AuditEvent[] = []
  const onEvent = (event: AuditEvent): void => { events.push(event) }
  recorded.set(onEvent, events)
  return { clock: testClock(), onEvent, passwords: fastPasswords, rateLimit: false }
}

/** The events that a listener of `testOptions` received; undefined for any other listener. */
export function eventsOf (onEvent: object | undefined): AuditEvent[] | undefined {
  return onEvent && recorded.get(onEvent)
}

export function assertNotProduction (name: string): void {
  if (process.env['NODE_ENV'] === 'production') throw new Error(`${name} is for tests: it does not work where NODE_ENV is 'production'`)
}

/** A clock for the option `clock` of the plugin and of stores. It stands still until `advance` is called. */
export interface TestClock extends Clock {
  /** Moves the time forward by a duration: '15m', or whole seconds. */
  advance (by: Duration): void
}

/** In the registry of symbols, since a server and its test may load two copies of this package. */
const TEST_CLOCK = Symbol.for('fastify-refresh-cookie.test-clock')

/** A clock that stands still at `start`, in seconds since 1970; now by default. */
export function testClock (start: EpochSeconds = systemClock()): TestClock {
  let time = start
  return Object.assign(() => time, {
    [TEST_CLOCK]: true,
    advance (by: Duration) {
      const seconds = parseDuration(by)
      if (seconds === null) throw new TypeError("advance: not a duration: whole seconds, or a number with a unit such as '15m'")
      time += seconds
    }
  })
}

function isTestClock (clock: Clock): clock is TestClock {
  return TEST_CLOCK in clock
}

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
