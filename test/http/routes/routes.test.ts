import fastifyAuth from '@fastify/auth'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { statelessStore, type RefreshCookieOptions } from '../../../lib/index.js'
import { cookieJar } from '../../support/cookie-jar.js'
import { FAST_HASHING, openBrowser, PASSWORD, SECRET, server, testClock, userTable, type Browser } from '../../support/server.js'

/** Every route by its name: its method and URL, and the statuses for a logged-in user. */
const ROUTES: Readonly<Record<string, ReadonlyArray<readonly [method: 'GET' | 'POST' | 'DELETE', path: string, payload: object | undefined, status: number]>>> = {
  signup: [['POST', '/signup', { username: 'bob', password: PASSWORD }, 201]],
  login: [['POST', '/login', { username: 'ada', password: PASSWORD }, 200]],
  refresh: [['POST', '/refresh', undefined, 200]],
  sessions: [['GET', '/sessions', undefined, 200], ['DELETE', '/sessions/x', undefined, 404], ['DELETE', '/sessions', undefined, 204]],
  reauthenticate: [['POST', '/reauthenticate', { password: PASSWORD }, 200]],
  password: [['POST', '/password', { currentPassword: PASSWORD, newPassword: 'another good password' }, 200]],
  verify: [['POST', '/verify', { token: 'x.y.z' }, 401]],
  logout: [['POST', '/logout', undefined, 204]]
}

const ALL = Object.values(ROUTES).flat()
const OWN = 'NOT FOUND'

/** Ada at a server with all routes; it distinguishes missing routes from missing sessions. */
async function adaAt (t: Test, routes: RefreshCookieOptions['routes'] = {}): Promise<Browser> {
  const { browser } = await server(t, { routes: { verify: '/verify', ...routes } }, {}, app => { app.setNotFoundHandler((_request, reply) => { reply.code(404).send(OWN) }) })
  const ada = browser()
  await ada.signup('ada')
  return ada
}

/** The status of a route; null if it does not exist. */
async function called (browser: Browser, method: 'GET' | 'POST' | 'DELETE', url: string, payload: object | undefined): Promise<number | null> {
  const answer = await browser.send({ method, url, ...(payload && { payload }) })
  return answer.body === OWN ? null : answer.statusCode
}

t.test('every route has its documented path', async t => {
  const ada = await adaAt(t)
  for (const [method, path, payload, status] of ALL) t.equal(await called(ada, method, `/auth${path}`, payload), status, `${method} ${path}`)
})

for (const name of Object.keys(ROUTES).filter(name => name !== 'login' && name !== 'signup')) {
  t.test(`${name} can be renamed`, async t => {
    const ada = await adaAt(t, { [name]: `/else/${name}` })
    for (const [method, path, payload, status] of ROUTES[name] ?? []) {
      t.equal(await called(ada, method, `/auth${path}`, payload), null, `${method} ${path} is no longer there`)
      t.equal(await called(ada, method, `/auth/else${path}`, payload), status, `${method} /else${path}`)
    }
  })

  t.test(`${name} can be switched off, and the others stay`, async t => {
    const ada = await adaAt(t, { [name]: false })
    for (const [method, path, payload] of ALL) {
      t.equal(await called(ada, method, `/auth${path}`, payload) === null, ROUTES[name]?.some(([, its]) => its === path), `${method} ${path}`)
    }
  })
}

t.test('login and signup can be renamed or switched off', async t => {
  const { app } = await server(t, { routes: { signup: '/people', login: '/token/new' } })
  t.match(await app.inject({ method: 'POST', url: '/auth/people', payload: { username: 'ada', password: PASSWORD } }), { statusCode: 201 })
  t.match(await app.inject({ method: 'POST', url: '/auth/token/new', payload: { username: 'ada', password: PASSWORD } }), { statusCode: 200 })
  const off = await server(t, { routes: { signup: false, login: false } })
  for (const path of ['signup', 'login', 'people']) t.match(await off.app.inject({ method: 'POST', url: `/auth/${path}`, payload: {} }), { statusCode: 404 })
})

t.test('a route exists only if "users" has the functions that it needs', async t => {
  const { findByUsername, findById, create, updatePasswordHash } = userTable()
  const cases: ReadonlyArray<readonly [users: RefreshCookieOptions['users'], routes: readonly string[]]> = [
    [{}, []],
    [{ create }, ['signup']],
    [{ findByUsername }, ['login']],
    [{ findById }, ['reauthenticate']],
    [{ updatePasswordHash }, []],
    [{ findById, updatePasswordHash }, ['reauthenticate', 'password']],
    [{ findByUsername, create, updatePasswordHash }, ['signup', 'login']]
  ]
  for (const [users, routes] of cases) {
    const { app } = await server(t, { users })
    t.strictSame(['signup', 'login', 'reauthenticate', 'password'].filter(name => app.hasRoute({ method: 'POST', url: `/auth/${name}` })), routes)
  }
})

t.test('the log names the functions that "users" lacks for a route', async t => {
  const { findByUsername, findById } = userTable()
  const missingOf = async (options: RefreshCookieOptions): Promise<unknown[]> => {
    const lines: Array<{ missing?: unknown }> = []
    const app = Fastify({ logger: { stream: { write (line: string) { lines.push(JSON.parse(line)) } } } })
    t.teardown(async () => { await app.close() })
    await app.register(refreshCookie, { secret: SECRET, ...options })
    return lines.flatMap(({ missing }) => missing ?? [])
  }
  t.strictSame(await missingOf({ users: { findByUsername, findById } }), [{ signup: ['create'], password: ['updatePasswordHash'] }])
  t.strictSame(await missingOf({ users: { findByUsername, findById }, routes: { signup: false }, store: statelessStore() }), [], 'routes that are off, or need another store')
  t.strictSame(await missingOf({}), [], 'an app without "users" logs in by itself')
})

t.test('without any route the app has only hooks and request.auth', async t => {
  const routes = Object.fromEntries(Object.keys(ROUTES).map(name => [name, false]))
  const { app } = await server(t, { routes, users: {} }, {}, app => { app.post('/enter', async ({ auth }) => await auth.login('7')) })
  t.equal(app.printRoutes().includes('auth'), false)
  const { access_token: token } = (await app.inject({ method: 'POST', url: '/enter' })).json()
  t.strictSame((await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).json(), { id: '7' })
})

/** Ways to protect a whole app. */
const PROTECTED: Readonly<Record<string, (app: FastifyInstance, options: RefreshCookieOptions) => unknown>> = {
  async 'by a hook' (app, options) {
    await app.register(refreshCookie, options)
    app.addHook('onRequest', app.authenticate)
    rest(app)
  },
  async 'by a hook that asks the store' (app, options) {
    await app.register(refreshCookie, options)
    app.addHook('onRequest', app.authenticateStrict)
    rest(app)
  },
  async 'by a hook that wants a fresh login' (app, options) {
    await app.register(refreshCookie, options)
    app.addHook('preHandler', app.requireFreshLogin('1d'))
    rest(app)
  },
  async 'by @fastify/auth' (app, options) {
    await app.register(fastifyAuth)
    await app.register(refreshCookie, options)
    app.addHook('onRequest', app.auth([app.authenticate]))
    rest(app)
  },
  async 'by a hook that comes before us' (app, options) {
    app.addHook('preValidation', (request, reply, done) => app.authenticate(request, reply, done))
    await app.register(refreshCookie, options)
    rest(app)
  },
  'by a hook, without waiting for us' (app, options) {
    app.register(refreshCookie, options)
    app.after(() => {
      app.addHook('onRequest', app.authenticate)
      rest(app)
    })
  },
  async 'by a hook with a list of routes that are open' (app, options) {
    await app.register(refreshCookie, options)
    const open = new Set(['/open'])
    app.addHook('onRequest', (request, reply, done) => {
      if (open.has(request.routeOptions.url ?? '')) done()
      else app.authenticate(request, reply, done)
    })
    app.get('/open', async () => 'open')
    rest(app)
  }
}

function rest (app: FastifyInstance): void {
  app.get('/orders', async ({ auth }) => ({ of: auth.claims.sub }))
  app.register(async inner => { inner.get('/inner', async ({ auth }) => ({ of: auth.claims.sub })) })
}

async function appOf (t: Test, build: (app: FastifyInstance, options: RefreshCookieOptions) => unknown) {
  const clock = testClock()
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await build(app, { secret: SECRET, users: userTable(), clock, passwords: FAST_HASHING })
  await app.ready()
  return { app, wait: clock.wait, ada: openBrowser(app, cookieJar(clock)) }
}

for (const [how, build] of Object.entries(PROTECTED)) {
  t.test(`an app that is protected ${how} exempts the plugin's routes`, async t => {
    const { app, ada, wait } = await appOf(t, build)
    for (const path of ['/orders', '/inner', '/auth/sessions']) t.match(await ada.get(path), { statusCode: 401, headers: { 'www-authenticate': String } }, path)
    t.match(await ada.signup('ada'), { statusCode: 201 })
    for (const path of ['/orders', '/inner']) t.strictSame((await ada.get(path)).json(), { of: '1' })
    t.match(await ada.get('/auth/sessions'), { statusCode: 200 })
    wait('11m')
    t.match((await ada.get('/orders')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
    t.match((await ada.get('/auth/sessions')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
    t.match(await ada.refresh(), { statusCode: 200 }, 'although the page still sends its expired access token')
    t.match(await ada.logout(), { statusCode: 204, headers: { 'www-authenticate': undefined } })
    ada.accessToken = 'x.y.z'
    t.match(await ada.login('ada'), { statusCode: 200 })
    if (app.hasRoute({ method: 'GET', url: '/open' })) t.match(await app.inject('/open'), { statusCode: 200 })
  })
}

t.test('the hook of a whole app exempts the routes of a second registration', async t => {
  const { app } = await appOf(t, async (app, options) => {
    await app.register(refreshCookie, options)
    app.addHook('onRequest', app.authenticate)
    app.register(async scope => { await scope.register(refreshCookie, { ...options, prefix: '/staff' }) })
  })
  const grace = openBrowser(app, cookieJar(testClock()), '/staff')
  t.match(await grace.signup('grace'), { statusCode: 201 })
  t.match(await grace.refresh(), { statusCode: 200 })
  t.match(await grace.get('/staff/sessions'), { statusCode: 200 })
  grace.accessToken = null
  t.match(await grace.get('/staff/sessions'), { statusCode: 401 }, 'which authenticate by themselves')
})

t.test('broken access control: an unknown URL needs an access token too', async t => {
  const { ada } = await appOf(t, async (app, options) => {
    await app.register(refreshCookie, options)
    app.addHook('onRequest', app.authenticate)
  })
  t.match(await ada.get('/nowhere'), { statusCode: 401 })
  await ada.signup('ada')
  t.match(await ada.get('/nowhere'), { statusCode: 404 })
})

t.test('a registration in a protected context is protected like the rest of it', async t => {
  const { ada, app } = await appOf(t, async (app, options) => {
    await app.register(refreshCookie, options)
    await app.register(async inner => {
      inner.addHook('onRequest', app.authenticate)
      await inner.register(refreshCookie, { ...options, prefix: '/inner' })
    })
  })
  t.match(await app.inject({ method: 'POST', url: '/inner/login', payload: { username: 'ada', password: PASSWORD } }), { statusCode: 401 })
  t.match(await ada.signup('ada'), { statusCode: 201 })
  t.match(await ada.send({ method: 'POST', url: '/inner/login', payload: { username: 'ada', password: PASSWORD } }), { statusCode: 200 })
})
