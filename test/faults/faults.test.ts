import { mock } from 'node:test'
import t from 'tap'
import { AuthError, memoryStore, type RefreshCookieOptions, type SessionStore, type Users } from '../../lib/index.js'
import { type Fault, FAULTS } from '../support/faulty-store.js'
import { settled } from '../support/settled.js'
import { COOKIE, FAST_HASHING, forget, loggedIn, server, sessionOf, setCookies, testClock, userTable, type Answer, type Browser, type LoggedIn } from '../support/server.js'

const UNAVAILABLE = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }

/** Text that no reply may contain. */
const SECRET_TEXT = 'password=hunter2 host=db1'

mock.timers.enable({ apis: ['setTimeout'] })
t.teardown(() => mock.timers.reset())

/** A request, its preparation, and its status without faults. */
interface Situation {
  readonly status: number
  prepare? (s: LoggedIn): Promise<void> | void
  request (s: LoggedIn): Promise<Answer>
  /** The number of its calls after the reply, which test/http/after-response.test.ts covers. */
  readonly late?: number
}

const SITUATIONS: Record<string, Situation> = {
  'a first login': { status: 200, request: async ({ browser }) => await browser().login('ada') },
  'a login in a browser that was logged in': { status: 200, request: async ({ ada }) => await ada.login('ada'), late: 1 },
  'a refresh with a young cookie': { status: 200, request: async ({ ada }) => await ada.refresh() },
  'a refresh that rotates': { status: 200, prepare: ({ wait }) => wait('30s'), request: async ({ ada }) => await ada.refresh() },
  'a refresh after a lost reply': {
    status: 200,
    async prepare ({ ada, wait }) {
      wait('30s')
      await ada.copy().refresh()
      wait('5m')
    },
    request: async ({ ada }) => await ada.refresh()
  },
  'a logout': { status: 204, request: async ({ ada }) => await ada.logout() },
  'ending another session': {
    status: 204,
    async prepare ({ browser }) { await browser().login('ada') },
    async request ({ app, ada }) {
      const other = (await app.sessions.list('1')).find(({ id }) => id !== sessionOf(ada))
      return await ada.send({ method: 'DELETE', url: `/auth/sessions/${other?.id}` })
    }
  },
  'ending all other sessions': { status: 204, request: async ({ ada }) => await ada.send({ method: 'DELETE', url: '/auth/sessions' }) }
}

for (const [which, { status, prepare, request, late = 0 }] of Object.entries(SITUATIONS)) {
  t.test(`a store that fails or hangs at any call of ${which} is a 503 that keeps the cookie, and a retry succeeds`, async t => {
    const start = async (): Promise<LoggedIn> => {
      const s = await loggedIn(t)
      await prepare?.(s)
      forget(s.store.calls)
      return s
    }
    const clean = await start()
    t.equal((await request(clean)).statusCode, status)
    const calls = clean.store.calls.slice(0, clean.store.calls.length - late)
    t.ok(calls.length > 0)

    for (const [nth, call] of calls.entries()) {
      for (const fault of FAULTS) {
        const title = `${call} ${nth}, ${fault.moment}, ${fault.kind}`
        const s = await start()
        const held = s.ada.cookie()
        const attempts = call === 'revokeAll' ? 3 : 1
        s.store.faults.push(...Array<null>(nth).fill(null), ...Array<Fault>(attempts).fill(fault))
        const answer = await settled(request(s))
        t.match(answer.json(), UNAVAILABLE, title)
        t.match(answer.headers, { 'retry-after': /^[2-5]$/, 'set-cookie': undefined, 'cache-control': 'no-store' })
        t.equal(s.ada.cookie(), held)

        const again = await request(s)
        // A session that ended while the subscription was down is unknown the second time.
        const endedBefore = which === 'ending another session' && call === 'revoke' && fault.moment === 'after'
        t.equal(again.statusCode, endedBefore ? 404 : status, `${title}, again`)
      }
    }
  })
}

t.test('a store outage logs nobody out, and access tokens stay valid', async t => {
  const { ada, wait, store } = await loggedIn(t)
  wait('30s')
  for (let i = 0; i < 20; i++) {
    store.faults.push({ moment: 'before', kind: 'throw' })
    t.match((await ada.refresh()).json(), UNAVAILABLE)
    t.match(await ada.get('/me'), { statusCode: 200 })
  }
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('lost reply of a commit: the next try finds it, and everybody gets the same successor', async t => {
  for (const kind of ['throw', 'hang'] as const) {
    const { ada, wait, store } = await loggedIn(t)
    wait('30s')
    const tab = ada.copy()
    store.faults.push({ moment: 'after', kind, call: 'advance' })
    t.match((await settled(ada.refresh())).json(), UNAVAILABLE)
    for (const browser of [ada, tab]) t.match(await browser.refresh(), { statusCode: 200 })
    t.equal(ada.cookie(), tab.cookie())
    t.match(await store.get(sessionOf(ada)), { generation: 1 })
  }
})

t.test('a store that loses every compare-and-set is busy, and nobody is logged out', async t => {
  const store = memoryStore({ clock: testClock() })
  const { ada, wait } = await loggedIn(t, { store: { ...store, advance: async () => null } })
  wait('30s')
  const answer = await ada.refresh()
  t.match(answer.json(), { statusCode: 503, code: 'FST_AUTH_BUSY' })
  t.match(answer.headers, { 'retry-after': /^\d$/, 'set-cookie': undefined })
})

/** Values that a store may throw. */
const THROWN: unknown[] = [
  new Error(SECRET_TEXT), SECRET_TEXT, undefined, null, 0, Symbol(SECRET_TEXT), { message: SECRET_TEXT, statusCode: 404 },
  Object.assign(new Error(SECRET_TEXT), { statusCode: 401, code: 'ECONNREFUSED' }), new TypeError(SECRET_TEXT),
  new AuthError('FST_AUTH_SESSION_ENDED'), new AuthError('FST_AUTH_REFRESH_TOKEN_REUSED')
]

t.test('information leak: any error of a store is a 503, never "no such session", and is not sent', async t => {
  let thrown: unknown
  const { ada, app } = await loggedIn(t, { store: failingStore(() => { throw thrown }), sessions: { maxPerUser: false } })
  for (thrown of THROWN) {
    const requests: Array<() => Promise<Answer>> = [
      () => ada.refresh(),
      () => ada.logout(),
      () => ada.get('/auth/sessions'),
      () => ada.send({ method: 'DELETE', url: '/auth/sessions' }),
      () => ada.send({ method: 'DELETE', url: '/auth/sessions/x' })
    ]
    for (const request of requests) {
      const answer = await request()
      t.match(answer.json(), UNAVAILABLE)
      t.notMatch(JSON.stringify([answer.headers, answer.body]), /hunter2|db1/)
      t.strictSame(setCookies(answer), [])
    }
    await t.rejects(app.sessions.list('1'), UNAVAILABLE)
  }
})

t.test('all calls of one request share its deadline, and time between them does not count', async t => {
  const table = userTable()
  const now = performance.now.bind(performance)
  let passed = 0
  let slow = 0
  t.intercept(performance, 'now', { value: () => now() + passed })
  const findByUsername = async (username: string) => {
    passed += slow
    return await table.findByUsername(username)
  }
  const { ada, store } = await loggedIn(t, { users: { ...table, findByUsername } })
  slow = 3000
  t.match((await ada.login('ada')).json(), UNAVAILABLE)
  t.strictSame(store.calls, [], 'no call starts without a caller')
  slow = 1000
  t.equal((await ada.login('ada')).statusCode, 200)
})

t.test('a login that fails after its session is stored revokes it, also after the deadline', async t => {
  const table = userTable()
  const now = performance.now.bind(performance)
  let passed = 0
  let calls = 0
  t.intercept(performance, 'now', { value: () => now() + passed })
  const findByUsername = async (username: string) => {
    if (++calls === 2) passed += 3000 // the one that asks whether the password is still right
    return await table.findByUsername(username)
  }
  const { app, browser, store } = await loggedIn(t, { users: { ...table, findByUsername }, sessions: { maxPerUser: 5 } })
  t.match((await browser().login('ada')).json(), UNAVAILABLE)
  t.strictSame(store.calls, ['create', 'revoke'])
  t.equal((await app.sessions.list('1')).length, 1, 'the same one')
})

/** App callbacks that fail. */
const FAILURES: Record<string, () => never | Promise<never>> = {
  throws () { throw new Error(SECRET_TEXT) },
  async rejects () { throw new Error(SECRET_TEXT) },
  hangs: () => new Promise<never>(() => {}),
  async 'throws a refusal' () { throw new AuthError('FST_AUTH_USER_REFUSED') },
  async 'throws no error' () { throw SECRET_TEXT }
}

/** Callbacks, and requests that need them. */
const CALLBACKS: Array<{ callback: string, fails: (s: Switch, fail: () => never | Promise<never>) => void, request: (ada: Browser) => Promise<Answer> }> = [
  { callback: 'users.findByUsername at login', fails: (on, fail) => { on.users.findByUsername = fail }, request: async ada => await ada.login('ada') },
  { callback: 'accessToken.claims at login', fails: (on, fail) => { on.claims = fail }, request: async ada => await ada.login('ada') },
  { callback: 'users.findById at refresh', fails: (on, fail) => { on.users.findById = fail }, request: async ada => await ada.refresh() },
  { callback: 'accessToken.claims at refresh', fails: (on, fail) => { on.claims = fail }, request: async ada => await ada.refresh() },
  { callback: 'passwords.check at signup', fails: (on, fail) => { on.check = fail }, request: async ada => await ada.signup('bob') },
  { callback: 'users.create at signup', fails: (on, fail) => { on.users.create = fail }, request: async ada => await ada.signup('bob') }
]

for (const { callback, fails, request } of CALLBACKS) {
  t.test(`if ${callback} fails, nothing is written and the session is unchanged`, async t => {
    for (const [how, fail] of Object.entries(FAILURES)) {
      const { on, ada, store, wait } = await switchable(t)
      wait('30s')
      const row = await store.get(sessionOf(ada))
      forget(store.calls)
      fails(on, fail)
      const answer = await settled(request(ada))
      t.match(answer.json(), UNAVAILABLE, how)
      t.match(answer.headers, { 'retry-after': /^[2-5]$/, 'set-cookie': undefined })
      t.notMatch(answer.body, /hunter2|db1/)
      t.strictSame(store.calls, [])

      on.reset()
      t.equal(await store.get(sessionOf(ada)), row)
      t.match(await ada.refresh(), { statusCode: 200 })
      t.ok((await request(ada)).statusCode < 300)
    }
  })
}

t.test('a rehash that cannot be written refuses nobody', async t => {
  for (const fail of [...Object.values(FAILURES), async () => false, async () => undefined as never]) {
    const { browser, users } = await server(t, { passwords: { ...FAST_HASHING, timeCost: 1 } })
    await browser().signup('ada')
    const stronger = await server(t, { users: { ...users, updatePasswordHash: fail } })
    t.match(await settled(stronger.browser().login('ada')), { statusCode: 200 })
  }
})

t.test('a lookup that returns undefined found no user', async t => {
  const nothing = async () => undefined as never // as apps without types give `rows[0]`
  const { on, ada } = await switchable(t)
  on.users = { ...on.users, findByUsername: nothing }
  t.match((await ada.login('ada')).json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.match(await ada.refresh(), { statusCode: 200 })
  on.users.findById = nothing
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
})

t.test('invalid app claims change nothing', async t => {
  for (const claims of [undefined, null, 'admin', ['admin'], { big: 1n }, { large: 'x'.repeat(4086) }]) {
    const { on, ada, store, wait } = await switchable(t)
    wait('30s')
    const row = await store.get(sessionOf(ada))
    on.claims = () => claims as never // as apps without types give
    t.match((await ada.refresh()).json(), { statusCode: 500 }, 'a bug of the app, which no retry mends')
    t.equal(await store.get(sessionOf(ada)), row)
  }
})

t.test('an onEvent that fails changes nothing', async t => {
  const listeners: Array<NonNullable<RefreshCookieOptions['onEvent']>> = [
    () => { throw new Error(SECRET_TEXT) },
    async () => { throw new Error(SECRET_TEXT) },
    () => new Promise(() => {}),
    () => 5 as never, // as apps without types give
    () => ({ then () {} }) as never // the same
  ]
  for (const onEvent of listeners) {
    const { browser, wait } = await server(t, { onEvent })
    const [ada, thief] = [browser(), browser()]
    t.match(await ada.signup('ada'), { statusCode: 201 })
    t.match(await ada.login('ada'), { statusCode: 200 })
    t.match(await ada.login('ada', { password: 'wrong password' }), { statusCode: 401 })
    thief.jar.store(`${COOKIE}=${ada.cookie()}; Path=/; Secure; HttpOnly`)
    for (let i = 0; i < 2; i++) {
      wait('30s')
      t.match(await ada.refresh(), { statusCode: 200 })
    }
    t.match((await thief.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
    t.match(await ada.logout(), { statusCode: 204 })
    t.match(await ada.login('ada', { remember: 'x' }), { statusCode: 400 })
  }
})

const BUG = { statusCode: 500, error: 'Internal Server Error', message: 'Internal Server Error' }

t.test('information leak: an unexpected error is an opaque 500', async t => {
  const time = testClock()
  let broken = false
  const clock = (): number => {
    if (broken) throw Object.assign(new Error(SECRET_TEXT), { code: 'SECRET', headers: { 'x-secret': SECRET_TEXT } })
    return time()
  }
  const { ada } = await loggedIn(t, { clock, store: memoryStore({ clock: time }) })
  broken = true
  const requests: Array<() => Promise<Answer>> = [
    () => ada.login('ada'),
    () => ada.signup('bob'),
    () => ada.refresh(),
    () => ada.get('/auth/sessions'),
    () => ada.send({ method: 'DELETE', url: '/auth/sessions' })
  ]
  for (const request of requests) {
    const answer = await request()
    t.strictSame(answer.json(), BUG)
    t.match(answer.headers, { 'cache-control': 'no-store', 'set-cookie': undefined, 'x-secret': undefined })
  }
  broken = false
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('users without an id are a bug, and nobody is logged in', async t => {
  for (const id of ['', null, undefined, {}, NaN, true]) {
    const users = userTable()
    const { browser } = await server(t, { users })
    await browser().signup('ada')
    users.change('ada', { id: id as never }) // as apps without types give
    const answer = await browser().login('ada')
    t.match(answer.json(), BUG)
    t.strictSame(setCookies(answer), [])
  }
})

t.test('information leak: a failing hook of the app on the plugin\'s routes is an opaque 500', async t => {
  const hooks = ['onRequest', 'preValidation', 'preHandler', 'preSerialization'] as const
  for (const name of hooks) {
    let failure: Error | null = null
    const { ada } = await loggedIn(t, {}, {}, app => {
      app.addHook(name, async () => {
        if (failure !== null) throw failure
      })
    })
    for (const statusCode of [undefined, 200, 302, 500, 503, 599, 700]) {
      failure = Object.assign(new Error(SECRET_TEXT), { statusCode })
      const answer = await ada.refresh()
      t.match(answer, { statusCode: statusCode === 503 ? 503 : 500 }, `${name} ${statusCode}`)
      t.notMatch(answer.body, /hunter2|db1/)
    }
  }
})

t.test('a rotation that was written reaches the browser even if the app fails to respond', async t => {
  for (const name of ['preSerialization', 'onSend'] as const) {
    let broken = false
    const { ada, wait } = await loggedIn(t, { refreshToken: { recoverLostReply: false } }, {}, app => {
      app.addHook(name, async () => {
        if (broken) throw new Error(SECRET_TEXT)
      })
    })
    wait('30s')
    broken = true
    const answer = await ada.refresh()
    t.strictSame([answer.statusCode, setCookies(answer).length], [500, 1])
    broken = false
    wait('30s')
    t.match(await ada.refresh(), { statusCode: 200 })
  }
})

/** A request of every kind, with its status. */
const REPLIES: Array<[status: number, request: (s: LoggedIn) => Promise<Answer>]> = [
  [201, async ({ ada }) => await ada.signup('bob')],
  [200, async ({ ada }) => await ada.login('ada')],
  [200, async ({ ada }) => await ada.refresh()],
  [200, async ({ ada }) => await ada.get('/auth/sessions')],
  [204, async ({ ada }) => await ada.send({ method: 'DELETE', url: '/auth/sessions' })],
  [204, async ({ ada }) => await ada.logout()],
  [400, async ({ ada }) => await ada.login('ada', { admin: true })],
  [400, async ({ ada }) => await ada.signup('bob', { password: 'short' })],
  [400, async ({ ada }) => await ada.refresh({ headers: { 'content-type': 'application/json' }, payload: '{' })],
  [400, async ({ ada }) => await ada.send({ method: 'POST', url: '/auth/login', headers: { 'content-type': 'application/json' }, payload: '{"__proto__":1}' })],
  [401, async ({ ada }) => await ada.login('nobody')],
  [401, async ({ browser }) => await browser().refresh()],
  [401, async ({ ada }) => await ada.refresh({ headers: { cookie: `${COOKIE}=garbage` } })],
  [401, async ({ browser }) => await browser().get('/auth/sessions')],
  [401, async ({ ada }) => await ada.send({ method: 'GET', url: '/auth/sessions', headers: { authorization: 'Bearer garbage' } })],
  [403, async ({ ada }) => await ada.refresh({ headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } })],
  [404, async ({ ada }) => await ada.send({ method: 'DELETE', url: '/auth/sessions/unknown' })],
  [409, async ({ ada }) => await ada.signup('ada')],
  [413, async ({ ada }) => await ada.login('a'.repeat(17 * 1024))],
  [415, async ({ ada }) => await ada.refresh({ headers: { 'content-type': 'text/plain' }, payload: 'x' })],
  [503, async ({ ada, store }) => { store.faults.push({ moment: 'before', kind: 'throw' }); return await ada.refresh() }]
]

t.test('no response is cached or sniffed, and every 401 has a challenge', async t => {
  for (const [status, request] of REPLIES) {
    const answer = await request(await loggedIn(t))
    t.equal(answer.statusCode, status)
    t.match(answer.headers, { 'cache-control': 'no-store', pragma: 'no-cache', 'x-content-type-options': 'nosniff' }, `${status}`)
    t.equal(/^Bearer /.test(String(answer.headers['www-authenticate'])), status === 401)
    if (answer.body !== '') t.match(answer.headers, { 'content-type': /^application\/json/ })
  }
})

t.test('the challenge names the error of a token, and none for a missing token', async t => {
  const { ada, browser, wait } = await loggedIn(t)
  const without = [await browser().refresh(), await browser().get('/me'), await browser().get('/auth/sessions'), await browser().login('nobody')]
  for (const { headers } of without) t.equal(headers['www-authenticate'], 'Bearer realm="api"')
  wait('10m')
  t.equal((await ada.refresh({ headers: { cookie: `${COOKIE}=x` } })).headers['www-authenticate'], 'Bearer realm="api"', 'which is no access token')
  const withBadOnes = [await ada.get('/me'), await ada.get('/maybe'), await ada.get('/auth/sessions')]
  for (const { headers } of withBadOnes) t.equal(headers['www-authenticate'], 'Bearer realm="api", error="invalid_token"')
})

/** A store that accepts logins, and fails all other calls. */
function failingStore (fail: () => never): SessionStore {
  const { create } = memoryStore()
  return { create, get: async () => fail(), advance: async () => fail(), revoke: async () => fail(), revokeAll: async () => fail(), list: async () => fail() }
}

/** Callbacks that a test can change while the app runs. */
interface Switch {
  users: Required<Users>
  claims: () => Record<string, unknown> | Promise<Record<string, unknown>>
  check: () => boolean | Promise<boolean>
  reset (): void
}

async function switchable (test: Parameters<typeof loggedIn>[0]): Promise<LoggedIn & { on: Switch }> {
  const table = userTable()
  const on: Switch = {
    users: table,
    claims: () => ({}),
    check: () => true,
    reset () {
      on.users = { ...table }
      on.claims = () => ({})
      on.check = () => true
    }
  }
  on.reset()
  const users: Users = {
    findByUsername: name => on.users.findByUsername(name),
    findById: sub => on.users.findById(sub),
    create: user => on.users.create(user),
    updatePasswordHash: (id, newHash, oldHash) => on.users.updatePasswordHash(id, newHash, oldHash)
  }
  const s = await loggedIn(test, { users, accessToken: { claims: () => on.claims() }, passwords: { ...FAST_HASHING, check: () => on.check() } })
  return { ...s, on }
}
