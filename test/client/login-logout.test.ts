import t from 'tap'
import { AuthError } from '../../lib/client/index.js'
import { exactly } from '../support/exactly.js'
import { browser, signedIn } from './support/browser.js'
import { LIFETIME, NAME, refusal } from './support/fake-server.js'
import { idle } from './support/fake-time.js'

const REFRESH = '/auth/refresh'
const LOGOUT = '/auth/logout'
const CREDENTIALS = { username: 'ann', password: 'right' }

for (const route of ['login', 'signup'] as const) {
  t.test(`${route} sends the credentials and logs in`, async t => {
    const { server, time, tab } = browser(t)
    const ann = tab()
    const state = await ann[route](CREDENTIALS)
    t.match(server.arrivals, exactly({ method: 'POST', path: `/auth/${route}`, body: JSON.stringify(CREDENTIALS) }))
    t.equal(server.arrivals[0]?.headers.get('content-type'), 'application/json')
    t.match(state, { status: 'in', claims: { sub: 'ann', name: NAME }, expiresAt: time.now() + LIFETIME * 1000, error: undefined })
    t.equal(ann.state, state)
  })

  t.test(`a refused ${route} rejects with the reason and changes nothing`, async t => {
    const { tab } = browser(t)
    const ann = tab()
    const refused = ann[route]({ username: 'ann', password: 'wrong' })
    await t.rejects(refused, { name: 'AuthError', status: 401, code: 'FST_AUTH_CREDENTIALS_INVALID', message: 'This is FST_AUTH_CREDENTIALS_INVALID' })
    t.same(ann.state, { status: 'unknown' })
  })
}

t.test('a refused login keeps the session of the current user', async t => {
  const { ann } = await signedIn(t)
  const before = ann.state
  await t.rejects(ann.login({ username: 'bob', password: 'wrong' }), AuthError)
  t.equal(ann.state, before)
})

t.test('a login that times out rejects, and takes effect when the response arrives', async t => {
  const { server, time, tab } = browser(t)
  const ann = tab({ timeout: 3000 })
  const release = server.hold('/auth/login')
  const login = ann.login(CREDENTIALS)
  login.catch(() => {})
  await time.advance(3000)
  await t.rejects(login, { name: 'AuthError', status: undefined })
  release()
  await idle()
  t.match(ann.state, { status: 'in' })
})

t.test('a login waits for a refresh of the old session', async t => {
  const { server, signedIn } = browser(t)
  const page = await signedIn()
  const release = server.hold(REFRESH)
  const renewal = page.refresh()
  await idle()
  const login = page.login({ username: 'bob', password: 'right' })
  await idle()
  t.equal(server.count('/auth/login'), 1, 'ann’s alone')
  release()
  await Promise.all([renewal, login])
  t.match(page.state, { claims: { sub: 'bob' } })
})

t.test('init logs in by the cookie with one request', async t => {
  const { server, tab } = browser(t)
  server.cookie = 'ann'
  const ann = tab()
  t.same(ann.state, { status: 'unknown' })
  const [state] = await Promise.all([ann.init(), ann.init()])
  t.match(state, { status: 'in', claims: { sub: 'ann' } })
  t.equal(await ann.init(), state)
  t.equal(server.count(REFRESH), 1)
})

const NOBODY = { status: 'out', claims: undefined, expiresAt: undefined, error: undefined }

t.test('a first visit is no error, and a reload sends no request', async t => {
  const { server, tab } = browser(t)
  t.same(await tab().init(), NOBODY)
  t.same(await tab().init(), NOBODY)
  t.same(server.arrivals.map(({ url }) => url), ['https://app.test/auth/refresh?optional=true'])
})

t.test('a first visit is no error if the server answers 401', async t => {
  const { server, tab } = browser(t)
  server.script(REFRESH, refusal(401, 'FST_AUTH_REFRESH_TOKEN_MISSING'))
  t.same(await tab().init(), NOBODY)
})

t.test('reuse detection: a page that was closed meanwhile gets the reason of its logout', async t => {
  const { server, tab } = browser(t)
  server.cookie = 'ann'
  server.ended = 'FST_AUTH_REFRESH_TOKEN_REUSED'
  t.match(await tab().init(), { status: 'out', error: { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' } })
})

t.test('a session whose cookie was deleted ends with the reason', async t => {
  const { server, tab } = browser(t)
  const ann = tab()
  await ann.login(CREDENTIALS)
  server.cookie = null
  t.match(await ann.refresh(), { status: 'out', error: { status: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' } })
  t.equal(server.arrivals.at(-1)?.url, 'https://app.test/auth/refresh')
})

t.test('init without a connection resolves, and the next call retries', async t => {
  const { server, time, tab } = browser(t)
  server.cookie = 'ann'
  server.script(REFRESH, refusal(403, 'FST_AUTH_CROSS_SITE'))
  const ann = tab()
  t.match(await ann.init(), { status: 'unknown', error: { status: 403, code: 'FST_AUTH_CROSS_SITE' } })
  await t.rejects(ann.token(), { name: 'AuthError', status: 403 })
  await time.advance(2000)
  t.match(await ann.init(), { status: 'in', error: undefined })
})

t.test('without storage each reload sends a request', async t => {
  const { server, tab } = browser(t, { storage: false })
  t.match(await tab().init(), { status: 'out' })
  t.match(await tab().init(), { status: 'out' })
  t.equal(server.count(REFRESH), 2)
})

t.test('without storage login and logout work for the lifetime of the token', async t => {
  const { tab } = browser(t, { storage: false })
  const ann = tab()
  t.match(await ann.login(CREDENTIALS), { status: 'in' })
  t.equal((await ann.fetch('/api/me')).status, 200)
  t.match(await ann.logout(), { status: 'out' })
  ann.dispose()
})

t.test('refresh finds a login without the client', async t => {
  const { server, tab } = browser(t)
  await tab().init()
  server.cookie = 'ann'
  const ann = tab()
  t.match(await ann.init(), { status: 'out' }, 'what a reload remembers')
  t.match(await ann.refresh(), { status: 'in', claims: { sub: 'ann' } })
  t.match(await tab().init(), { status: 'in' })
})

t.test('a 401 of the plugin logs out every tab, with the reason', async t => {
  const { server, tab, ann } = await signedIn(t)
  const other = tab()
  await other.init()
  server.ended = 'FST_AUTH_REFRESH_TOKEN_REUSED'

  const why = { status: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED', message: 'This is FST_AUTH_REFRESH_TOKEN_REUSED' }
  t.match(await ann.refresh(), { status: 'out', claims: undefined, expiresAt: undefined, error: why })
  await idle()
  t.match(other.state, { status: 'out', error: why })
  t.equal(await other.token(), null)
  t.match(await tab().init(), { status: 'out' })
})

t.test('a logout takes effect in every tab before the server responds', async t => {
  const { server, tab, ann } = await signedIn(t)
  const other = tab()
  await other.init()
  const release = server.hold(LOGOUT)
  const logout = ann.logout()
  await idle()
  t.match([ann.state, other.state], exactly({ status: 'out', error: undefined }, { status: 'out', error: undefined }))
  release()
  t.match(await logout, { status: 'out' })
  t.equal(server.cookie, null)
  t.match(server.arrivals.at(-1), { path: LOGOUT, init: { keepalive: true } })
})

t.test('a logout waits for a refresh in another tab, and discards its token', async t => {
  const { server, tab, ann } = await signedIn(t)
  const other = tab()
  await other.init()
  const release = server.hold(REFRESH)
  const renewal = other.refresh()
  await idle()
  const logout = ann.logout()
  await idle()
  t.equal(server.count(LOGOUT), 0)
  release()
  t.match(await renewal, { status: 'out' })
  await logout
  t.match([ann.state, other.state], exactly({ status: 'out' }, { status: 'out' }))
  t.equal(server.cookie, null)
})

t.test('a token that reaches a tab after a logout is discarded', async t => {
  const { server, channels, tab, ann } = await signedIn(t)
  const other = tab()
  await other.init()
  const witness = tab()
  await witness.init()
  const release = server.hold(LOGOUT)
  const logout = ann.logout()
  await idle()
  const late = new channels.Channel('auth:https://app.test/auth/')
  late.postMessage(channels.messages.find(message => Array.isArray(message) && message[0] !== undefined))
  await idle()
  t.match(witness.state, { status: 'in' })
  release()
  await logout
  t.match([ann.state, other.state, witness.state], exactly(...Array(3).fill({ status: 'out' })))
})

t.test('a logout that does not reach the server is retried by the next init', async t => {
  const { server, tab, storage, ann } = await signedIn(t)
  server.script(LOGOUT, 'offline')
  await t.rejects(ann.logout(), { name: 'AuthError', status: undefined })
  t.match(ann.state, { status: 'out' })
  t.equal(server.cookie, 'ann')

  t.match(await tab().init(), { status: 'out' })
  t.equal(server.cookie, null)
  t.equal(server.count(LOGOUT), 2)
  t.match(await tab().init(), { status: 'out' })
  t.equal(server.arrivals.length, 3)
  t.same(Object.values(storage), ['out'])
})

t.test('a 200 that is no reply of the plugin is no logout: the next init retries it', async t => {
  const { server, tab, ann } = await signedIn(t)
  server.script(LOGOUT, () => new Response('<h1>Start</h1>', { headers: { 'content-type': 'text/html' } }))
  await t.rejects(ann.logout(), { name: 'AuthError', status: 200 })
  t.match(ann.state, { status: 'out' })
  t.match(await tab().init(), { status: 'out' })
  t.equal(server.cookie, null)
})

t.test('a logout that fails again logs nobody in, and is retried', async t => {
  const { server, signedIn, tab } = browser(t)
  server.script(LOGOUT, 'offline', 'offline', refusal(503, 'FST_AUTH_STORE_UNAVAILABLE'))
  await t.rejects((await signedIn()).logout(), AuthError)
  t.match(await tab().init(), { status: 'out' })
  t.equal(await tab().token(), null)
  await tab().init()
  t.equal(server.cookie, null)
  t.equal(server.count(REFRESH), 0)
})

t.test('a login cancels an unfinished logout', async t => {
  const { server, tab, ann } = await signedIn(t)
  server.script(LOGOUT, 'offline')
  await t.rejects(ann.logout(), AuthError)
  await ann.login(CREDENTIALS)
  t.match(await tab().init(), { status: 'in' })
  t.equal(server.count(LOGOUT), 1)
})

t.test('token theft: no token is ever stored', async t => {
  const { server, storage, signedIn, tab } = browser(t)
  const seen: string[] = []
  const look = () => { seen.push(...Object.values(storage)) }
  const ann = await signedIn()
  look()
  await ann.refresh()
  look()
  await tab().init()
  look()
  server.script(LOGOUT, 'offline')
  await t.rejects(ann.logout(), AuthError)
  look()
  await tab().init()
  look()
  t.same(new Set(seen), new Set(['', 'logout', 'out']))
})
