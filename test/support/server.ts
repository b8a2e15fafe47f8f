import Fastify, { type FastifyInstance, type FastifyServerOptions, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import { type Test } from 'tap'
import { parseDuration, type Duration } from '../../lib/core/time.js'
import { cookieJar, type CookieJar } from './cookie-jar.js'
import refreshCookie, { allowWeakHashing, type RefreshCookieOptions, type User, type Users } from '../../lib/index.js'

/** A secret that no rule refuses. */
export const SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

/** Where every test's clock starts: 2026-01-01T00:00:00Z. */
export const START = 1_767_225_600

export const PASSWORD = 'correct horse battery staple'

/** Hashing for tests: a thousandth of the real cost. */
export const FAST_HASHING = { memoryCost: 1024, [allowWeakHashing]: true } as const

/** A clock that moves only when told. */
export interface TestClock {
  (): number
  wait (duration: Duration): void
}

export function testClock (): TestClock {
  let now = START
  const clock = (): number => now
  return Object.assign(clock, {
    wait (duration: Duration) {
      now += parseDuration(duration) ?? Number.NaN
    }
  })
}

/** The app's user table, in memory. */
export interface UserTable extends Required<Users> {
  byName: Map<string, User>
}

export function userTable (): UserTable {
  const byName = new Map<string, User>()
  const byId = (id: string) => [...byName.values()].find(user => String(user.id) === id) ?? null
  return {
    byName,
    findByUsername: async username => byName.get(username) ?? null,
    findById: async sub => byId(sub),
    async create ({ username, passwordHash }) {
      if (byName.has(username)) return null
      const user = { id: byName.size + 1, username, passwordHash }
      byName.set(username, user)
      return user
    },
    async updatePasswordHash (id, newHash, oldHash) {
      const user = byId(String(id))
      if (user?.passwordHash !== oldHash) return false
      byName.set(user.username, { ...user, passwordHash: newHash })
      return true
    }
  }
}

type Answer = LightMyRequestResponse

/** A browser: a cookie jar, the access token that its page holds, and the headers a browser sends. */
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
  /** Another browser with a copy of this one's cookie: a thief's. */
  copy (): Browser
}

const HOST = 'app.example'
const ORIGIN = `https://${HOST}`

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
    cookie: () => jar.value('__Host-Http-refresh'),
    copy: () => openBrowser(app, jar.copy(), prefix)
  }

  function grant (answer: Answer): Answer {
    if (answer.statusCode < 300) self.accessToken = answer.json().access_token
    return answer
  }
  return self
}

export interface TestServer {
  app: FastifyInstance
  clock: TestClock
  wait: TestClock['wait']
  users: UserTable
  browser: () => Browser
}

/** An app with our plugin, a route that needs a login, and the people who use it. */
export async function server (t: Test, options: RefreshCookieOptions = {}, fastifyOptions: FastifyServerOptions = {}): Promise<TestServer> {
  const clock = testClock()
  const users = userTable()
  const app = Fastify(fastifyOptions)
  await app.register(refreshCookie, { secret: SECRET, clock, users, passwords: FAST_HASHING, ...options })
  app.get('/me', { onRequest: app.authenticate }, async request => ({ id: request.auth.claims?.sub }))
  app.get('/maybe', { onRequest: app.authenticateOptional }, async request => ({ id: request.auth.claims?.sub ?? null }))
  t.teardown(async () => { await app.close() })
  await app.ready()
  return { app, clock, wait: clock.wait, users, browser: () => openBrowser(app, cookieJar(clock)) }
}
