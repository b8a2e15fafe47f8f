import Fastify, { type FastifyInstance, type FastifyServerOptions, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import { type Test } from 'tap'
import refreshCookie, { allowWeakHashing, memoryStore, type AuthEvent, type RefreshCookieOptions } from '../../lib/index.js'
import { type Clock } from '../../lib/time.js'
import { cookieJar, type CookieJar } from './cookie-jar.js'
import { fakeClock, type FakeClock } from './fake-clock.js'
import { faultyStore, type FaultyStore } from './faulty-store.js'
import { userTable, type UserTable } from './user-table.js'

export { START } from './fake-clock.js'
export { userTable, type UserTable } from './user-table.js'

/** A secret that is accepted. */
export const SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

export const PASSWORD = 'correct horse battery staple'

/** Hashing for tests: a thousandth of the real cost. */
export const FAST_HASHING = { memoryCost: 1024, [allowWeakHashing]: true } as const

/** A fake clock that can be used as the option `clock`. */
export interface TestClock extends Clock, Pick<FakeClock, 'wait'> {}

/** A clock that stands still at START. */
export function testClock (): TestClock {
  const { now, wait } = fakeClock()
  return Object.assign(now, { wait })
}

/** A reply of `inject`. */
export type Answer = LightMyRequestResponse

/** A browser: a cookie jar, the access token of its page, and the headers of a browser. */
export interface Browser {
  readonly jar: CookieJar
  accessToken: string | null
  send (options: InjectOptions): Promise<Answer>
  signup (username: string, more?: object): Promise<Answer>
  login (username: string, more?: object): Promise<Answer>
  refresh (more?: InjectOptions): Promise<Answer>
  logout (more?: InjectOptions): Promise<Answer>
  get (url: string): Promise<Answer>
  /** The refresh cookie, or undefined. */
  cookie (): string | undefined
  /** An attacker: another browser with a copy of this cookie. */
  copy (): Browser
}

/** The origin of the app in its browsers. */
export const HOST = 'app.example'
export const ORIGIN = `https://${HOST}`

/** The default name of the refresh cookie. */
export const COOKIE = '__Host-Http-refresh'

export function openBrowser (app: FastifyInstance, jar: CookieJar, prefix = '/auth'): Browser {
  const self: Browser = {
    jar,
    accessToken: null,

    async send (options) {
      const cookie = jar.header(String(options.url))
      const answer = await app.inject({
        ...options,
        headers: {
          host: HOST,
          origin: ORIGIN,
          'sec-fetch-site': 'same-origin',
          'user-agent': 'Mozilla/5.0 (test)',
          ...(cookie !== undefined && { cookie }),
          ...(self.accessToken !== null && { authorization: `Bearer ${self.accessToken}` }),
          ...options.headers
        }
      })
      jar.store(answer.headers['set-cookie'])
      return answer
    },

    signup: async (username, more = {}) => grant(await self.send({ method: 'POST', url: `${prefix}/signup`, payload: { username, password: PASSWORD, ...more } })),
    login: async (username, more = {}) => grant(await self.send({ method: 'POST', url: `${prefix}/login`, payload: { username, password: PASSWORD, ...more } })),
    refresh: async more => grant(await self.send({ method: 'POST', url: `${prefix}/refresh`, ...more })),
    logout: async more => await self.send({ method: 'POST', url: `${prefix}/logout`, ...more }),
    get: async url => await self.send({ method: 'GET', url }),
    cookie: () => jar.value(COOKIE),
    copy: () => openBrowser(app, jar.copy(), prefix)
  }

  function grant (answer: Answer): Answer {
    if (answer.statusCode < 300 && answer.body !== '') self.accessToken = answer.json().access_token
    return answer
  }
  return self
}

/** An app under test, with everything around it under the control of the test. */
export interface TestServer {
  readonly app: FastifyInstance
  readonly clock: TestClock
  readonly wait: TestClock['wait']
  readonly users: UserTable
  /** The session store: its calls, and its planned faults. */
  readonly store: FaultyStore
  /** All events that the app received, in order. */
  readonly events: AuthEvent[]
  browser (): Browser
}

/** An app with the plugin after the additions of `prepare`, protected routes, the additions of `extend`, and its users. */
export async function server (t: Test, options: RefreshCookieOptions = {}, fastifyOptions: FastifyServerOptions = {}, extend: (app: FastifyInstance) => void = () => {}, prepare: (app: FastifyInstance) => void = () => {}): Promise<TestServer> {
  const clock = testClock()
  const users = userTable()
  const store = faultyStore(options.store ?? memoryStore({ clock }))
  const events: AuthEvent[] = []
  const app = Fastify(fastifyOptions)
  prepare(app)
  await app.register(refreshCookie, {
    secret: SECRET,
    clock,
    users,
    passwords: FAST_HASHING,
    // Limits use the machine's clock, in which a test spends a month in a second.
    rateLimit: false,
    onEvent (event) { events.push(event) },
    ...options,
    store
  })
  app.get('/me', { onRequest: app.authenticate }, async request => ({ id: request.auth.claims?.sub }))
  app.get('/maybe', { onRequest: app.authenticateOptional }, async request => ({ id: request.auth.claims?.sub ?? null }))
  app.get('/fresh', { onRequest: app.requireFreshLogin('5m') }, async () => ({}))
  extend(app)
  t.teardown(async () => { await app.close() })
  await app.ready()
  return { app, clock, wait: clock.wait, users, store, events, browser: () => openBrowser(app, cookieJar(clock)) }
}

/** A server with Ada signed up: her browser, with empty lists of calls and events. */
export interface LoggedIn extends TestServer { readonly ada: Browser }

export async function loggedIn (t: Test, options: RefreshCookieOptions = {}, fastifyOptions: FastifyServerOptions = {}, extend?: (app: FastifyInstance) => void): Promise<LoggedIn> {
  const s = await server(t, options, fastifyOptions, extend)
  const ada = s.browser()
  await ada.signup('ada')
  forget(s.store.calls, s.users.calls, s.events)
  return { ...s, ada }
}

/** A thief whose copy of Ada's cookie she has replaced twice, so that its next use is reuse. */
export async function robbed ({ ada, wait }: Pick<LoggedIn, 'ada' | 'wait'>): Promise<Browser> {
  const thief = ada.copy()
  for (let i = 0; i < 2; i++) {
    wait('31s')
    const { statusCode, body } = await ada.refresh()
    if (statusCode !== 200) throw new Error(body)
  }
  return thief
}

/** Empties lists. */
export function forget (...lists: unknown[][]): void {
  for (const list of lists) list.length = 0
}

/** The Set-Cookie lines of a reply. */
export function setCookies ({ headers }: Answer): string[] {
  return [headers['set-cookie'] ?? []].flat()
}

/** The session of a browser's cookie. */
export function sessionOf (browser: Browser): string {
  return String(payloadOf(browser.cookie())['sid'])
}

/** The header of a token, unverified. */
export function joseHeaderOf (token: string | null | undefined): Record<string, unknown> {
  return partOf(token, 0)
}

/** The payload of a token, unverified. */
export function payloadOf (token: string | null | undefined): Record<string, unknown> {
  return partOf(token, 1)
}

function partOf (token: string | null | undefined, nth: number): Record<string, unknown> {
  return JSON.parse(Buffer.from(token?.split('.')[nth] ?? '', 'base64url').toString())
}
