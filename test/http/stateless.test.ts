/** Where the store keeps no sessions nothing says that it has ended one. */
import t from 'tap'
import { statelessStore } from '../../lib/index.js'
import { loggedIn, PASSWORD, type LoggedIn } from '../support/server.js'

const NEEDS_LIST = { name: 'TypeError', message: /store with "list"/ }

/** Ada's server without sessions, with routes that call the verbs. */
async function stateless (t: Parameters<typeof loggedIn>[0]): Promise<LoggedIn> {
  return await loggedIn(t, { store: statelessStore() }, {}, app => {
    app.post('/bye', { onRequest: [app.authenticate] }, async ({ auth }) => { await auth.logout(); return {} })
    app.post('/end-others', { onRequest: [app.authenticate] }, async ({ auth }) => await auth.revokeOtherSessions())
    app.post('/end/:id', { onRequest: [app.authenticate] }, async ({ auth, params }) => { await auth.revokeSession((params as { id: string }).id); return {} })
  })
}

t.test('a change of password is no route where it could not end the other sessions', async t => {
  const { app, ada } = await stateless(t)
  t.notOk(app.hasRoute({ method: 'POST', url: '/auth/password' }))
  const payload = { currentPassword: PASSWORD, newPassword: 'violet umbrella' }
  t.match(await ada.send({ method: 'POST', url: '/auth/password', payload }), { statusCode: 404 })
})

t.test('an administrator cannot take a session for ended that lives on', async t => {
  const { app } = await stateless(t)
  await t.rejects(app.sessions.revokeAll('1'), NEEDS_LIST)
  await t.rejects(app.sessions.revoke('session-1'), NEEDS_LIST)
  await t.rejects(app.sessions.list('1'), NEEDS_LIST)
  t.equal(await app.sessions.purgeExpired(), 0)
})

t.test('a person cannot take a session for ended that lives on, in a route of the app', async t => {
  const { ada } = await stateless(t)
  for (const url of ['/end-others', '/end/session-1']) t.match(await ada.send({ method: 'POST', url }), { statusCode: 500 }, url)
})

t.test('a logout by an access token alone clears the cookie all the same', async t => {
  const { app, ada } = await stateless(t)
  const answer = await app.inject({ method: 'POST', url: '/bye', headers: { authorization: `Bearer ${String(ada.accessToken)}` } })
  t.match(answer, { statusCode: 200, headers: { 'set-cookie': /Max-Age=0/ } })
})
