import t from 'tap'
import { memoryStore } from '../../lib/stores/memory.js'
import { storeContract } from '../../lib/testing/index.js'
import { fakeClock, START } from '../support/fake-clock.js'
import { newSession } from '../support/session.js'

for (const { name, run } of storeContract(memoryStore())) {
  t.test(name, () => run(memoryStore))
}

t.test('sessions that expired make room for new ones, without a timer', async t => {
  const clock = fakeClock()
  const store = memoryStore({ clock: clock.now })
  const old = Array.from({ length: 1000 }, () => newSession())
  for (const session of old) await store.create(session)

  clock.wait('8d')
  const young = newSession({ idleExpiresAt: START + 9 * 86_400 })
  await store.create(young)
  t.strictSame(new Set(await Promise.all(old.map(({ id }) => store.get(id)))), new Set([null]))
  t.same(await store.list('ada'), [young])
})

t.test('sessions that are live stay, however many there are', async t => {
  const store = memoryStore({ clock: fakeClock().now })
  for (let count = 0; count < 1500; count++) await store.create(newSession())
  t.equal((await store.list('ada')).length, 1500)
})

t.test('a session past its idle end is purged before its absolute end', async t => {
  const store = memoryStore()
  await store.create(newSession({ idleExpiresAt: START - 1 }))
  t.equal(await store.purgeExpired(START), 1)
  t.same(await store.list('ada'), [])
})

t.test('an end is dated by the clock of the machine by default', async t => {
  const store = memoryStore()
  const session = newSession()
  await store.create(session)
  await store.revoke(session.id, 'logout')
  t.ok(Number.isSafeInteger((await store.get(session.id))?.revokedAt))
})
