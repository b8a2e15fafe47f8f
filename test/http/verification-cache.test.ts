import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { respelled } from '../tokens/forge.js'
import { loggedIn, type Answer, type Browser } from '../support/server.js'
import { pem } from '../support/keys.js'

/** Sends the access token of a browser. */
async function me (browser: Browser, token: string | null = browser.accessToken): Promise<Answer> {
  return await browser.send({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${token}` } })
}

t.test('cache confusion: a cached token is checked at every request', async t => {
  t.test('against the clock', async t => {
    const { ada, wait } = await loggedIn(t)
    wait(599)
    t.equal((await me(ada)).statusCode, 200)
    wait(1)
    t.match((await me(ada)).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  })

  t.test('against revocations', async t => {
    const { ada } = await loggedIn(t, { revocation: 'immediate' })
    const token = ada.accessToken
    t.equal((await me(ada)).statusCode, 200)
    await ada.logout()
    t.match((await me(ada, token)).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  })

  t.test('against the store, if the route is strict', async t => {
    const { app, ada } = await loggedIn(t, {}, {}, app => {
      app.get('/strict', { onRequest: app.authenticateStrict }, async () => 'ok')
    })
    const headers = { authorization: `Bearer ${ada.accessToken}` }
    t.equal((await app.inject({ url: '/strict', headers })).statusCode, 200)
    await app.sessions.revokeAll('1')
    t.match((await app.inject({ url: '/strict', headers })).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  })

  t.test('against the current keys', async t => {
    const key = (kid: string) => ({ kid, algorithm: 'EdDSA', use: 'sign', privateKey: pem(generateKeyPairSync('ed25519').privateKey) }) as const
    const [old, next] = [key('old'), key('next')]
    let keys = [old]
    const { app, ada } = await loggedIn(t, { keys: () => keys })
    t.equal((await me(ada)).statusCode, 200)
    keys = [next]
    await app.reloadKeys()
    t.match((await me(ada)).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' }, 'a leaked key is removed at once')
  })
})

t.test('cache confusion: another spelling of a cached token is invalid', async t => {
  const { ada } = await loggedIn(t)
  t.equal((await me(ada)).statusCode, 200)
  for (const token of respelled(String(ada.accessToken))) t.match((await me(ada, token)).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.equal((await me(ada)).statusCode, 200)
})

t.test('cache confusion: a handler that changes claims fails, and affects no other request', async t => {
  const { ada } = await loggedIn(t, {}, {}, app => {
    app.get('/rude', { onRequest: app.authenticate }, async request => Object.assign(request.auth.claims, { sub: '2' }))
  })
  t.equal((await ada.get('/rude')).statusCode, 500)
  t.match((await me(ada)).json(), { id: '1' })
})

t.test('cache confusion: two users who alternate a thousand times are never mixed up', async t => {
  const { ada, browser } = await loggedIn(t)
  const bob = browser()
  await bob.signup('bob')
  for (let turn = 0; turn < 1000; turn++) {
    const answers = await Promise.all([me(ada), me(bob)])
    if (answers[0].json().id !== '1' || answers[1].json().id !== '2') t.fail(`turn ${turn}`)
  }
})
