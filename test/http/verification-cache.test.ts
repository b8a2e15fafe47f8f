import t from 'tap'
import { respelled } from '../tokens/forge.js'
import { loggedIn, type Answer, type Browser } from '../support/server.js'

/** Sends the access token of a browser. */
async function me (browser: Browser, token: string | null = browser.accessToken): Promise<Answer> {
  return await browser.send({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${token}` } })
}

t.test('cache confusion: a cached token is checked against the clock, and if the route is strict the store, at every request', async t => {
  const { app, ada, wait } = await loggedIn(t, {}, {}, app => { app.get('/strict', { onRequest: app.authenticateStrict }, async () => 'ok') })
  for (const url of ['/me', '/strict']) t.equal((await ada.get(url)).statusCode, 200)
  await app.sessions.revokeAll('1')
  t.match((await ada.get('/strict')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  wait(599)
  t.equal((await me(ada)).statusCode, 200)
  wait(1)
  t.match((await me(ada)).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
})

t.test('cache confusion: another spelling of a cached token is invalid', async t => {
  const { ada } = await loggedIn(t)
  for (let use = 1; use <= 2; use++) t.equal((await me(ada)).statusCode, 200, 'the second use stores it in the cache')
  for (const token of respelled(String(ada.accessToken))) t.match((await me(ada, token)).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.equal((await me(ada)).statusCode, 200)
})

t.test('cache confusion: other claims with the signature of a cached token are invalid', async t => {
  const { ada } = await loggedIn(t)
  for (let use = 1; use <= 2; use++) t.equal((await me(ada)).statusCode, 200, 'the second use stores it in the cache')
  const [header, payload = '', signature] = String(ada.accessToken).split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: '2' }
  const forged = [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
  t.match((await me(ada, forged)).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
})
