import t, { type Test } from 'tap'
import { memoryStore } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, payloadOf, setCookies, type Browser } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

async function withAda (t: Test): Promise<Recipe & { readonly ada: Browser }> {
  const r = await recipe(t, 'reissue', { given: { store: memoryStore() } })
  const ada = r.browser()
  await ada.signup('ada')
  return { ...r, ada }
}

t.test('a login returns both tokens, for 30 minutes and 7 days', async t => {
  const { ada } = await withAda(t)
  const answer = await ada.login('ada')
  t.match(answer.json(), { token_type: 'Bearer', expires_in: 1800 })
  t.match(setCookies(answer), exactly(new RegExp(`^${COOKIE}=[\\w.-]+; Max-Age=604800; `)))
  t.strictSame((await ada.get('/me')).json(), { id: '1' })
})

t.test('a wrong password is 401 with a challenge', async t => {
  const { ada } = await withAda(t)
  t.match(await ada.login('ada', { password: 'wrong' }), { statusCode: 401, headers: { 'www-authenticate': /^Bearer/ } })
})

t.test('every refresh returns two new tokens, even within one second', async t => {
  const { ada, wait } = await withAda(t)
  const seen = new Set([ada.accessToken, ada.cookie()])
  for (let i = 1; i <= 20; i++) {
    if (i % 2 === 0) wait('1d')
    t.match(await ada.refresh(), { statusCode: 200 })
    seen.add(ada.accessToken).add(ada.cookie())
    t.equal(seen.size, 2 * i + 2)
  }
  t.strictSame((await ada.get('/me')).json(), { id: '1' })
})

t.test('an access token expires after 30 minutes, a refresh token after 7 days', async t => {
  const { ada, wait } = await withAda(t)
  const [line = ''] = setCookies(await ada.refresh())
  wait('30m')
  t.match((await ada.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  wait(7 * 86_400 - 1800)
  const kept = { cookie: line.split(';', 1)[0] ?? '' }
  t.match((await ada.refresh({ headers: kept })).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' })
})

t.test('the user is loaded again: a deleted one is refused for good', async t => {
  const { ada, users } = await withAda(t)
  const [row] = users.byName.values()
  users.byName.clear()
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
  if (row !== undefined) users.byName.set('ada', row)
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('reuse detection: a second use of a refresh token ends the session', async t => {
  const { ada } = await withAda(t)
  const copy = ada.copy()
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match((await copy.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
})

t.test('token confusion: no token is accepted as the other, nor from a URL', async t => {
  const { ada, app } = await withAda(t)
  const cookie = String(ada.cookie())
  t.match((await app.inject({ url: '/me', headers: { authorization: `Bearer ${cookie}` } })).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.match((await app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: `${COOKIE}=${String(ada.accessToken)}` } })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  t.match((await app.inject({ method: 'POST', url: '/auth/refresh', query: { token: cookie } })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
})

t.test('the session does not last for ever', async t => {
  const { ada, wait } = await withAda(t)
  const { end } = payloadOf(ada.cookie())
  for (let day = 0; day < 30; day += 6) {
    t.match(await ada.refresh(), { statusCode: 200 })
    t.equal(payloadOf(ada.cookie())['end'], end)
    wait('6d')
  }
  t.match(await ada.refresh(), { statusCode: 401 })
})
