import t from 'tap'
import { DATABASES } from '../support/databases.js'
import { loggedIn, testClock } from '../support/server.js'

for (const [name, open] of Object.entries(DATABASES)) {
  t.test(`challenges in ${name} are accepted once, and are in no list of sessions`, async t => {
    const database = await open(t)
    if (database === null) return
    const clock = testClock()
    const { app, ada } = await loggedIn(t, { clock, store: database.place(t)({ clock }), revocation: 'immediate' }, {}, app => {
      app.post('/issue', async ({ auth }) => ({ token: await auth.issueChallenge('1', { purpose: 'totp' }) }))
      app.post<{ Body: { token: string } }>('/accept', async ({ auth, body }) => ({ sub: await auth.acceptChallenge(body.token, { purpose: 'totp' }) }))
    })
    const issue = async (): Promise<string> => (await app.inject({ method: 'POST', url: '/issue' })).json().token
    const accept = async (token: string): Promise<number> => (await app.inject({ method: 'POST', url: '/accept', payload: { token } })).statusCode

    const token = await issue()
    const statuses = await Promise.all(Array.from({ length: 5 }, async () => await accept(token)))
    t.strictSame(statuses.sort(), [200, 401, 401, 401, 401])
    const other = await issue()
    t.equal((await ada.get('/auth/sessions')).json().length, 1)
    t.equal(await app.sessions.revokeAll('1'), 1)
    t.equal(await accept(other), 200)
    const expired = await issue()
    clock.wait('5m')
    t.equal(await accept(expired), 401)
  })
}
