import fc from 'fast-check'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { memoryStore, type RefreshCookieOptions } from '../../lib/index.js'
import { nativeApp, type NativeApp } from '../support/native-app.js'
import { cookieJar } from '../support/cookie-jar.js'
import { COOKIE, FAST_HASHING, forget, openBrowser, PASSWORD, payloadOf, SECRET, server, testClock, userTable, type Answer, type TestServer } from '../support/server.js'

const MISSING = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }
const INVALID = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_INVALID' }
const REUSED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }
const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

interface Native extends TestServer { readonly ada: NativeApp }

/** A server for native apps, and the app of Ada, who has signed up. */
async function native (t: Test, options: RefreshCookieOptions = {}, extend?: Parameters<typeof server>[3]): Promise<Native> {
  const s = await server(t, { ...options, refreshToken: { ...options.refreshToken, transport: 'body' } }, {}, extend)
  const ada = nativeApp(s.app)
  await ada.signup('ada')
  forget(s.store.calls, s.users.calls, s.events)
  return { ...s, ada }
}

t.test('native app: signup, refresh and authenticate with a stored refresh token', async t => {
  const { ada, app, wait } = await native(t)
  t.strictSame((await ada.get('/me')).json(), { id: '1' })
  wait('11m')
  t.match((await ada.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  const answer = await ada.refresh()
  t.strictSame(answer.json(), { access_token: ada.accessToken, token_type: 'Bearer', expires_in: 600, refresh_token: ada.refreshToken })
  t.match(answer.headers, { 'cache-control': 'no-store', 'set-cookie': undefined })
  t.strictSame((await ada.get('/me')).json(), { id: '1' })
  t.match(await nativeApp(app).login('ada'), { statusCode: 200, headers: { 'set-cookie': undefined } })
})

/** Requests that carry a refresh token. */
const CARRIERS: Readonly<Record<string, (token: string) => { payload?: string | object, headers?: Record<string, string> }>> = {
  'in JSON': token => ({ payload: { refresh_token: token } }),
  'in an OAuth2 form': token => ({ payload: `grant_type=refresh_token&refresh_token=${token}`, headers: FORM }),
  'in a form without a grant_type, with unknown fields': token => ({ payload: `refresh_token=${token}&scope=a+b&client_id=app&client_secret=&grant_type=`, headers: { ...FORM, authorization: 'Basic YXBwOg==' } }),
  'as a Bearer': token => ({ headers: { authorization: `Bearer ${token}` } }),
  'as a Bearer token, with an empty one in the body': token => ({ payload: '{"refresh_token":""}', headers: { 'content-type': 'application/json', authorization: `bearer ${token}` } }),
  'in JSON, with an access token in the Authorization header': token => ({ payload: { refresh_token: token }, headers: { authorization: 'Bearer x.y.z' } })
}

for (const [how, request] of Object.entries(CARRIERS)) {
  t.test(`native app: refresh and logout accept a refresh token ${how}`, async t => {
    const { ada, wait } = await native(t)
    wait('30s')
    const answer = await ada.send({ method: 'POST', url: '/auth/refresh', ...request(String(ada.refreshToken)) })
    t.match(answer, { statusCode: 200 })
    ada.refreshToken = answer.json().refresh_token
    t.equal(payloadOf(ada.refreshToken)['gen'], 1)
    t.match(await ada.send({ method: 'POST', url: '/auth/logout', ...request(String(ada.refreshToken)) }), { statusCode: 204, headers: { 'set-cookie': undefined } })
    t.match((await ada.refresh()).json(), ENDED)
  })
}

t.test('native app: a request without a refresh token is refused', async t => {
  const { ada, store, users } = await native(t)
  const token = String(ada.refreshToken)
  const REQUESTS: ReadonlyArray<readonly [request: object, refusal: object]> = [
    [{}, MISSING],
    [{ payload: '{}', headers: { 'content-type': 'application/json' } }, MISSING],
    [{ payload: 'null', headers: { 'content-type': 'application/json' } }, MISSING],
    [{ payload: 'grant_type=refresh_token', headers: FORM }, MISSING],
    [{ payload: 'refresh_token=', headers: FORM }, MISSING],
    [{ headers: { authorization: 'Bearer ' } }, MISSING],
    [{ headers: { authorization: `Basic ${token}` } }, MISSING],
    [{ headers: { cookie: `${COOKIE}=${token}` } }, MISSING],
    [{ query: { refresh_token: token } }, MISSING],
    [{ payload: { refresh_token: 'x.y.z' } }, INVALID],
    [{ payload: { refresh_token: ada.accessToken } }, INVALID],
    [{ headers: { authorization: `Bearer ${String(ada.accessToken)}` } }, INVALID],
    [{ payload: { refresh_token: 1 } }, { statusCode: 400, message: 'body/refresh_token must be string' }],
    [{ payload: { refreshToken: token } }, { statusCode: 400, message: 'body has an unknown field' }],
    [{ payload: { refresh_token: token, scope: 'a' } }, { statusCode: 400 }],
    [{ payload: [token] }, { statusCode: 400 }],
    [{ payload: `grant_type=password&refresh_token=${token}`, headers: FORM }, { statusCode: 400, message: /grant_type/ }],
    [{ payload: `refresh_token=${token}&refresh_token=${token}`, headers: FORM }, { statusCode: 400 }],
    [{ payload: token, headers: { 'content-type': 'text/plain' } }, { statusCode: 415 }]
  ]
  for (const [request, refusal] of REQUESTS) {
    const answer = await ada.send({ method: 'POST', url: '/auth/refresh', ...request })
    t.match(answer.json(), refusal, JSON.stringify(request).slice(0, 60))
    t.notOk(answer.body.includes(token))
  }
  t.strictSame([...store.calls, ...users.calls], [], 'and none of them calls the store')
})

t.test('native app: every outcome of a refresh returns a refresh token', async t => {
  const OUTCOMES: ReadonlyArray<readonly [outcome: string, generation: number, prepare: (s: Native) => Promise<unknown> | unknown]> = [
    ['hold', 0, () => {}],
    ['rotate', 1, s => s.wait('30s')],
    ['replay', 1, async s => { s.wait('30s'); return await s.ada.copy().refresh() }],
    ['recover', 2, async s => { s.wait('30s'); await s.ada.copy().refresh(); s.wait('5m') }]
  ]
  for (const [outcome, generation, prepare] of OUTCOMES) {
    const s = await native(t)
    const before = s.ada.refreshToken
    await prepare(s)
    const answer = await s.ada.refresh()
    t.match(s.events.at(-1), { outcome, generation })
    t.equal(s.ada.refreshToken === before, outcome === 'hold')
    t.equal(payloadOf(answer.json().refresh_token)['gen'], generation, outcome)
    t.match(await s.ada.refresh(), { statusCode: 200 }, 'and continues with it')
  }
})

t.test('token theft: a stolen refresh token ends the session for attacker and owner', async t => {
  const { ada, wait } = await native(t)
  const thief = ada.copy()
  for (let i = 0; i < 2; i++) {
    wait('30s')
    await ada.refresh()
  }
  t.match((await thief.refresh()).json(), REUSED)
  t.match((await ada.refresh()).json(), REUSED)
})

t.test('native app: cookies are ignored', async t => {
  const { ada, app } = await native(t)
  const planted = { cookie: `${COOKIE}=${String(ada.refreshToken)}` }
  t.match(await ada.send({ method: 'POST', url: '/auth/logout', headers: planted }), { statusCode: 204 })
  t.match(await nativeApp(app).send({ method: 'POST', url: '/auth/login', headers: planted, payload: { username: 'ada', password: PASSWORD } }), { statusCode: 200 })
  t.match(await ada.refresh(), { statusCode: 200 }, 'so that session still exists')
})

t.test('a password change returns a new refresh token, a reauthentication the current one for a request that has it', async t => {
  const { ada, wait } = await native(t)
  const post = async (path: string, payload: object): Promise<Answer> => await ada.send({ method: 'POST', url: path, payload, headers: { authorization: `Bearer ${String(ada.accessToken)}` } })
  wait('1m')
  const proven = (await post('/auth/reauthenticate', { password: PASSWORD, refresh_token: ada.refreshToken })).json()
  t.match(payloadOf(proven.refresh_token), { sid: payloadOf(ada.refreshToken)['sid'], gen: 0 })
  t.strictSame(Object.keys((await post('/auth/reauthenticate', { password: PASSWORD })).json()), ['access_token', 'token_type', 'expires_in'], 'and none for a thief of the access token')
  t.match(await ada.refresh(), { statusCode: 200 }, 'and the previous one works as well')
  const changed = (await post('/auth/password', { currentPassword: PASSWORD, newPassword: 'another good password' })).json()
  t.match((await ada.refresh()).json(), ENDED)
  ada.refreshToken = changed.refresh_token
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('a login with the old refresh token replaces its session', async t => {
  const { ada, store } = await native(t)
  await ada.send({ method: 'POST', url: '/auth/login', headers: { authorization: `Bearer ${String(ada.refreshToken)}` }, payload: { username: 'ada', password: PASSWORD } })
  t.match(await store.get(String(payloadOf(ada.refreshToken)['sid'])), { reason: 'superseded' })
})

t.test('native app: there is no `remember`', async t => {
  const { ada } = await native(t)
  t.match((await ada.send({ method: 'POST', url: '/auth/login', payload: { username: 'ada', password: PASSWORD, remember: true } })).json(), { statusCode: 400, message: 'body has an unknown field' })
})

t.test('request.auth returns the refresh token in routes of the app', async t => {
  const { ada, app } = await native(t, {}, app => {
    app.post('/enter', async ({ auth }) => await auth.login(1))
    app.post('/again', async ({ auth }) => await auth.refresh())
    app.post('/leave', async ({ auth }) => { await auth.logout(); return {} })
  })
  const { refresh_token: token } = (await app.inject({ method: 'POST', url: '/enter' })).json()
  t.match(payloadOf(token), { sub: '1', gen: 0 })
  t.match((await ada.send({ method: 'POST', url: '/again', payload: { refresh_token: ada.refreshToken } })).json(), { refresh_token: ada.refreshToken })
  t.match(await ada.send({ method: 'POST', url: '/leave', headers: { authorization: `Bearer ${String(ada.refreshToken)}` } }), { statusCode: 200 })
  t.match((await ada.refresh()).json(), ENDED)
})

t.test('CSRF: pages of other sites are refused with the transport body too', async t => {
  const { ada } = await native(t)
  for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { origin: 'null' }]) {
    t.match((await ada.send({ method: 'POST', url: '/auth/refresh', headers, payload: { refresh_token: ada.refreshToken } })).json(), { code: 'FST_AUTH_CROSS_SITE' })
  }
})

t.test('information leak: no refresh token is in the log or in a refusal, at any log level', async t => {
  const lines: string[] = []
  const stream = { write (line: string) { lines.push(line) } }
  const s = await server(t, { refreshToken: { transport: 'body' } }, { logger: { level: 'trace', stream } })
  const ada = nativeApp(s.app)
  const tokens = new Set<string>()
  const note = async (answer: Answer): Promise<void> => {
    tokens.add(String(ada.refreshToken)).add(String(ada.accessToken))
    if (answer.statusCode >= 400) lines.push(answer.body)
  }
  await note(await ada.signup('ada'))
  const stolen = ada.copy()
  for (let i = 0; i < 2; i++) {
    s.wait('1m')
    await note(await ada.refresh())
  }
  for (const [, request] of Object.entries(CARRIERS)) await note(await ada.send({ method: 'POST', url: '/auth/refresh', ...request(`${String(ada.refreshToken)}x`) }))
  for (const payload of [{ refreshToken: ada.refreshToken }, { [String(ada.refreshToken)]: 1 }, [ada.refreshToken], { refresh_token: [ada.refreshToken] }]) await note(await ada.send({ method: 'POST', url: '/auth/refresh', payload }))
  s.store.faults.push({ moment: 'before', kind: 'throw' })
  await note(await ada.refresh())
  await note(await stolen.refresh())
  await note(await ada.logout())
  t.ok(lines.length > 20)
  const signatures = [...tokens].map(token => token.split('.')[2] ?? '')
  t.strictSame(lines.filter(line => signatures.some(signature => line.includes(signature))), [])
})

t.test('fuzzing: any body of refresh and logout is refused or ignored, never a server error', async t => {
  const { ada } = await native(t)
  const text = fc.oneof(fc.string(), fc.constantFrom(String(ada.accessToken), 'x.y.z', 'Bearer', 'null'), fc.base64String())
  const json = fc.oneof(fc.jsonValue(), fc.record({ refresh_token: fc.oneof(text, fc.jsonValue()) }), fc.record({ refresh_token: text, grant_type: text }))
  const form = fc.array(fc.tuple(fc.constantFrom('refresh_token', 'grant_type', 'scope', '__proto__'), text)).map(pairs => new URLSearchParams(pairs).toString())
  await fc.assert(fc.asyncProperty(fc.constantFrom('refresh', 'logout'), json, form, text.filter(value => /^[\x21-\x7e]*$/.test(value)), fc.boolean(), async (route, body, fields, bearer, asForm) => {
    const answer = await ada.send({
      method: 'POST',
      url: `/auth/${route}`,
      headers: { authorization: `Bearer ${bearer}`, ...(asForm ? FORM : { 'content-type': 'application/json' }) },
      payload: asForm ? fields : JSON.stringify(body)
    })
    return (route === 'refresh' ? [400, 401] : [204, 400]).includes(answer.statusCode)
  }), { numRuns: 1000 })
  t.match(await ada.refresh(), { statusCode: 200 }, 'and nobody is logged out by it')
})

t.test('one server for browsers and native apps', async t => {
  async function both (t: Test, options: RefreshCookieOptions = {}) {
    const clock = testClock()
    const shared = { secret: SECRET, users: userTable(), store: memoryStore({ clock }), clock, passwords: FAST_HASHING, ...options }
    const app = Fastify()
    await app.register(refreshCookie, shared)
    await app.register(async native => {
      await native.register(refreshCookie, { ...shared, prefix: '/native/auth', refreshToken: { transport: 'body' } })
      native.get('/native/me', { onRequest: native.authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
    })
    app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
    app.get('/strict', { onRequest: app.authenticateStrict }, async ({ auth }) => ({ id: auth.claims.sub }))
    t.teardown(async () => { await app.close() })
    await app.ready()
    const ada = openBrowser(app, cookieJar(clock))
    const phone = nativeApp(app, '/native/auth')
    await ada.signup('ada')
    clock.wait('1s')
    await phone.login('ada')
    return { app, clock, ada, phone }
  }

  t.test('authenticates the users of both with the hooks of either', async t => {
    const { ada, phone } = await both(t)
    for (const path of ['/me', '/native/me', '/strict']) {
      t.strictSame((await ada.get(path)).json(), { id: '1' })
      t.strictSame((await phone.get(path)).json(), { id: '1' })
    }
  })

  t.test('lists the sessions of both, and either can end the other', async t => {
    const { ada, phone } = await both(t)
    t.strictSame((await ada.get('/auth/sessions')).json().map(({ userAgent }: { userAgent: string }) => userAgent), ['Mozilla/5.0 (test)', 'Ada/1.0'])
    t.match(await ada.send({ method: 'DELETE', url: '/auth/sessions' }), { statusCode: 204 })
    t.match((await phone.refresh()).json(), ENDED)
    t.match(await ada.refresh(), { statusCode: 200 })
  })

  t.test('ends access tokens of both at once with immediate revocation', async t => {
    const { app, ada, phone } = await both(t, { revocation: 'immediate' })
    await app.sessions.revokeAll('1')
    for (const path of ['/me', '/native/me']) {
      t.match((await phone.get(path)).json(), ENDED)
      t.match((await ada.get(path)).json(), ENDED)
    }
  })

  t.test('returns no refresh token to a native app for a browser\'s cookie', async t => {
    const { ada } = await both(t)
    t.match((await ada.send({ method: 'POST', url: '/native/auth/refresh', headers: { authorization: '' } })).json(), MISSING)
    t.match(await ada.send({ method: 'POST', url: '/native/auth/logout', headers: { authorization: '' } }), { statusCode: 204 })
    t.match(await ada.refresh(), { statusCode: 200 })
  })
})
