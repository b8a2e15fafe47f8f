import Fastify from 'fastify'
import t from 'tap'
import refreshCookie, { AuthError, memoryStore, statelessStore, type AuthEvent, type SessionStore } from '../../lib/index.js'
import { type TokenKind } from '../../lib/keys/ring.js'
import verifier from '../../lib/verifier.js'
import { forged } from '../tokens/forge.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, FAST_HASHING, forget, loggedIn, PASSWORD, robbed, SECRET, server, sessionOf, START, type LoggedIn, type TestServer } from '../support/server.js'

const REFRESH = { method: 'POST', url: '/auth/refresh' } as const

/** The events since the last call, as type and code. */
function told ({ events }: Pick<TestServer, 'events'>): string[] {
  return events.splice(0).map(event => 'code' in event ? `${event.type} ${String(event.code).replace('FST_AUTH_', '')}` : event.type)
}

/** An expired token with a valid signature. */
function expired (kind: TokenKind): string {
  return forged(kind, { claims: { iat: START - 700, auth_time: START - 700, exp: START - 100 } })
}

/** Ada's server with a route for each kind of authentication. */
async function guarded (t: Parameters<typeof loggedIn>[0], options: Parameters<typeof loggedIn>[1] = {}): Promise<LoggedIn> {
  return await loggedIn(t, { routes: { verify: '/verify' }, ...options }, {}, app => {
    app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({}))
    app.get('/verb', async ({ auth }) => await auth.authenticate())
  })
}

t.test('probing: each invalid access token is one event, at any route', async t => {
  const s = await guarded(t)
  for (const url of ['/me', '/maybe', '/strict', '/fresh', '/verb', '/auth/sessions']) {
    await s.app.inject({ url, headers: { authorization: 'Bearer x.y.z' } })
    t.strictSame(told(s), ['access_token_refused ACCESS_TOKEN_INVALID'], url)
  }
  await s.app.inject({ method: 'POST', url: '/auth/verify', payload: { token: 'x.y.z' } })
  t.strictSame(told(s), ['access_token_refused ACCESS_TOKEN_INVALID'], 'a token of another issuer')
  await t.rejects(s.app.verifyAccessToken('x.y.z'), AuthError)
  t.match(s.events, exactly({ type: 'access_token_refused', code: 'FST_AUTH_ACCESS_TOKEN_INVALID', requestId: null, ip: null }), 'a token of a WebSocket')
})

t.test('probing: missing, expired and revoked access tokens have different codes', async t => {
  const s = await guarded(t, { revocation: 'immediate' })
  await s.app.inject('/me')
  t.strictSame(told(s), ['access_token_refused ACCESS_TOKEN_MISSING'])
  await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${expired('access')}` } })
  t.strictSame(told(s), ['access_token_refused ACCESS_TOKEN_EXPIRED'])
  await s.app.sessions.revoke(sessionOf(s.ada))
  forget(s.events)
  for (const url of ['/me', '/strict', '/verb']) {
    await s.ada.get(url)
    t.strictSame(told(s), ['access_token_refused SESSION_ENDED'], url)
  }
})

t.test('probing: a request without a token to an open or optional route is no event', async t => {
  const s = await guarded(t)
  for (const url of ['/maybe', '/nowhere']) await s.app.inject(url)
  t.strictSame(told(s), [])
})

t.test('probing: a route of the plugin below a hook of the whole app causes one event', async t => {
  const events: AuthEvent[] = []
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, onEvent (event) { events.push(event) } })
  app.addHook('onRequest', app.authenticate)
  await app.inject('/auth/sessions')
  t.strictSame(told({ events }), ['access_token_refused ACCESS_TOKEN_MISSING'])
  await app.inject(REFRESH)
  t.strictSame(told({ events }), ['refresh_refused REFRESH_TOKEN_MISSING'], 'and the hook refuses nothing there')
})

t.test('token theft: forged, foreign and doubled refresh cookies are events without a session', async t => {
  const s = await loggedIn(t)
  const COOKIES = [`${COOKIE}=x`, `${COOKIE}=${forged('access')}`, `${COOKIE}=${forged('refresh', { header: { kid: 'foreign' } })}`, `${COOKIE}=a; ${COOKIE}=b`]
  for (const cookie of COOKIES) {
    await s.app.inject({ ...REFRESH, headers: { cookie, 'user-agent': 'curl' } })
    t.match(s.events.splice(0), exactly({
      type: 'refresh_refused', code: 'FST_AUTH_REFRESH_TOKEN_INVALID', subject: null, sessionId: null, userAgent: 'curl', ip: '127.0.0.1', requestId: String
    }), cookie)
  }
})

t.test('token theft: the refresh cookie of an ended session is an event with its session', async t => {
  const s = await loggedIn(t)
  const session = { subject: '1', sessionId: sessionOf(s.ada) }
  await s.app.sessions.revoke(session.sessionId)
  forget(s.events)
  await s.ada.refresh()
  t.match(s.events.splice(0), exactly({ type: 'refresh_refused', code: 'FST_AUTH_SESSION_ENDED', ...session }))
  s.wait('8d')
  await s.app.inject({ ...REFRESH, headers: { cookie: `${COOKIE}=${s.ada.cookie() ?? forged('refresh')}` } })
  t.strictSame(told(s), ['refresh_refused REFRESH_TOKEN_EXPIRED'])
})

t.test('token theft: reuse is an event of its own, and each refresh that it refuses one more', async t => {
  const s = await loggedIn(t)
  const thief = await robbed(s)
  forget(s.events)
  await thief.refresh()
  t.strictSame(told(s), ['reuse', 'refresh_refused REFRESH_TOKEN_REUSED'])
  await s.ada.refresh()
  t.strictSame(told(s), ['refresh_refused REFRESH_TOKEN_REUSED'])
})

t.test('a refused refresh of a disabled user in a route of the app is an event', async t => {
  const s = await loggedIn(t, {}, {}, app => { app.post('/renew', async ({ auth }) => await auth.refresh()) })
  s.users.change('ada', { disabled: true })
  await s.ada.send({ method: 'POST', url: '/renew' })
  t.strictSame(told(s), ['revoked', 'refresh_refused USER_REFUSED'])
})

t.test('store outage: each refused request is an event', async t => {
  const s = await guarded(t)
  const away = async (request: () => Promise<unknown>): Promise<string[]> => {
    s.store.faults.push(...Array(3).fill({ moment: 'before', kind: 'throw' }))
    await request()
    s.store.faults.splice(0)
    return told(s)
  }
  t.strictSame(await away(async () => await s.ada.refresh()), ['store_unavailable'], 'a refresh')
  t.strictSame(await away(async () => await s.ada.logout()), ['store_unavailable'], 'a logout')
  t.strictSame(await away(async () => await s.ada.get('/strict')), ['store_unavailable'], 'a hook')
  t.strictSame(await away(async () => await t.rejects(s.app.sessions.revokeAll('1'), { code: 'FST_AUTH_STORE_UNAVAILABLE' })), ['store_unavailable'], 'an administrator')
})

t.test('store outage: an event is emitted also if nothing is refused', async t => {
  let feed: (up: boolean) => void = () => {}
  const subscribe: SessionStore['subscribe'] = (_listener, connected = () => {}) => {
    feed = connected
    connected(true)
    return () => {}
  }
  const s = await guarded(t, { revocation: 'immediate', store: { ...memoryStore({ clock: () => START }), subscribe } })
  for (const up of [false, true]) feed(up) // revocations in between did not arrive, so the plugin asks the store
  forget(s.events)
  s.store.faults.push({ moment: 'before', kind: 'throw', call: 'get' })
  t.equal((await s.ada.get('/me')).statusCode, 200, 'which fails open')
  t.strictSame(told(s), ['store_unavailable'])
})

t.test('denial of service: each request that is refused as busy is an event', async t => {
  const s = await server(t, { passwords: { ...FAST_HASHING, memoryCost: 65_536, queue: { concurrency: 1, waiting: 0 } } }) // longer than the other logins take to arrive
  const login = async (): Promise<unknown> => await s.browser().login('nobody')
  await Promise.all([login(), login(), login()])
  t.strictSame(told(s).sort(), ['busy', 'busy', 'login_failed'])
})

t.test('user enumeration: a signup with a taken name, and a refused password, are events', async t => {
  const s = await loggedIn(t)
  await s.browser().signup('ada')
  t.strictSame(told(s), ['refused USERNAME_TAKEN'])
  await s.browser().signup('bob', { password: 'password1' })
  t.strictSame(told(s), ['refused PASSWORD_REFUSED'])
})

t.test('probing: a session id of another user, and a login that is not recent enough, are events', async t => {
  const s = await loggedIn(t)
  await s.ada.send({ method: 'DELETE', url: '/auth/sessions/of-somebody-else' })
  t.strictSame(told(s), ['refused SESSION_UNKNOWN'])
  s.wait('6m')
  await s.ada.get('/fresh')
  t.strictSame(told(s), ['refused FRESH_LOGIN_REQUIRED'])
})

t.test('a refusal with its own event causes no second one', async t => {
  const s = await loggedIn(t, { rateLimit: { perAddress: { max: 2, per: '15m' } } })
  await s.browser().login('ada', { password: 'wrong password' })
  t.strictSame(told(s), ['login_failed'])
  await s.browser().login('ada')
  t.strictSame(told(s), ['throttled'])
  await s.ada.refresh({ headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } })
  t.strictSame(told(s), ['cross_site_refused'])
})

t.test('a verifier reports invalid tokens, and the outage of its keys', async t => {
  const events: AuthEvent[] = []
  const app = Fastify()
  await app.register(verifier, { jwks: 'http://127.0.0.1:1/jwks', onEvent (event) { events.push(event) } })
  app.get('/', { onRequest: app.authenticate }, async () => ({}))
  t.teardown(async () => await app.close())
  await app.inject('/')
  await t.rejects(app.verifyAccessToken('x.y.z'), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
  t.strictSame(told({ events }).filter(event => event !== 'keys_reload_failed'), ['access_token_refused ACCESS_TOKEN_MISSING', 'store_unavailable'])
})

t.test('information leak: no event and no log line holds a token, a cookie or a password', async t => {
  const lines: string[] = []
  const s = await loggedIn(t, {}, { logger: { level: 'debug', stream: { write (line: string) { lines.push(line) } } } })
  const secret = [expired('access'), expired('refresh'), PASSWORD]
  await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${secret[0]}` } })
  await s.app.inject({ ...REFRESH, headers: { cookie: `${COOKIE}=${secret[1]}` } })
  await s.browser().signup('ada')
  t.equal(s.events.length, 3)
  for (const text of secret) t.notOk(JSON.stringify([s.events, lines]).includes(text))
})

t.test('log flooding: at the usual log level an invalid token adds no line to that of Fastify', async t => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'info', stream: { write (line: string) { lines.push(JSON.parse(line).msg) } } }, disableRequestLogging: true })
  await app.register(refreshCookie, { secret: SECRET, store: statelessStore(), clock: () => START })
  app.get('/', { onRequest: app.authenticate }, async () => ({}))
  for (let n = 0; n < 30; n++) await app.inject({ ...REFRESH, headers: { cookie: `${COOKIE}=x` } })
  await app.inject({ url: '/', headers: { authorization: 'Bearer x.y.z' } })
  await app.close()
  t.strictSame(lines.filter(line => line.startsWith('auth:')), [])
})

t.test('log flooding: of thousands of invalid tokens in a second 20 are recorded, the others counted', async t => {
  const s = await loggedIn(t)
  for (let n = 0; n < 1000; n++) await s.app.inject({ url: '/me', headers: { authorization: 'Bearer x.y.z' } })
  t.equal(s.events.length, 20)
  s.wait('1s')
  await s.ada.refresh()
  t.match(s.events.slice(20), exactly({ type: 'events_dropped', of: 'access_token_refused', code: 'FST_AUTH_ACCESS_TOKEN_INVALID', count: 980, requestId: null, ip: null }, { type: 'refresh' }))
})
