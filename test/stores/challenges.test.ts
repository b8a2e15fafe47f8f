import t, { type Test } from 'tap'
import { sqliteStore } from '../../lib/stores/sqlite/index.js'
import { ENGINES, type Engine } from '../support/engines.js'
import { loggedIn, testClock } from '../support/server.js'
import { sqliteDatabase, sqliteFile } from '../support/sqlite.js'

/** Each kind of store; SQLite runs in the process, so that it has no server to start. */
const STORES: Readonly<Record<string, (t: Test) => Promise<Pick<Engine, 'store'> | null>>> = {
  ...ENGINES,
  SQLite: async t => {
    const db = sqliteDatabase(t, await sqliteFile(t))
    return { store: async clock => sqliteStore(db, { clock }) }
  }
}

for (const [name, start] of Object.entries(STORES)) {
  t.test(`challenges in ${name} are accepted once, and are in no list of sessions`, async t => {
    const engine = await start(t)
    if (engine === null) return
    const clock = testClock()
    const { app, ada } = await loggedIn(t, { clock, store: await engine.store(clock), revocation: 'immediate' }, {}, app => {
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
