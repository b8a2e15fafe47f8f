import { PGlite } from '@electric-sql/pglite'
import t from 'tap'
import { openActivityLog } from '../../example-server/activity.js'
import { type AuditEvent } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { START } from '../support/fake-clock.js'

const USER = '00000000-0000-4000-8000-000000000001'
const OTHER = '00000000-0000-4000-8000-000000000002'
const FROM = { at: START, requestId: null, userAgent: 'Firefox', ip: '192.0.2.1' }

const database = new PGlite()
await database.exec(`CREATE TABLE users (id uuid PRIMARY KEY); INSERT INTO users VALUES ('${USER}'), ('${OTHER}')`)
await openActivityLog(database)
const activity = await openActivityLog(database) // as after a restart
t.teardown(() => database.close())

t.beforeEach(async () => { await database.exec('TRUNCATE activity') })

t.test('an event is stored with its time, browser and address', async t => {
  await activity.add({ ...FROM, type: 'login', subject: USER, sessionId: 's' })
  t.same(await activity.list(USER), [{ type: 'login', reason: null, at: new Date('2026-01-01T00:00:00Z'), userAgent: 'Firefox', ip: '192.0.2.1' }])
})

t.test('the end of a session is stored with its reason', async t => {
  await activity.add({ ...FROM, type: 'revoked', subject: USER, sessionId: 's', reason: 'revoked' })
  t.match(await activity.list(USER), exactly({ type: 'revoked', reason: 'revoked' }))
})

t.test('information disclosure: a user does not see the activity of another account', async t => {
  await activity.add({ ...FROM, type: 'login_failed', subject: OTHER })
  t.same(await activity.list(USER), [])
})

t.test('unknown users, refreshes and consequences of other events are omitted', async t => {
  const events: AuditEvent[] = [
    { ...FROM, type: 'login_failed', subject: null },
    { ...FROM, type: 'cross_site_refused' },
    { ...FROM, type: 'throttled', subject: USER, what: 'session' },
    { ...FROM, type: 'refresh', subject: USER, sessionId: 's', outcome: 'rotate', generation: 1 },
    { ...FROM, type: 'refresh_refused', subject: USER, sessionId: 's', code: 'FST_AUTH_SESSION_ENDED' },
    { ...FROM, type: 'revoked', subject: USER, sessionId: 's', reason: 'superseded' },
    { ...FROM, type: 'revoked', subject: USER, sessionId: null, reason: 'password_changed' }
  ]
  for (const event of events) await activity.add(event)
  t.same((await database.query('SELECT * FROM activity')).rows, [])
})

t.test('brute force: throttled attempts are stored once an hour per account', async t => {
  const throttled = { ...FROM, type: 'throttled', what: 'account' } as const
  for (const minutes of [0, 1, 59, 60, 61]) await activity.add({ ...throttled, subject: USER, at: FROM.at + minutes * 60 })
  await activity.add({ ...throttled, subject: OTHER })
  t.same((await activity.list(USER)).map(({ at }) => at.getTime() / 1000 - FROM.at), [3600, 0])
  t.equal((await activity.list(OTHER)).length, 1)
})

t.test('the last 200 are kept, newest first', async t => {
  for (let time = 0; time < 203; time++) await activity.add({ ...FROM, at: time, type: 'logout', subject: USER, sessionId: 's' })
  t.same((await activity.list(USER)).map(({ at }) => at.getTime() / 1000), Array.from({ length: 200 }, (_, index) => 202 - index))
})
