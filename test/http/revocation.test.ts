import { mock } from 'node:test'
import { type FastifyInstance } from 'fastify'
import t from 'tap'
import { type AuditEvent, type RefreshCookieOptions } from '../../lib/index.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { PASSWORD, server, testClock, userTable } from '../support/server.js'

/** Two instances of one app with one store, one clock and one user table. */
async function twoInstances (t: Parameters<typeof server>[0], more: RefreshCookieOptions = {}, moreOfTwo: RefreshCookieOptions = {}) {
  const clock = testClock()
  const users = userTable()
  const inner = memoryStore({ clock })
  let away = false
  let deaf = false
  const connections: Array<(up: boolean) => void> = []
  const store: ReturnType<typeof memoryStore> = {
    ...inner,
    async get (id) {
      if (away) throw new Error('away')
      return await inner.get(id)
    },
    subscribe (listener, onConnection) {
      if (onConnection !== undefined) connections.push(onConnection)
      return inner.subscribe(revocation => { if (!deaf) listener(revocation) }, onConnection)
    }
  }
  const events: AuditEvent[] = []
  const options = { clock, users, store, revocation: 'immediate', onEvent: (event: AuditEvent) => { events.push(event) }, ...more } as const
  const strict = (app: FastifyInstance): void => { app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({})) }
  const one = await server(t, options, {}, strict)
  const two = await server(t, { ...options, ...moreOfTwo }, {}, strict)
  /** Disconnects both instances from revocation messages, or reconnects them; the store stays reachable. */
  const cutMessages = (off: boolean): void => {
    deaf = off
    for (const tell of connections) tell(!off)
  }
  clock.wait('1h') // so that nobody's token is from before the start
  return {
    one,
    two,
    clock,
    events,
    /** Disconnects both instances from the store, or reconnects them. */
    cut (off: boolean) {
      away = off
      cutMessages(off)
    },
    cutMessages
  }
}

t.test('immediate revocation: every instance refuses the access token of an ended session at once', async t => {
  const { one, two, clock } = await twoInstances(t)
  const ada = one.browser()
  await ada.signup('ada')
  const elsewhere = two.browser()
  elsewhere.accessToken = ada.accessToken
  t.equal((await elsewhere.get('/me')).statusCode, 200)

  await ada.logout()
  for (const browser of [ada, elsewhere]) {
    t.match((await browser.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
    t.match((await browser.get('/maybe')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  }
  clock.wait('10m')
  t.match((await elsewhere.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
})

t.test('immediate revocation: an instance with shorter access tokens refuses the longer ones of another until they expire', async t => {
  const { one, two, clock } = await twoInstances(t, { accessToken: { expiresIn: '1h' } }, { accessToken: { expiresIn: '5m' } })
  const ada = one.browser()
  await ada.signup('ada')
  const elsewhere = two.browser()
  elsewhere.accessToken = ada.accessToken
  await ada.logout()
  for (let minutes = 0; minutes < 60; minutes += 10) {
    const bob = two.browser()
    await bob.signup(`bob${minutes}`)
    await bob.logout() // each revocation deletes the entries that are no longer needed
    t.match((await elsewhere.get('/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' }, `after ${minutes} minutes`)
    clock.wait('10m')
  }
  t.match((await elsewhere.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
})

t.test('immediate revocation: a password change ends the access tokens of every other session', async t => {
  const { one, two, clock } = await twoInstances(t)
  const laptop = one.browser()
  const phone = two.browser()
  await laptop.signup('ada')
  await phone.login('ada')
  clock.wait('1m')

  const changed = await laptop.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'a better passphrase' } })
  t.match((await phone.get('/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  t.match((await laptop.get('/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' }, 'the token from before the change')
  laptop.accessToken = changed.json().access_token
  t.equal((await laptop.get('/me')).statusCode, 200)
})

t.test('immediate revocation: a login in the same second as a revocation is accepted', async t => {
  const { one, two } = await twoInstances(t)
  const ada = one.browser()
  await ada.signup('ada')
  await two.app.sessions.revokeAll('1')
  t.match((await ada.get('/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  await ada.login('ada')
  t.equal((await ada.get('/me')).statusCode, 200)
})

t.test('immediate revocation: an instance that was disconnected learns of missed revocations afterwards', async t => {
  const { one, two, cut, events } = await twoInstances(t)
  const ada = one.browser()
  const bob = one.browser()
  await ada.signup('ada')
  await bob.signup('bob')

  cut(true)
  await two.app.sessions.revokeAll('1')
  t.equal((await ada.get('/me')).statusCode, 200, 'it uses the revocations that it has')
  t.match((await ada.get('/strict')).json(), { statusCode: 503 })
  cut(false)
  t.match((await ada.get('/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  t.equal((await bob.get('/me')).statusCode, 200)
  t.same(events.filter(event => event.type === 'revocation_feed').map(event => event.up), [false, false, true, true], 'once for each instance')
})

t.test('immediate revocation: a store outage refuses no session that is known as live', async t => {
  const { one, cut } = await twoInstances(t)
  const ada = one.browser()
  await ada.signup('ada')
  cut(true)
  cut(false)
  cut(true)
  t.equal((await ada.get('/me')).statusCode, 200)
})

t.test('immediate revocation: requireFreshLogin refuses ended sessions', async t => {
  const { one, two, clock } = await twoInstances(t)
  const ada = one.browser()
  await ada.signup('ada')
  t.equal((await ada.get('/fresh')).statusCode, 200)
  await two.app.sessions.revokeAll('1')
  t.match((await ada.get('/fresh')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  await ada.login('ada')
  t.equal((await ada.get('/fresh')).statusCode, 200, 'the store was asked')
  clock.wait('6m')
  t.match((await ada.get('/fresh')).json(), { code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
})

const UNAVAILABLE = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }

t.test('fail closed: while the subscription is down a stolen access token of an ended session is refused', async t => {
  const { one, two, cutMessages } = await twoInstances(t, { revocationUnknown: 'refuse' })
  const ada = one.browser()
  const bob = one.browser()
  await ada.signup('ada')
  await bob.signup('bob')
  cutMessages(true)
  await two.app.sessions.revokeAll('1')
  await t.rejects(one.app.verifyAccessToken(String(ada.accessToken)), { code: 'FST_AUTH_SESSION_ENDED' }, 'nor over a WebSocket')
  t.match((await ada.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }, 'the store was asked')
  t.equal((await bob.get('/me')).statusCode, 200)
  one.store.calls.splice(0)
  await bob.get('/me')
  t.strictSame(one.store.calls, ['get'], 'at each request')
  cutMessages(false)
  await bob.get('/me')
  one.store.calls.splice(0)
  t.equal((await bob.get('/me')).statusCode, 200)
  t.strictSame(one.store.calls, [], 'but not once messages arrive')
})

t.test('fail closed: without subscription and store the reply is 503', async t => {
  const { one, cut, clock } = await twoInstances(t, { revocationUnknown: 'refuse' })
  const ada = one.browser()
  await ada.signup('ada')
  cut(true)
  for (const url of ['/me', '/maybe', '/fresh', '/strict', '/auth/sessions']) {
    const answer = await ada.get(url)
    t.match(answer.json(), UNAVAILABLE, url)
    t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
  }
  await t.rejects(one.app.verifyAccessToken(String(ada.accessToken)), UNAVAILABLE, 'like a hook')
  cut(false)
  t.equal((await ada.get('/me')).statusCode, 200)
  t.match(await one.app.verifyAccessToken(String(ada.accessToken)), { sub: '1' })
  clock.wait('10m')
  cut(true)
  t.match((await ada.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' }, 'an expired token needs no store')
})

t.test('fail closed: a store that does not answer in time counts as unavailable', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { one, cutMessages } = await twoInstances(t, { revocationUnknown: 'refuse' })
  const ada = one.browser()
  await ada.signup('ada')
  cutMessages(true)
  one.store.faults.push({ moment: 'before', kind: 'hang' })
  const answer = ada.get('/me')
  while (one.store.faults.length > 0) await new Promise(resolve => setImmediate(resolve))
  mock.timers.tick(2000)
  t.match((await answer).json(), UNAVAILABLE)
})
