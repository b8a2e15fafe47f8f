import Fastify from 'fastify'
import t from 'tap'
import refreshCookie, { statelessStore, type RefreshCookieOptions, type SessionStore } from '../../../lib/index.js'
import { memoryStore } from '../../../lib/stores/memory.js'
import { exactly } from '../../support/exactly.js'
import { forget, loggedIn, PASSWORD, payloadOf, SECRET, server, setCookies, type TestServer } from '../../support/server.js'

const proof = (password = PASSWORD) => ({ method: 'POST', url: '/auth/reauthenticate', payload: { password } }) as const

/** A server with a page that requires a login within the last five minutes. */
async function bank (t: Parameters<typeof server>[0], store?: SessionStore, options: RefreshCookieOptions = {}): Promise<TestServer> {
  const app = await server(t, { ...options, ...(store && { store }) }, {}, app => {
    app.get('/transfer', { onRequest: app.requireFreshLogin('5m') }, async () => ({ done: true }))
    app.get('/page', { onRequest: app.authenticateByCookie }, async ({ auth }) => ({ auth_time: auth.identity.auth_time }))
  })
  return app
}

t.test('step-up: a route that needs a fresh login refuses an old one until the password is given again', async t => {
  const { browser, clock, wait } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  t.equal((await ada.get('/transfer')).statusCode, 200)
  wait('5m')
  t.equal((await ada.get('/transfer')).statusCode, 200, 'exactly five minutes are accepted')
  wait('1s')
  t.match((await ada.get('/transfer')).json(), { statusCode: 403, code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })

  const answer = await ada.send(proof())
  t.equal(answer.statusCode, 200)
  t.match(payloadOf(ada.cookie()), { gen: 0, auth_time: clock() }, 'the session stays, and the cookie is as recent as the access token')
  ada.accessToken = answer.json().access_token
  t.equal((await ada.get('/transfer')).statusCode, 200)
})

t.test('requireFreshLogin refuses a session that has ended, though authenticate accepts its access token', async t => {
  const { app, browser, store } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  store.faults.push({ moment: 'before', kind: 'throw' })
  t.match((await ada.get('/transfer')).json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' })
  await app.sessions.revokeAll('1')
  t.match((await ada.get('/transfer')).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
  t.equal((await ada.get('/me')).statusCode, 200)
})

t.test('requireFreshLogin goes by the token alone if the store keeps no sessions', async t => {
  const { browser, wait } = await bank(t, statelessStore())
  const ada = browser()
  await ada.signup('ada')
  t.equal((await ada.get('/transfer')).statusCode, 200)
  wait('6m')
  t.match((await ada.get('/transfer')).json(), { statusCode: 403, code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
})

t.test('step-up: a login whose time is in the future, since the clock was set back, is not recent', async t => {
  const { browser, wait } = await bank(t)
  const ada = browser()
  wait('1h')
  await ada.signup('ada')
  t.equal((await ada.get('/transfer')).statusCode, 200)
  wait(-3600)
  await ada.refresh()
  t.match((await ada.get('/transfer')).json(), { code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
})

t.test('step-up: a refresh changes no auth_time', async t => {
  const { browser, wait } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  wait('6m')
  await ada.refresh()
  t.match((await ada.get('/transfer')).json(), { code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
  await ada.send(proof())
  await ada.refresh()
  t.equal((await ada.get('/transfer')).statusCode, 200)
})

/** Uses of a stolen copy of the tokens, each after the owner has reauthenticated. */
const THEFTS: Readonly<Record<string, { readonly options?: RefreshCookieOptions, readonly rotate?: boolean, readonly wait: '1s' | '2m', readonly withoutCookie?: boolean, readonly isReuse?: boolean }>> = {
  'the current cookie, within its grace period': { wait: '1s' },
  'the current cookie': { wait: '2m' },
  'the cookie before it': { rotate: true, wait: '1s' },
  'the cookie before it, as of a lost reply': { rotate: true, wait: '2m', isReuse: true },
  'an access token that renews the session': { options: { refreshToken: { renewWithAccessToken: true } }, wait: '2m', withoutCookie: true }
}

for (const [name, { options, rotate = false, wait: pause, withoutCookie = false, isReuse = false }] of Object.entries(THEFTS)) {
  t.test(`token theft: a reauthentication of the owner does not make ${name} recent`, async t => {
    const { browser, clock, wait } = await bank(t, undefined, options)
    const ada = browser()
    await ada.signup('ada')
    wait('6m')
    if (!rotate) await ada.refresh()
    const thief = withoutCookie ? browser() : ada.copy()
    thief.accessToken = ada.accessToken
    const loggedInAt = payloadOf(ada.cookie())['auth_time']
    if (rotate) await ada.refresh()
    t.equal((await ada.send(proof())).statusCode, 200)
    wait(pause)
    t.equal((await thief.refresh()).statusCode, 200)
    t.match((await thief.get('/transfer')).json(), { code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
    t.match((await thief.get('/page')).json(), { auth_time: loggedInAt })
    t.match(await ada.refresh(), { statusCode: isReuse ? 401 : 200 })
    if (isReuse) return
    t.equal((await ada.get('/transfer')).statusCode, 200, 'the owner stays recent')
    t.ok(clock() - (await ada.get('/page')).json().auth_time < 300)
  })
}

t.test('step-up: the new cookie keeps remember; there is none for a request without that of the session', async t => {
  for (const remember of [true, false]) {
    const { ada, browser } = await loggedIn(t)
    await ada.login('ada', { remember })
    const [line = ''] = setCookies(await ada.send(proof()))
    t.equal(line.includes('Max-Age='), remember)
    const elsewhere = await browser().login('ada')
    ada.jar.store(setCookies(elsewhere)) // an attacker planted the cookie of another session (cookie tossing)
    t.strictSame(setCookies(await ada.send(proof())), [])
    const page = browser()
    page.accessToken = ada.accessToken
    t.strictSame(setCookies(await page.send(proof())), [])
  }
})

t.test('reuse detection: a cookie that was replaced earlier does not reauthenticate, and ends the session', async t => {
  const { ada, wait, events } = await loggedIn(t)
  const thief = ada.copy()
  for (let nth = 0; nth < 3; nth++) {
    wait('1m')
    await ada.refresh()
  }
  thief.accessToken = ada.accessToken
  forget(events)
  const answer = await thief.send(proof())
  t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  t.strictSame(setCookies(answer), [])
  t.match(events.map(({ type }) => type), exactly('reuse', 'refused'))
  t.match(await ada.refresh(), { statusCode: 401 })
})

t.test('step-up: after a lost reply the old cookie gets an access token only, until it has refreshed', async t => {
  const { ada, wait } = await loggedIn(t)
  const old = ada.copy()
  wait('1m')
  await ada.refresh()
  wait('1m')
  old.accessToken = ada.accessToken
  const answer = await old.send(proof())
  t.match(answer, { statusCode: 200 })
  t.strictSame(setCookies(answer), [])
  t.match(await ada.refresh(), { statusCode: 200 }, 'the session goes on')
})

t.test('step-up: a wrong password does not reauthenticate', async t => {
  const { browser } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  t.match((await ada.send(proof('wrong password'))).json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID', message: 'The password is wrong' })
  t.match((await browser().send(proof())).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
})

t.test('step-up: a deleted or disabled user cannot reauthenticate', async t => {
  const { browser, users } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  users.byName.clear()
  t.match((await ada.send(proof())).json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' })
})

t.test('step-up: an ended session cannot reauthenticate', async t => {
  const { app, browser } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  await app.sessions.revokeAll('1')
  t.match((await ada.send(proof())).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('race: a reauthentication succeeds beside concurrent refreshes, or is busy', async t => {
  const store = memoryStore()
  const { browser } = await bank(t, store)
  const ada = browser()
  await ada.signup('ada')

  const { advance } = store
  let losses = 2
  store.advance = async (...step) => losses-- > 0 ? null : await advance(...step)
  t.equal((await ada.send(proof())).statusCode, 200)
  losses = Infinity
  t.match(await ada.send(proof()), { statusCode: 503, headers: { 'retry-after': '1' } })
})

t.test('requireFreshLogin throws for an invalid duration', async t => {
  const { app } = await server(t)
  t.throws(() => app.requireFreshLogin('soon' as never), { name: 'TypeError' })
})

t.test('requireFreshLogin requires an access token', async t => {
  const { browser } = await bank(t)
  t.match((await browser().get('/transfer')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
})

t.test('the stateless store has no reauthentication', async t => {
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, store: statelessStore(), users: { findById: () => null } })
  await app.ready()
  t.notOk(app.hasRoute({ method: 'POST', url: '/auth/reauthenticate' }))
  await app.close()
})
