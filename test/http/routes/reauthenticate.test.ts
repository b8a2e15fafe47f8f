import Fastify from 'fastify'
import t from 'tap'
import refreshCookie, { statelessStore, type SessionStore } from '../../../lib/index.js'
import { memoryStore } from '../../../lib/stores/memory.js'
import { PASSWORD, SECRET, server, type TestServer } from '../../support/server.js'

const proof = (password = PASSWORD) => ({ method: 'POST', url: '/auth/reauthenticate', payload: { password } }) as const

/** A server with a page that requires a login within the last five minutes. */
async function bank (t: Parameters<typeof server>[0], store?: SessionStore): Promise<TestServer> {
  const app = await server(t, store && { store }, {}, app => {
    app.get('/transfer', { onRequest: app.requireFreshLogin('5m') }, async () => ({ done: true }))
  })
  return app
}

t.test('step-up: a route that needs a fresh login refuses an old one until the password is given again', async t => {
  const { browser, wait } = await bank(t)
  const ada = browser()
  await ada.signup('ada')
  t.equal((await ada.get('/transfer')).statusCode, 200)
  wait('5m')
  t.equal((await ada.get('/transfer')).statusCode, 200, 'exactly five minutes are accepted')
  wait('1s')
  t.match((await ada.get('/transfer')).json(), { statusCode: 403, code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })

  const answer = await ada.send(proof())
  t.equal(answer.statusCode, 200)
  t.notOk(answer.headers['set-cookie'], 'the session and its cookie are unchanged')
  ada.accessToken = answer.json().access_token
  t.equal((await ada.get('/transfer')).statusCode, 200)
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
