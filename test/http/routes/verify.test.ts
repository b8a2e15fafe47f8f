import t from 'tap'
import { memoryStore } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { loggedIn, server, type Answer, type LoggedIn } from '../../support/server.js'

const INVALID = { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_INVALID' }
const EXPIRED = { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' }
const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }

const ON = { routes: { verify: '/verify' } } as const

/** Another server as the caller, without a browser and a user. */
async function verify ({ app }: Pick<LoggedIn, 'app'>, payload: unknown): Promise<Answer> {
  return await app.inject({ method: 'POST', url: '/auth/verify', payload: payload as object })
}

t.test('is off without a path', async t => {
  const { app } = await server(t)
  t.notOk(app.hasRoute({ method: 'POST', url: '/auth/verify' }))
})

t.test('returns the claims of an access token until it expires', async t => {
  const s = await loggedIn(t, { ...ON, issuer: 'me', accessToken: { claims: () => ({ roles: ['admin'], nested: { deep: 1 } }) } })
  const answer = await verify(s, { token: s.ada.accessToken })
  t.equal(answer.statusCode, 200)
  t.strictSame(answer.json(), { claims: await s.app.verifyAccessToken(String(s.ada.accessToken)) })
  t.match(answer.json().claims, { iss: 'me', sub: '1', roles: exactly('admin'), nested: { deep: 1 } })
  s.wait('10m')
  const late = await verify(s, { token: s.ada.accessToken })
  t.match(late.json(), EXPIRED)
  t.match(late.headers, { 'www-authenticate': 'Bearer realm="api", error="invalid_token"', 'cache-control': 'no-store' })
})

t.test('token confusion: refuses everything that is no access token', async t => {
  const s = await loggedIn(t, ON)
  for (const token of [s.ada.cookie(), '', 'x', 'x.y.z', `Bearer ${String(s.ada.accessToken)}`, `${String(s.ada.accessToken)}x`]) t.match((await verify(s, { token })).json(), INVALID)
  for (const body of [{}, { token: 1 }, { token: null }, { access_token: s.ada.accessToken }, { token: s.ada.accessToken, more: 1 }]) t.match(await verify(s, body), { statusCode: 400 })
})

t.test('asks no store, and authenticates nobody', async t => {
  const s = await loggedIn(t, ON)
  await verify(s, { token: s.ada.accessToken })
  t.strictSame([...s.store.calls, ...s.users.calls, ...s.events], [])
})

t.test('refuses an ended session with immediate revocation', async t => {
  const { app, ada } = await loggedIn(t, { ...ON, revocation: 'immediate' })
  t.match(await verify({ app }, { token: ada.accessToken }), { statusCode: 200 })
  await ada.logout()
  t.match((await verify({ app }, { token: ada.accessToken })).json(), ENDED)
})

t.test('asks the store about a session whose state is unknown', async t => {
  const store = memoryStore()
  const before = await loggedIn(t, { store })
  const { app } = await server(t, { ...ON, store, revocation: 'immediate' })
  t.match(await verify({ app }, { token: before.ada.accessToken }), { statusCode: 200 })
  await before.ada.logout()
  const after = await server(t, { ...ON, store, revocation: 'immediate' })
  t.match((await verify(after, { token: before.ada.accessToken })).json(), ENDED)
})
