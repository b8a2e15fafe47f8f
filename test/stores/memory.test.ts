import t from 'tap'
import { memoryStore } from '../../lib/stores/memory.js'
import { exactly } from '../support/exactly.js'
import { fakeClock, START } from '../support/fake-clock.js'
import { newSession } from '../support/session.js'
import { keepsTheContract } from '../support/store-contract.js'

keepsTheContract(t, memoryStore)

t.test('expired sessions are purged at a login, without a timer', async t => {
  const clock = fakeClock()
  let isBroken = false
  const store = memoryStore({ clock () { if (isBroken) throw new Error('no time'); return clock.now() } })
  const old = Array.from({ length: 1000 }, () => newSession())
  for (const session of old) await store.create(session)

  clock.wait('8d')
  clock.wait(1)
  isBroken = true
  await t.rejects(store.create(newSession()), { message: 'no time' })
  isBroken = false
  const young = newSession({ idleExpiresAt: START + 9 * 86_400 })
  await store.create(young)
  t.strictSame(new Set(await Promise.all(old.map(({ id }) => store.get(id)))), new Set([null]))
  t.match(await store.list('ada'), exactly(young))
})

t.test('denial of service: a login searches for expired sessions only once there are twice as many', async t => {
  const clock = fakeClock()
  const store = memoryStore({ clock: clock.now })
  const old = newSession()
  await store.create(old)
  const logins = async (count: number): Promise<void> => {
    for (let nth = 0; nth < count; nth++) await store.create(newSession({ idleExpiresAt: START + 90 * 86_400 }))
  }
  await logins(1001)
  clock.wait('8d')
  clock.wait(1)
  await logins(900)
  t.not(await store.get(old.id), null)
  await logins(200)
  t.equal(await store.get(old.id), null)
})

t.test('a session past its idle end stays for as long as an access token may renew it, however many there are', async t => {
  const clock = fakeClock()
  const store = memoryStore({ clock: clock.now })
  const idle = Array.from({ length: 1000 }, () => newSession())
  for (const session of idle) await store.create(session)
  clock.wait('8d') // a week of idleness, and the longest life of an access token
  await store.create(newSession({ idleExpiresAt: START + 9 * 86_400 }))
  t.equal((await Promise.all(idle.map(({ id }) => store.get(id)))).filter(session => session === null).length, 0)
})

t.test('live sessions stay, however many there are', async t => {
  const store = memoryStore({ clock: fakeClock().now })
  for (let count = 0; count < 1500; count++) await store.create(newSession())
  t.equal((await store.list('ada')).length, 1500)
})

t.test('denial of service: other work runs between the batches of a purge', async t => {
  const store = memoryStore({ clock: () => START })
  for (let nth = 0; nth < 10_001; nth++) await store.create(newSession({ subject: String(nth), idleExpiresAt: START - 1 }))
  let isBetween = false
  setImmediate(() => { isBetween = true })
  t.equal(await store.purgeExpired(START), 10_001)
  t.ok(isBetween)
})

t.test('race: a purge deletes no session that was refreshed while it paused', async t => {
  const store = memoryStore({ clock: () => START })
  const sessions = Array.from({ length: 10_001 }, (_, nth) => newSession({ subject: String(nth), idleExpiresAt: START - 1 }))
  for (const session of sessions) await store.create(session)
  const purging = store.purgeExpired(START)
  const change = { generation: 1, previous: 0, rotatedAt: START, idleExpiresAt: START + 60 }
  for (const { id } of sessions.slice(-3)) t.equal(await store.advance(id, 0, change) === null, await store.get(id) === null, id)
  const advanced = (await Promise.all(sessions.slice(-3).map(({ id }) => store.get(id)))).filter(session => session !== null)
  await purging
  for (const { id } of advanced) t.not(await store.get(id), null)
  t.ok(advanced.length > 0)
})

t.test('a session past its idle end is purged before its absolute end', async t => {
  const store = memoryStore()
  await store.create(newSession({ idleExpiresAt: START - 1 }))
  t.equal(await store.purgeExpired(START), 1)
  t.same(await store.list('ada'), [])
})

t.test('a flood of sessions is revoked in batches that let other requests run', async t => {
  const store = memoryStore({ clock: fakeClock().now })
  const spared = newSession()
  await store.create(spared)
  for (let count = 0; count < 1500; count++) await store.create(newSession())
  let turns = 0
  setImmediate(() => { turns++ })
  t.equal(await store.revokeAll('ada', 'revoked', spared.id), 1000)
  t.equal(turns, 1)
  t.equal(await store.revokeAll('ada', 'revoked', spared.id), 500)
  t.equal(await store.revokeAll('ada', 'revoked', spared.id), 0)
  t.match(await store.list('ada'), exactly({ id: spared.id }))
})

t.test('a revocation is dated by the system clock by default', async t => {
  const store = memoryStore()
  const session = newSession()
  await store.create(session)
  await store.revoke(session.id, 'logout')
  t.ok(Number.isSafeInteger((await store.get(session.id))?.revokedAt))
})

t.test('each of a user’s sessions is revoked separately', async t => {
  const store = memoryStore()
  const [one, two, three] = [newSession({ createdAt: 1, idleExpiresAt: START + 1 }), newSession({ createdAt: 2, idleExpiresAt: START + 2 }), newSession({ createdAt: 3, idleExpiresAt: START + 3 })]
  for (const session of [one, two, three]) await store.create(session)
  for (const left of [[two, three], [three], []]) {
    t.equal(await store.purgeExpired(START + 4 - left.length), 1)
    t.match((await store.list('ada')).map(({ id }) => id), exactly(...left.map(({ id }) => id)))
  }
})

t.test('user agents are kept, however many differ', async t => {
  const store = memoryStore({ clock: fakeClock().now })
  const sessions = Array.from({ length: 2500 }, (_, nth) => newSession({ userAgent: `browser ${nth % 1250}` }))
  for (const session of sessions) await store.create(session)
  t.strictSame(await Promise.all(sessions.map(async ({ id }) => (await store.get(id))?.userAgent)), sessions.map(({ userAgent }) => userAgent))
})

t.test('a page has the oldest sessions, in any order of creation', async t => {
  const store = memoryStore({ clock: fakeClock().now })
  // 7 and 100 have no factor in common, so this is each of the hundred once.
  const ages = Array.from({ length: 100 }, (_, nth) => (nth * 7) % 100)
  for (const age of ages) await store.create(newSession({ createdAt: START + age, rotatedAt: START + age }))
  const part = await store.list('ada', { limit: 10 })
  t.same(part.map(({ createdAt }) => createdAt - START), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})
