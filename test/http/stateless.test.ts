/** A store that keeps no sessions never reports that it has ended one. */
import t from 'tap'
import { statelessStore } from '../../lib/index.js'
import { loggedIn, PASSWORD, type LoggedIn } from '../support/server.js'

const NEEDS_LIST = { name: 'TypeError', message: /store with "list"/ }

/** Ada's server without sessions, with routes that call the methods of request.auth. */
async function stateless (t: Parameters<typeof loggedIn>[0]): Promise<LoggedIn> {
  return await loggedIn(t, { store: statelessStore() }, {}, app => {
    app.post('/bye', { onRequest: [app.authenticate] }, async ({ auth }) => { await auth.logout(); return {} })
    app.post('/end-others', { onRequest: [app.authenticate] }, async ({ auth }) => await auth.revokeOtherSessions())
    app.post('/end/:id', { onRequest: [app.authenticate] }, async ({ auth, params }) => { await auth.revokeSession((params as { id: string }).id); return {} })
  })
}

t.test('the stateless store has no password change, since it could not end the other sessions', async t => {
  const { app, ada } = await stateless(t)
  t.notOk(app.hasRoute({ method: 'POST', url: '/auth/password' }))
  const payload = { currentPassword: PASSWORD, newPassword: 'violet umbrella' }
  t.match(await ada.send({ method: 'POST', url: '/auth/password', payload }), { statusCode: 404 })
})

t.test('the stateless store refuses app.sessions.revoke, since the session would stay alive', async t => {
  const { app } = await stateless(t)
  await t.rejects(app.sessions.revokeAll('1'), NEEDS_LIST)
  await t.rejects(app.sessions.revoke('session-1'), NEEDS_LIST)
  await t.rejects(app.sessions.list('1'), NEEDS_LIST)
  await t.rejects(app.sessions.get('session-1'), NEEDS_LIST)
  t.equal(await app.sessions.purgeExpired(), 0)
})

t.test('the stateless store refuses request.auth.revokeSession in a route of the app', async t => {
  const { ada } = await stateless(t)
  for (const url of ['/end-others', '/end/session-1']) t.match(await ada.send({ method: 'POST', url }), { statusCode: 500 }, url)
})

t.test('a logout with an access token alone clears the cookie', async t => {
  const { app, ada } = await stateless(t)
  const answer = await app.inject({ method: 'POST', url: '/bye', headers: { authorization: `Bearer ${String(ada.accessToken)}` } })
  t.match(answer, { statusCode: 200, headers: { 'set-cookie': /Max-Age=0/ } })
})
