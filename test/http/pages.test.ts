import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastifyAuth from '@fastify/auth'
import fastifyStatic from '@fastify/static'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticateByCookie, statelessStore, type AuthenticateHook, type RefreshCookieOptions } from '../../lib/index.js'
import verifier from '../../lib/verifier.js'
import { mayReadByCookie } from '../../lib/http/csrf.js'
import { exactly } from '../support/exactly.js'
import { generateKey } from '../support/keys.js'
import { COOKIE, forget, HOST, loggedIn, ORIGIN, robbed, SECRET, server, sessionOf, setCookies, type Answer, type LoggedIn } from '../support/server.js'

const CROSS_SITE = { statusCode: 403, code: 'FST_AUTH_CROSS_SITE' }
const TRUSTED = 'https://admin.example'

/** The headers of a navigation from a typed address. */
const TYPED = { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

/** An app with a page behind the hook, a page for everybody, a form, and `GET /auth/session`. */
async function pages (t: Test, options: RefreshCookieOptions = {}): Promise<LoggedIn & { view: (url: string, headers?: Record<string, string>) => Promise<Answer> }> {
  const s = await loggedIn(t, { routes: { session: '/session' }, accessToken: { claims: ({ username }) => ({ name: username }) }, ...options }, {}, app => {
    app.get('/page', { onRequest: app.authenticateByCookie }, async ({ auth }) => auth.identity)
    app.get('/imported', { preHandler: authenticateByCookie }, async ({ auth }) => auth.identity)
    app.get('/home', async ({ auth }) => ({ user: await auth.identifyOrNull(), same: auth.identityOrNull?.sub ?? null }))
    app.get('/image', { onRequest: app.authenticateByCookie }, async (_request, reply) => reply.header('cache-control', 'private, max-age=60').send('image'))
    app.route({ method: ['POST', 'QUERY'], url: '/form', handler: async ({ auth }) => await auth.identify() })
    app.get('/unread', async ({ auth }) => ({ identity: auth.identityOrNull, claims: auth.claimsOrNull }))
    app.get('/leave', async ({ auth }) => {
      await auth.identify()
      await auth.logout()
      return { user: auth.identityOrNull }
    })
  })
  const view = async (url: string, headers: Record<string, string> = TYPED): Promise<Answer> =>
    await s.app.inject({ url, headers: { host: HOST, cookie: String(s.ada.jar.header('/')), ...headers } })
  return { ...s, view }
}

t.test('a page is shown by the cookie alone: 70 views in a minute are 70 times 200, with one read each and no write', async t => {
  const s = await pages(t, { rateLimit: { perSession: { max: 5, per: '1m' } } })
  for (const url of ['/page', '/imported', '/auth/session']) {
    forget(s.store.calls, s.users.calls, s.events)
    for (let view = 0; view < 70; view++) {
      const answer = await s.view(url)
      t.strictSame([answer.statusCode, setCookies(answer)], [200, []], url)
      s.wait(0.8)
    }
    t.strictSame(s.store.calls, Array(70).fill('get'))
    t.strictSame(new Set(s.users.calls), new Set(['findById']))
    t.strictSame(s.events, [])
  }
})

t.test('the identity has the user, the session, the absolute end and the claims of the app', async t => {
  const s = await pages(t)
  const [row] = await s.app.sessions.list('1')
  const identity = { sub: '1', sid: sessionOf(s.ada), auth_time: s.clock(), expiresAt: row?.expiresAt, claims: { name: 'ada' } }
  for (const url of ['/page', '/imported', '/auth/session']) t.strictSame((await s.view(url)).json(), identity, url)
  t.strictSame((await s.view('/home')).json(), { user: identity, same: '1' })
  t.strictSame((await s.view('/unread')).json(), { identity: null, claims: null }, 'an access token is not implied')
  t.match(await s.view('/auth/session'), { headers: { 'content-type': /json/, 'cache-control': 'no-store' } })
})

t.test('the claims of an identity override no reserved claim of a token', async t => {
  const claims = JSON.parse('{"sub":"99","sid":"x","exp":1,"__proto__":{"role":"admin"},"name":"ada"}')
  const s = await loggedIn(t, { accessToken: { claims: () => claims }, routes: { session: '/session' } })
  t.strictSame((await s.ada.send({ method: 'GET', url: '/auth/session' })).json().claims, { name: 'ada' })
})

t.test('a page without a valid cookie is 401, a page for everybody knows nobody', async t => {
  const s = await pages(t)
  forget(s.events)
  const missing = await s.app.inject('/page')
  t.match(missing, { statusCode: 401, headers: { 'www-authenticate': /^Bearer/, 'cache-control': 'no-store' } })
  t.match(missing.json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  t.match((await s.view('/auth/session', { cookie: `${COOKIE}=x` })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  const { sid, ...nobody } = { sid: sessionOf(s.ada), subject: null, sessionId: null }
  t.match(s.events, exactly({ type: 'identify_refused', code: 'FST_AUTH_REFRESH_TOKEN_MISSING', ...nobody }, { type: 'identify_refused', code: 'FST_AUTH_REFRESH_TOKEN_INVALID', ...nobody }))

  forget(s.events)
  const home = await s.app.inject('/home')
  t.strictSame([home.json(), home.headers['www-authenticate'], s.events], [{ user: null, same: null }, undefined, []])
  t.match(home, { headers: { 'cache-control': 'no-store' } }, 'a page of nobody that sets no header of its own')

  s.users.change('ada', { disabled: true })
  t.match((await s.view('/page')).json(), { code: 'FST_AUTH_USER_REFUSED' })
  t.match(s.events, exactly({ type: 'identify_refused', code: 'FST_AUTH_USER_REFUSED', subject: '1', sessionId: sid }))
})

t.test('a store that fails is 503 for a page, and for a page for everybody', async t => {
  const s = await pages(t)
  for (const url of ['/page', '/home', '/auth/session']) {
    s.store.faults.push({ moment: 'before', kind: 'throw' })
    t.match(await s.view(url), { statusCode: 503, headers: { 'retry-after': /\d/, 'set-cookie': undefined } }, url)
  }
})

t.test('reuse detection: a thief who only reads pages is found, and the owner is informed', async t => {
  const s = await pages(t)
  const thief = await robbed(s)
  forget(s.events)
  t.match((await thief.get('/page')).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  t.match(s.events, exactly({ type: 'reuse', presented: 0, current: 2 }, { type: 'identify_refused', code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }))
  t.match((await s.ada.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
})

t.test('private replies in shared caches: @fastify/static and defaults of the app make none public', async t => {
  const root = await mkdtemp(join(tmpdir(), 'pages-'))
  t.teardown(async () => { await rm(root, { recursive: true }) })
  await writeFile(join(root, 'invoice.txt'), 'of ada')
  for (const before of ['public, max-age=60', 's-maxage=60', undefined]) {
    const s = await loggedIn(t, {}, {}, app => {
      app.register(fastifyStatic, { root, maxAge: '1h' })
      app.addHook('onRequest', async ({ auth, headers }, reply) => {
        if (before !== undefined) reply.header('cache-control', before)
        if (headers['sec-fetch-dest'] === 'document') await auth.refresh().catch(() => {})
      })
      app.get('/account', { onRequest: app.authenticateByCookie }, async ({ auth }) => auth.identity)
      app.get('/catalog', { onRequest: app.authenticateOptional }, async () => 'for everybody')
      app.get('/invoice', { onRequest: app.authenticateByCookie }, async (_request, reply) => reply.sendFile('invoice.txt'))
      app.get('/home', async ({ auth }, reply) => {
        const identity = await auth.identifyOrNull()
        return reply.header('cache-control', 'public, max-age=60').send({ identity })
      })
      app.get('/edges', { onRequest: app.authenticateByCookie }, async (_request, reply) => {
        return reply.header('CDN-Cache-Control', 'max-age=60').header('surrogate-control', 'max-age=60').header('X-Accel-Expires', '600').removeHeader('cache-control').send('of ada')
      })
      app.get('/field', { onRequest: app.authenticateByCookie }, async (_request, reply) => reply.header('cache-control', 'public, private="x-user", max-age=60').send('of ada'))
      app.get('/mine', async ({ auth }, reply) => {
        await auth.identify()
        return reply.header('cache-control', 'private, max-age=60').send('mine')
      })
      app.get('/caught', async ({ auth }, reply) => {
        const page = await auth.identify().then(({ sub }) => `of ${sub}`, () => 'log in')
        return reply.header('cache-control', 'public, max-age=60').send(page)
      })
    })
    const view = async (url: string, headers: object = { cookie: String(s.ada.jar.header('/')) }): Promise<Answer> => await s.app.inject({ url, headers: { host: HOST, ...headers } })
    for (const url of ['/account', '/invoice', '/home']) t.match(await view(url), { statusCode: 200, headers: { 'cache-control': 'no-store' } }, url)
    t.match(await view('/account', {}), { statusCode: 401, headers: { 'cache-control': 'no-store' } }, 'nor a refusal')
    const embedded = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }
    t.match(await view('/home', embedded), { statusCode: 403, headers: { 'cache-control': 'no-store' } }, 'nor the refusal of another site')
    t.match(await view('/catalog', { authorization: 'Bearer x' }), { statusCode: 401, headers: { 'cache-control': 'no-store' } }, 'nor that of an invalid token')
    t.match(await view('/catalog', TYPED), { statusCode: 200, headers: { 'cache-control': before } }, 'a page of nobody may be public, also where a refresh was tried')
    t.match(await view('/edges'), { headers: { 'cache-control': 'no-store', 'cdn-cache-control': 'no-store', 'surrogate-control': 'no-store', 'x-accel-expires': '0' } })
    t.match(await view('/field'), { headers: { 'cache-control': 'no-store' } }, 'a field that is private does not make the reply private')
    t.match(await view('/mine'), { headers: { 'cache-control': 'private, max-age=60' } })
    t.match(await view('/caught', {}), { statusCode: 200, body: 'log in', headers: { 'cache-control': 'no-store' } }, 'nor a refusal that the route has caught')
    t.match(await view('/home', {}), { headers: { 'cache-control': 'public, max-age=60' } }, 'a page of nobody may be public')
    t.match(await view('/invoice.txt'), { headers: { 'cache-control': before === undefined ? 'public, max-age=3600' : /3600/ } }, 'a file for everybody too')
    s.wait('1m')
    const refreshed = await view('/invoice.txt', { cookie: String(s.ada.jar.header('/')), ...TYPED })
    t.match(refreshed, { statusCode: 200, headers: { 'cache-control': 'no-store' } }, 'not with a new cookie')
    t.equal(refreshed.cookies.length, 1)
  }
})

t.test('private replies in shared caches: no hook of the app makes replies of our own routes public, but the keys', async t => {
  const s = await server(t, { routes: { session: '/session' }, keys: [generateKey('EdDSA', 'a').signs] }, {}, () => {}, app => {
    app.addHook('onSend', async (_request, reply) => { reply.headers({ 'cache-control': 'public, max-age=60', 'cdn-cache-control': 'max-age=60' }) })
  })
  const ada = s.browser()
  await ada.signup('ada')
  const cacheOf = async (method: 'GET' | 'POST', url: string): Promise<unknown[]> => {
    const { statusCode, headers } = await ada.send({ method, url })
    return [statusCode, headers['cache-control'], headers['cdn-cache-control']]
  }
  t.strictSame(await cacheOf('POST', '/auth/refresh'), [200, 'no-store', 'max-age=60'], 'no cache stores the reply to a POST')
  for (const url of ['/auth/session', '/auth/sessions']) t.strictSame(await cacheOf('GET', url), [200, 'no-store', 'no-store'], url)
  t.strictSame(await cacheOf('GET', '/auth/jwks'), [200, 'public, max-age=60', 'max-age=60'])
})

t.test('a page is not stored by caches, unless the route says otherwise', async t => {
  const s = await pages(t)
  t.match(await s.view('/page'), { headers: { 'cache-control': 'no-store' } })
  t.match(await s.view('/image'), { headers: { 'cache-control': 'private, max-age=60' } })
  const own = await loggedIn(t, {}, {}, app => {
    app.get('/page', async ({ auth }, reply) => {
      reply.header('cache-control', 'private')
      return await auth.identify({ user: false })
    })
    app.post('/enter', async ({ auth }, reply) => {
      reply.header('cache-control', 'private')
      return await auth.login('1')
    })
  })
  const answer = await own.ada.get('/page')
  t.match(answer, { headers: { 'cache-control': 'private' } })
  t.strictSame([answer.json().claims, own.users.calls], [{}, []], 'and user: false looks nobody up')
  t.match(await own.ada.send({ method: 'POST', url: '/enter' }), { statusCode: 200, headers: { 'cache-control': 'no-store' } }, 'tokens are stored nowhere (RFC 6749 section 5.1)')
})

t.test('a page of the user\'s devices works by the cookie, and shows no time of a refresh', async t => {
  const s = await loggedIn(t, {}, {}, app => {
    app.post<{ Querystring: { id?: string, identify?: string } }>('/devices', async ({ auth, query }) => {
      if (query.identify !== 'no') await auth.identify()
      if (query.id !== undefined) await auth.revokeSession(query.id)
      return { sessions: await auth.sessions(), ended: query.id === undefined ? 0 : await auth.revokeOtherSessions() }
    })
  })
  const [phone, tablet] = [s.browser(), s.browser()]
  for (const device of [phone, tablet]) {
    s.wait('1s')
    await device.login('ada')
  }
  s.wait('5m')
  await s.ada.refresh()
  const post = async (query: string): Promise<Answer> => await s.app.inject({ method: 'POST', url: `/devices${query}`, headers: { host: HOST, origin: ORIGIN, 'sec-fetch-site': 'same-origin', cookie: String(s.ada.jar.header('/')) } })
  t.match((await post('')).json().sessions, exactly({ current: true, lastUsedAt: '2026-01-01T00:00:00.000Z' }, { current: false }, { current: false }))
  t.match((await post('?identify=no')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
  t.match((await post('?id=unknown')).json(), { code: 'FST_AUTH_SESSION_UNKNOWN' })
  const ended = (await post(`?id=${sessionOf(phone)}`)).json()
  t.match(ended.sessions, exactly({ current: true }, { current: false }))
  t.equal(ended.ended, 1)
  for (const other of [phone, tablet]) t.match((await other.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  await s.app.sessions.revokeAll('1')
  t.match((await post('')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('users who only open pages stay logged in by a refresh at each page', async t => {
  const s = await loggedIn(t, {}, {}, app => {
    app.addHook('onRequest', async ({ auth, headers, method }) => { // as in docs/pages.md
      const opensPage = method === 'GET' && headers['sec-fetch-dest'] === 'document' && headers['sec-fetch-site'] !== 'cross-site' && headers['sec-purpose'] === undefined
      if (opensPage) await auth.refresh().catch(() => {})
    })
    app.get('/page', { onRequest: app.authenticateByCookie }, async ({ auth }) => auth.identity)
  })
  const open = async (headers: Record<string, string> = {}): Promise<Answer> => {
    const answer = await s.app.inject({ url: '/page', headers: { host: HOST, cookie: String(s.ada.jar.header('/')), ...TYPED, ...headers } })
    s.ada.jar.store(answer.headers['set-cookie'])
    return answer
  }
  for (let day = 1; day < 30; day++) {
    s.wait('1d')
    const tabs = await Promise.all([open(), open(), open()])
    t.strictSame(tabs.map(({ statusCode }) => statusCode), [200, 200, 200], `day ${day}`)
    t.match(tabs[0], { headers: { 'cache-control': 'no-store' } })
  }
  s.events.length = 0
  for (const headers of [{ 'sec-purpose': 'prefetch' }, { 'sec-fetch-site': 'cross-site' }]) t.match(await open(headers), { statusCode: 200, headers: { 'set-cookie': undefined } })
  t.strictSame(s.events, [])
  s.wait('1d')
  t.match((await open()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }, 'until the absolute end')
})

t.test('after a logout nobody is identified', async t => {
  const s = await pages(t)
  t.strictSame((await s.view('/leave')).json(), { user: null })
  t.match(await s.view('/page'), { statusCode: 401 })
})

/** Requests of browsers by their headers, and whether the cookie may authenticate them. */
const SOURCES: ReadonlyArray<readonly [title: string, headers: Record<string, string>, accepted: boolean]> = [
  ['a typed address', TYPED, true],
  ['a link on the own site', { ...TYPED, 'sec-fetch-site': 'same-origin' }, true],
  ['a link on another site', { ...TYPED, 'sec-fetch-site': 'cross-site' }, true],
  ['a link on a sibling sub-domain', { ...TYPED, 'sec-fetch-site': 'same-site' }, true],
  ['an image of the own page', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, true],
  ['a download that the user chose in a menu', { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'empty' }, true],
  ['EventSource of the own page', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty' }, true],
  ['a frame of the own page', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, true],
  ['curl, or a renderer that forwards the cookie', {}, true],
  ['an old browser with the own Origin', { origin: ORIGIN }, true],
  ['fetch of a trusted origin', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', origin: TRUSTED }, true],
  ['a WebSocket of the own page', { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'websocket', origin: ORIGIN }, true],
  ['XS-Leaks: an image of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, false],
  ['XS-Leaks: a script of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'script' }, false],
  ['XS-Leaks: an image of a sibling sub-domain', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }, false],
  ['clickjacking: a frame of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' }, false],
  ['clickjacking: an object of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'object' }, false],
  ['fetch of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', origin: 'https://evil.example' }, false],
  ['fetch of a sibling sub-domain', { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', origin: `https://blog.${HOST}` }, false],
  ['a prefetch of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'empty' }, false],
  ['cross-site WebSocket hijacking', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'websocket', origin: 'https://evil.example' }, false],
  ['cross-site WebSocket hijacking, in an old browser', { origin: 'https://evil.example' }, false],
  ['a WebSocket of a sandboxed frame', { origin: 'null' }, false],
  ['none with the Origin of a page', { 'sec-fetch-site': 'none', origin: 'https://evil.example' }, false]
]

for (const [title, headers, accepted] of SOURCES) {
  t.test(`${title} is ${accepted ? 'accepted' : 'refused'}`, async t => {
    const s = await pages(t, { trustedOrigins: [TRUSTED] })
    forget(s.store.calls, s.events)
    for (const url of ['/page', '/home', '/auth/session']) {
      const answer = await s.view(url, headers)
      if (accepted) t.match(answer, { statusCode: 200 }, url)
      else t.match(answer.json(), CROSS_SITE, url)
    }
    if (accepted) return
    t.strictSame([s.store.calls, s.events.map(({ type }) => type)], [[], Array(3).fill('cross_site_refused')])
  })
}

t.test('with a SameSite=None cookie a request without any such header is refused', async t => {
  const s = await pages(t, { cookie: { sameSite: 'none' }, trustedOrigins: [TRUSTED] })
  t.match((await s.view('/page', {})).json(), { ...CROSS_SITE, message: /no Origin header/ })
  t.match(await s.view('/page'), { statusCode: 200 })
  t.ok(mayReadByCookie({ site: undefined, origin: undefined, host: HOST, mode: undefined, dest: undefined, isHttps: false }, { trustedOrigins: new Set(), crossSiteCookie: false }))
})

t.test('CSRF: a form identifies its user only from own and trusted pages, navigation or not', async t => {
  const s = await pages(t, { trustedOrigins: [TRUSTED] })
  const cookie = String(s.ada.jar.header('/'))
  const post = async (headers: Record<string, string>): Promise<number> => (await s.app.inject({ method: 'POST', url: '/form', headers: { host: HOST, cookie, ...headers } })).statusCode
  t.equal(await post({ ...TYPED, 'sec-fetch-site': 'same-origin', origin: ORIGIN }), 200)
  t.equal(await post({ ...TYPED, 'sec-fetch-site': 'cross-site', origin: TRUSTED }), 200)
  t.equal(await post({ ...TYPED, 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }), 403)
  t.equal(await post({ ...TYPED, 'sec-fetch-site': 'none' }), 403)
})

t.test('CSRF: a route of another method cannot have the hook', async t => {
  const { app } = await loggedIn(t, {}, {}, app => {
    for (const hook of [app.authenticateByCookie, authenticateByCookie]) {
      for (const method of ['POST', 'PUT', 'DELETE', ['GET', 'POST']]) {
        const handler = async (): Promise<string> => 'no'
        t.throws(() => app.route({ method, url: '/no', onRequest: hook, handler }), { name: 'TypeError', message: /authenticateByCookie protects GET and HEAD only/ }, String(method))
      }
    }
    app.route({ method: ['GET', 'HEAD'], url: '/yes', onRequest: [app.authenticateByCookie], handler: async () => 'yes' })
  })
  t.match(await app.inject('/yes'), { statusCode: 401 })
})

t.test('CSRF: below the hook of a whole app other methods need an access token, and the plugin\'s routes stay reachable', async t => {
  const s = await loggedIn(t)
  const app = Fastify()
  app.addHook('onRequest', authenticateByCookie)
  const events: string[] = []
  const keys = [generateKey('EdDSA', 'a').signs]
  await app.register(refreshCookie, { secret: SECRET, keys, clock: s.clock, store: s.store, onEvent: ({ type }) => { events.push(type) } })
  app.get('/page', async ({ auth }) => auth.identity)
  app.post('/change', async () => 'changed')
  t.teardown(async () => { await app.close() })
  const headers = { host: HOST, cookie: String(s.ada.jar.header('/')), 'sec-fetch-site': 'same-origin' }
  t.match(await app.inject('/auth/jwks'), { statusCode: 200, headers: { 'cache-control': /^public/ } })
  t.strictSame(events, [], 'no event of a visitor')
  t.match(await app.inject({ url: '/page', headers }), { statusCode: 200 })
  t.match((await app.inject({ method: 'POST', url: '/change', headers })).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING', message: /GET and HEAD only/ })
  t.match(await app.inject({ method: 'POST', url: '/auth/refresh', headers }), { statusCode: 200 })
})

t.test('@fastify/auth combines the hook with authenticate', async t => {
  const s = await loggedIn(t, {}, {}, app => {
    app.register(async scope => {
      await scope.register(fastifyAuth)
      scope.get('/either', { onRequest: scope.auth([app.authenticate, app.authenticateByCookie] as never[]) }, async ({ auth }) => ({ token: auth.claimsOrNull?.sub, cookie: auth.identityOrNull?.sub }))
    })
  })
  t.strictSame((await s.ada.get('/either')).json(), { token: '1' })
  s.ada.accessToken = null
  t.strictSame((await s.ada.get('/either')).json(), { cookie: '1' })
})

/** A WebSocket upgrade over a real connection; resolves to the status and the body. */
async function upgrade (app: FastifyInstance, headers: Record<string, string>): Promise<{ status: number | undefined, body: string }> {
  const { port } = app.server.address() as AddressInfo // it listens on TCP
  return await new Promise((resolve, reject) => {
    const request = httpRequest({ port, path: '/page', headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...headers } }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => { body += text }).on('end', () => resolve({ status: response.statusCode, body }))
    })
    request.on('error', reject).end()
  })
}

t.test('cross-site WebSocket hijacking: an upgrade with a foreign Origin is refused before the socket opens', async t => {
  const s = await pages(t, { trustedOrigins: [TRUSTED] })
  await s.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = s.app.server.address() as AddressInfo // it listens on TCP
  const cookie = String(s.ada.jar.header('/'))
  for (const origin of ['https://evil.example', 'null', `http://localhost:${port + 1}`, 'http://127.0.0.1']) {
    const { status, body } = await upgrade(s.app, { cookie, origin })
    t.equal(status, 403, origin)
    t.match(JSON.parse(body), CROSS_SITE)
  }
  for (const origin of [`http://127.0.0.1:${port}`, TRUSTED]) t.match(await upgrade(s.app, { cookie, host: `127.0.0.1:${port}`, origin }), { status: 200 }, origin)
})

t.test('without a cookie transport, and in a verifier, the hook stops the start', async t => {
  const cases: ReadonlyArray<readonly [register: (app: FastifyInstance) => void, message: RegExp]> = [
    [app => { app.register(refreshCookie, { secret: SECRET, refreshToken: { transport: 'body' } }) }, /needs the refresh cookie/],
    [app => { app.register(verifier, { keys: [generateKey('EdDSA', '1').verifies] }) }, /needs the sessions/]
  ]
  for (const [register, message] of cases) {
    const app = Fastify()
    app.get('/before', { onRequest: authenticateByCookie }, async () => 'no')
    register(app)
    await app.after()
    for (const hook of [app.authenticateByCookie, authenticateByCookie] satisfies AuthenticateHook[]) {
      t.throws(() => app.get('/page', { onRequest: hook }, async () => 'no'), { name: 'TypeError', message })
    }
    t.match((await app.inject('/before')).json(), { statusCode: 500, message })
    await app.close()
  }
})

t.test('GET /auth/session is off by default', async t => {
  const { ada } = await loggedIn(t)
  t.match(await ada.get('/auth/session'), { statusCode: 404 })
})

t.test('without a store that keeps sessions the signature decides', async t => {
  const s = await pages(t, { store: statelessStore() })
  t.match((await s.view('/page')).json(), { sub: '1', claims: { name: 'ada' } })
})

t.test('a hook that runs before the plugin can identify the user', async t => {
  const s = await loggedIn(t)
  const app = Fastify()
  let early: string | undefined
  app.addHook('onRequest', async ({ auth }) => { early = (await auth.identify()).sub })
  app.register(refreshCookie, { secret: SECRET, clock: s.clock, store: s.store })
  app.get('/', async () => 'page')
  t.teardown(async () => { await app.close() })
  t.match(await app.inject({ url: '/', headers: { cookie: String(s.ada.jar.header('/')) } }), { statusCode: 200 })
  t.equal(early, '1')
})
