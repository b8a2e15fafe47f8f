import { type FastifyInstance } from 'fastify'
import { type UserId } from '../accounts/user.js'
import { type AuditEvent } from '../events.js'
import { type AppClaims } from '../tokens/claims.js'
import { subjectOf } from '../tokens/subject.js'
import { AuthError, type AuthErrorCode } from '../errors.js'
import { CookieJar } from './cookie-jar.js'
import { registrationsOf, type TestRegistration, assertNotProduction, eventsOf, type TestClock } from './test-options.js'
import { assertOrigin, sendOverHttp, TestBrowser, type TestBrowserOptions } from './test-browser.js'

/** The app under test: its root instance, or that of any context, with any logger and any server (http, https, http2). */
export interface TestedApp extends Pick<FastifyInstance, 'inject'> {
  readonly server: object
  ready (): PromiseLike<unknown>
}

export interface AuthTestOptions {
  /** The URL prefix of the registration, such as '/auth', where a server has several. */
  readonly prefix?: string | undefined
}

export interface LoginAsOptions extends TestBrowserOptions {
  /** The user for the first access token, in place of `users.findById`, which needs no such user then. */
  readonly user?: object | undefined
  /** Claims of the first access token, as those of `request.auth.login`. */
  readonly claims?: AppClaims | undefined
  /** False: the cookie ends with the browser. */
  readonly remember?: boolean | undefined
}

/** The test kit of one app. Its functions need no `this`. */
export interface AuthTest {
  /** The clock of `testOptions`. */
  readonly clock: TestClock
  /** The events since the start, or since the list was emptied: `events.length = 0`. */
  readonly events: AuditEvent[]
  /** A new browser without cookies. */
  readonly browser: (options?: TestBrowserOptions) => TestBrowser
  /**
   * A new browser in which the user with this id is logged in, without a password. Rejects as `request.auth.login` does, e.g.
   * with FST_AUTH_USER_REFUSED for an unknown user.
   */
  readonly as: (id: UserId, options?: LoginAsOptions) => Promise<TestBrowser>
  /** Moves the clock past the lifetime of all access tokens issued so far. */
  readonly expireAccess: () => void
  /** The browser of a thief, with a copy of the cookies and tokens. */
  readonly steal: (browser: TestBrowser) => TestBrowser
  /** Starts work n times at once and resolves to all results; rejects with the first error. */
  readonly race: <T>(n: number, work: (index: number) => Promise<T>) => Promise<T[]>
}

/**
 * The test kit of an app, for any test runner. Register the plugin with `...testOptions()`. Throws where NODE_ENV is
 * 'production'.
 *
 * ```ts
 * const app = build({ ...testOptions() })
 * const auth = authTest(app)
 * const ada = await auth.as('ada')
 * const { statusCode } = await ada.inject('/notes') // 200
 * auth.expireAccess()
 * ```
 */
export function authTest (app: TestedApp, { prefix }: AuthTestOptions = {}): AuthTest {
  assertNotProduction('authTest')
  if (typeof app?.ready !== 'function') throw new TypeError('authTest takes a Fastify instance: await the function that builds it')
  const registration = (): TestRegistration => findRegistration(app, prefix)
  const browser = (options: TestBrowserOptions = {}): TestBrowser => openBrowser(app, registration, options)

  return {
    get clock () { return registration().clock },
    get events () {
      const events = eventsOf(registration().onEvent)
      if (events === undefined) throw new TypeError('The app has its own onEvent: register fastify-refresh-cookie with { ...testOptions() }')
      return events
    },
    browser,
    async as (id, { user, claims, remember, ...options } = {}) {
      await app.ready()
      const subject = subjectOf(id, 'as()')
      const login = await registration().login(subject, { claims, remember, userAgent: options.userAgent ?? USER_AGENT, user: user && { id, username: subject, passwordHash: null, ...user } }).catch(explained)
      const page = browser(options)
      page.accessToken = login.accessToken
      if (login.setCookie === null) page.refreshToken = login.refreshToken
      else keepRefreshCookie(page, login.setCookie)
      return page
    },
    expireAccess () {
      const { clock, expiresIn } = registration()
      clock.advance(expiresIn)
    },
    steal: browser => browser.copy(),
    race: async (n, work) => await Promise.all(Array.from({ length: n }, async (_, index) => await work(index)))
  }
}

function explained (error: unknown): never {
  const message = error instanceof AuthError && REASONS[error.code]
  throw message ? new AuthError(error.code, { message, cause: error.cause }) : error
}

const REASONS: Partial<Record<AuthErrorCode, string>> = {
  FST_AUTH_USER_REFUSED: 'as(): users.findById returned no user with this id, or one who is disabled: store the user first, or pass { user }',
  FST_AUTH_STORE_UNAVAILABLE: 'as(): users.findById, accessToken.claims or the store failed: see the cause of this error'
}

function keepRefreshCookie (page: TestBrowser, line: string): void {
  page.keepCookie(line)
  if (page.jar.cookies.length > 0) return
  throw new TypeError('as(): a browser refuses the refresh cookie from this origin: a cookie with Secure needs https or localhost, one with Domain an origin of that domain')
}

const ORIGIN = 'https://app.example.com'
const USER_AGENT = 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/150.0'

function openBrowser (app: TestedApp, registration: () => TestRegistration, { url, origin, userAgent = USER_AGENT }: TestBrowserOptions): TestBrowser {
  if (origin !== undefined) assertOrigin('browser', origin)
  return new TestBrowser({
    send: url === undefined ? async ({ path, ...request }) => await app.inject({ ...request, url: path }) : sendOverHttp(url),
    origin: origin ?? (url === undefined ? ORIGIN : new URL(url).origin),
    userAgent,
    ready: () => app.ready(),
    urlOf: route => registration().urlOf(route),
    jar: new CookieJar(() => registration().clock())
  })
}

/** The registration with the prefix, or the only one. */
function findRegistration (app: TestedApp, prefix: string | undefined): TestRegistration {
  const registrations = registrationsOf(app.server).filter(registration => prefix === undefined || registration.prefix === prefix)
  const [registration, other] = registrations
  if (registration === undefined) throw new Error('authTest found no registration with the clock of testOptions(): await app.ready() first, register fastify-refresh-cookie with { ...testOptions() }, and give a "prefix" that is that of the registration')
  if (other !== undefined) throw new Error("authTest found several registrations of fastify-refresh-cookie: choose one by its prefix, as in authTest(app, { prefix: '/auth' })")
  return registration
}
