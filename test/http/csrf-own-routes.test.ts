import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticate, refuseCrossSite, type AuthenticateHook, type RefreshCookieOptions } from '../../lib/index.js'
import verifier from '../../lib/verifier.js'
import { exactly } from '../support/exactly.js'
import { generateKey } from '../support/keys.js'
import { forget, HOST, loggedIn, ORIGIN, PASSWORD, SECRET, setCookies, type LoggedIn } from '../support/server.js'

const REFUSED = { statusCode: 403, code: 'FST_AUTH_CROSS_SITE' }
const TRUSTED = 'https://admin.example'

type Headers = Record<string, string>

/** Requests of other sites' pages, as browsers send them: forms, fetches and links. */
const FOREIGN: readonly Headers[] = [
  { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
  { 'sec-fetch-site': 'cross-site', origin: `http://${HOST}` },
  { 'sec-fetch-site': 'cross-site', origin: 'null' },
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site', origin: 'https://blog.app.example' },
  { 'sec-fetch-site': 'same-site' },
  { 'sec-fetch-site': 'none', origin: 'chrome-extension://evil' },
  { origin: 'https://evil.example' },
  { origin: 'null' }
]

/** Requests of the app's own pages, of the user and of programs. */
const OWN: readonly Headers[] = [
  { 'sec-fetch-site': 'same-origin', origin: ORIGIN },
  { 'sec-fetch-site': 'same-origin' },
  { origin: ORIGIN },
  { 'sec-fetch-site': 'cross-site', origin: TRUSTED },
  { 'sec-fetch-site': 'none' },
  {}
]

/** One route for each verb, by every method that a page of another site can send. */
function ownRoutes (app: FastifyInstance, config: { crossSite?: boolean } = {}): void {
  for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
    app.route({ method, url: '/login', config, handler: async ({ auth }) => await auth.login('1') })
    app.route({ method, url: '/verify', config, handler: async ({ auth }) => await auth.verifyPassword({ username: 'ada', password: PASSWORD }) })
    app.route({ method, url: '/refresh', config, handler: async ({ auth }) => await auth.refresh() })
    app.route({ method, url: '/logout', config, handler: async ({ auth }) => { await auth.logout(); return {} } })
  }
}

t.test('a callback without crossSite is refused with the option that accepts it', async t => {
  const s = await served(t)
  const opened = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  t.match((await s.send('/login', 'GET', opened)).json(), { ...REFUSED, message: /config: \{ crossSite: true \}$/ })
  t.match((await s.send('/auth/login', 'POST', opened)).json(), { ...REFUSED, message: /trustedOrigins/ })
  t.match((await s.send('/login', 'GET', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' })).json(), { ...REFUSED, message: /trustedOrigins/ })
})

async function served (t: Test, options: RefreshCookieOptions = {}, extend: (app: FastifyInstance) => void = ownRoutes): Promise<LoggedIn & { send (url: string, method: string, headers: Headers): ReturnType<LoggedIn['ada']['send']> }> {
  const s = await loggedIn(t, { trustedOrigins: [TRUSTED], ...options }, {}, extend)
  return {
    ...s,
    send: async (url, method, headers) => await s.app.inject({
      url,
      method: method as NonNullable<InjectOptions['method']>,
      headers: { host: HOST, cookie: String(s.ada.jar.header('/auth')), ...headers }
    })
  }
}

for (const verb of ['login', 'verify', 'refresh', 'logout']) {
  t.test(`CSRF: ${verb} in a route of the app refuses other sites, whatever the method, without an effect`, async t => {
    const s = await served(t)
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']) {
      s.wait('1s') // events are limited per second
      forget(s.events, s.store.calls, s.users.calls)
      for (const headers of FOREIGN) {
        const answer = await s.send(`/${verb}`, method, headers)
        t.equal(answer.statusCode, 403, `${method} ${JSON.stringify(headers)}`)
        if (method !== 'HEAD') t.match(answer.json(), REFUSED)
        t.strictSame(setCookies(answer), [])
      }
      t.strictSame([...s.store.calls, ...s.users.calls], [])
      t.strictSame(s.events.map(({ type }) => type), FOREIGN.map(() => 'cross_site_refused'))
    }
  })

  t.test(`CSRF: ${verb} in a route of the app accepts its own pages, trusted origins, the address bar and programs`, async t => {
    for (const method of ['GET', 'POST']) {
      for (const headers of OWN) {
        const s = await served(t)
        t.match(await s.send(`/${verb}`, method, headers), { statusCode: 200 }, `${method} ${JSON.stringify(headers)}`)
      }
    }
  })

  t.test(`CSRF: ${verb} works from any site in a route with crossSite`, async t => {
    for (const headers of FOREIGN) {
      const s = await served(t, {}, app => ownRoutes(app, { crossSite: true }))
      t.match(await s.send(`/${verb}`, 'GET', headers), { statusCode: 200 }, JSON.stringify(headers))
    }
    const s = await served(t, {}, app => ownRoutes(app, { crossSite: false }))
    t.match((await s.send(`/${verb}`, 'GET', FOREIGN[0] ?? {})).json(), REFUSED)
  })
}

t.test('login CSRF: an attacker cannot log a visitor in to their own account by a link, an image or a form', async t => {
  const s = await served(t, {}, app => {
    app.get<{ Querystring: { token: string } }>('/magic', async ({ auth, query }) => query.token === 'of mallory' ? await auth.login('1') : {})
  })
  for (const headers of FOREIGN) t.strictSame(setCookies(await s.send('/magic?token=of+mallory', 'GET', headers)), [])
})

t.test('CSRF: with a SameSite=None cookie a program must send Origin, the address bar need not', async t => {
  const s = await served(t, { cookie: { sameSite: 'none' } })
  t.match((await s.send('/refresh', 'POST', {})).json(), { ...REFUSED, message: /^This request has no Origin header/ })
  t.match(await s.send('/refresh', 'GET', { 'sec-fetch-site': 'none' }), { statusCode: 200 })
})

t.test('a refusal that the app catches is one event, and sets no header of a 401', async t => {
  const s = await served(t, {}, app => {
    app.post('/quiet', async ({ auth }) => { await auth.login('1').catch(() => {}); await auth.logout().catch(() => {}); return {} })
  })
  const answer = await s.send('/quiet', 'POST', FOREIGN[0] ?? {})
  t.match(answer, { statusCode: 200, headers: { 'www-authenticate': undefined, 'set-cookie': undefined } })
  t.strictSame(s.events.map(({ type }) => type), ['cross_site_refused', 'cross_site_refused'])
})

t.test('refuseCrossSite protects a route of the app as the own ones', async t => {
  const s = await served(t, {}, app => {
    app.post('/order', { onRequest: refuseCrossSite }, async () => ({}))
    app.post('/open', { onRequest: refuseCrossSite, config: { crossSite: true } }, async () => ({}))
    app.post('/unchecked', async () => ({}))
  })
  for (const headers of FOREIGN) {
    t.match((await s.send('/order', 'POST', headers)).json(), REFUSED)
    t.match(await s.send('/open', 'POST', headers), { statusCode: 200 })
    t.match(await s.send('/unchecked', 'POST', headers), { statusCode: 200 }, 'without the hook')
  }
  for (const headers of OWN) t.match(await s.send('/order', 'POST', headers), { statusCode: 200 }, JSON.stringify(headers))
  t.strictSame(s.events.map(({ type }) => type), FOREIGN.map(() => 'cross_site_refused'))
})

t.test('refuseCrossSite of the whole app lets links and preflights through, and a GET that logs in is refused all the same', async t => {
  const s = await served(t, {}, app => {
    app.addHook('onRequest', refuseCrossSite)
    app.get('/page', async () => ({}))
    app.options('/page', async () => ({}))
    app.post('/page', async () => ({}))
    ownRoutes(app)
  })
  for (const headers of FOREIGN) {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) t.match(await s.send('/page', method, headers), { statusCode: 200 }, method)
    for (const [url, method] of [['/page', 'POST'], ['/login', 'GET'], ['/nowhere', 'POST']] as const) t.match((await s.send(url, method, headers)).json(), REFUSED, `${method} ${url}`)
    s.wait('1s')
    await s.send('/page', 'GET', {})
    forget(s.events)
    t.match((await s.send('/auth/refresh', 'POST', headers)).json(), REFUSED)
    t.strictSame(s.events.map(({ type }) => type), ['cross_site_refused'], 'one event at our own routes')
  }
})

t.test('the own routes do not accept the address bar for a POST', async t => {
  const s = await served(t)
  t.match((await s.send('/auth/refresh', 'POST', { 'sec-fetch-site': 'none' })).json(), REFUSED)
})

t.test('no config of the app opens the own routes to other sites', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRoute', route => { route.config = { ...route.config, crossSite: true } })
  await app.register(refreshCookie, { secret: SECRET })
  ownRoutes(app)
  for (const headers of FOREIGN) {
    t.match((await app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, ...headers } })).json(), REFUSED)
    t.match(await app.inject({ method: 'POST', url: '/logout', headers: { host: HOST, ...headers } }), { statusCode: 200 }, 'a route of the app')
  }
})

t.test('refuseCrossSite outside of every registration is never open', async t => {
  const app = Fastify()
  app.post('/', { onRequest: refuseCrossSite }, async () => 'open')
  t.match((await app.inject({ method: 'POST', url: '/' })).json(), { statusCode: 500, code: 'FST_AUTH_NOT_REGISTERED' })
})

t.test('refuseCrossSite in a service that only verifies is an error that explains it', async t => {
  const app = Fastify()
  await app.register(verifier, { keys: [generateKey('EdDSA', 'one').verifies] })
  app.post('/', { onRequest: refuseCrossSite }, async () => 'open')
  t.match((await app.inject({ method: 'POST', url: '/' })).json(), { statusCode: 500, message: /only verifies/ })
})

t.test('refuseCrossSite and authenticate work together', async t => {
  const hooks: AuthenticateHook[] = [refuseCrossSite, authenticate]
  const s = await served(t, {}, app => { app.post('/order', { onRequest: hooks }, async ({ auth }) => ({ id: auth.claims.sub })) })
  t.same((await s.ada.send({ method: 'POST', url: '/order' })).json(), { id: '1' })
  t.match(await s.send('/order', 'POST', FOREIGN[0] ?? {}), { statusCode: 403 })
  t.match(s.events, exactly({ type: 'cross_site_refused' }))
})
