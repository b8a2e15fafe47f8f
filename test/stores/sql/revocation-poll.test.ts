import t, { type Test } from 'tap'
import { type Revocation } from '../../../lib/sessions/store.js'
import { RevocationPoll, type NumberedRevocation } from '../../../lib/stores/sql/store.js'

/** A counter and its revocations, read by a poll whose pauses the test ends. */
function polled (t: Test) {
  const table = { newest: 0, revoked: [] as NumberedRevocation[], fails: false, reads: 0, answers: Promise.resolve() }
  let turn = (): void => {}
  const poll = new RevocationPoll(1000, async (after, limit) => {
    table.reads++
    if (table.fails) throw new Error('not this time')
    const { newest, revoked } = table
    await table.answers
    return { newest, revoked: revoked.filter(({ id, number }) => number > after.number || (number === after.number && id > after.id)).slice(0, limit) }
  }, async (ms, signal) => {
    t.equal(ms, 1000)
    await new Promise<void>(resolve => {
      turn = resolve
      signal.addEventListener('abort', () => resolve())
    })
  })
  return {
    poll,
    table,
    /** Another process revokes some sessions. */
    revoke (...ids: string[]) {
      table.newest++
      table.revoked.push(...ids.sort().map(id => ({ id, number: table.newest })))
    },
    async next () {
      turn()
      for (let i = 0; i < 20; i++) await Promise.resolve()
    }
  }
}

function listening ({ poll, next }: ReturnType<typeof polled>) {
  const [revoked, connections]: [Revocation[], boolean[]] = [[], []]
  const stop = poll.subscribe(revocation => revoked.push(revocation), up => connections.push(up))
  return { revoked, connections, stop, ready: next() }
}

t.test('a subscription is up after the first poll, and reports only later revocations', async t => {
  const source = polled(t)
  source.revoke('before')
  const { revoked, connections, ready } = listening(source)
  await ready
  await source.next()
  t.same(connections, [true], 'a poll without news reports nothing')
  source.revoke('a', 'b')
  source.revoke('c')
  await source.next()
  await source.next()
  t.same(revoked, [{ id: 'a' }, { id: 'b' }, { id: 'c' }])
  t.same(connections, [true])
})

t.test('more revocations than one read returns are all reported in the same turn', async t => {
  const source = polled(t)
  const { revoked, ready } = listening(source)
  await ready
  const ids = Array.from({ length: 2500 }, (_, nth) => String(nth).padStart(4, '0'))
  source.revoke(...ids)
  await source.next()
  t.same(revoked, ids.map(id => ({ id })))
})

t.test('a revocation of this store is reported at once, and by the poll too, since its reply may have been lost', async t => {
  const source = polled(t)
  const { revoked, ready } = listening(source)
  await ready
  source.poll.notify({ id: 'mine' })
  t.same(revoked, [{ id: 'mine' }])
  source.revoke('mine', 'of a lost reply')
  await source.next()
  t.same(revoked, [{ id: 'mine' }, { id: 'mine' }, { id: 'of a lost reply' }])
})

t.test('a failed poll is reported, and the next one misses nothing', async t => {
  const source = polled(t)
  const { revoked, connections, ready } = listening(source)
  await ready
  source.table.fails = true
  source.revoke('meanwhile')
  await source.next()
  await source.next()
  t.same(connections, [true, false])
  source.table.fails = false
  await source.next()
  t.same(connections, [true, false, true])
  t.same(revoked, [{ id: 'meanwhile' }])
})

t.test('a first poll that fails is reported', async t => {
  const source = polled(t)
  source.table.fails = true
  const { connections, ready } = listening(source)
  await ready
  t.same(connections, [false])
})

t.test('a counter that went back, as in a restored copy, interrupts the subscription', async t => {
  const source = polled(t)
  source.table.newest = 7
  const { revoked, connections, ready } = listening(source)
  await ready
  source.table.newest = 3
  await source.next()
  t.same(connections, [true, false, true])
  source.revoke('after')
  await source.next()
  t.same(revoked, [{ id: 'after' }])
})

t.test('subscriptions share one poll, which ends with the last of them', async t => {
  const source = polled(t)
  const one = listening(source)
  await one.ready
  const other = listening(source)
  t.same(other.connections, [true])
  t.equal(source.table.reads, 1)
  await one.stop()
  source.revoke('a')
  await source.next()
  t.same([one.revoked, other.revoked], [[], [{ id: 'a' }]])
  await other.stop()
  const { reads } = source.table
  await source.next()
  t.equal(source.table.reads, reads)
})

t.test('a subscription that ends during a read reports nothing', async t => {
  const source = polled(t)
  const { revoked, connections, stop, ready } = listening(source)
  await ready
  source.revoke('a')
  let answer = (): void => {}
  source.table.answers = new Promise(resolve => { answer = resolve })
  await source.next()
  await stop()
  answer()
  await source.next()
  t.same(revoked, [])
  t.same(connections, [true])
})

t.test('a new subscription after the last one begins anew', async t => {
  const source = polled(t)
  const first = listening(source)
  await first.ready
  await first.stop()
  source.revoke('between')
  const second = listening(source)
  await second.ready
  t.same([second.revoked, second.connections], [[], [true]])
})

t.test('a read that ends after its subscription changes nothing for the next one', async t => {
  const source = polled(t)
  const first = listening(source)
  await first.ready
  let answer = (): void => {}
  source.table.answers = new Promise(resolve => { answer = resolve })
  await source.next()
  await first.stop()
  source.table.answers = Promise.resolve()
  source.revoke('between')
  const second = listening(source)
  await second.ready
  answer()
  await source.next()
  await source.next()
  t.same([second.revoked, second.connections], [[], [true]])
})

t.test('a read that fails after its subscription has ended does not interrupt the next one', async t => {
  let fail = (): void => {}
  let reads = 0
  const poll = new RevocationPoll(1000, async () => {
    if (++reads === 1) await new Promise((_resolve, reject) => { fail = () => reject(new Error('late')) })
    return { newest: 0, revoked: [] }
  }, async () => await new Promise(() => {}))
  const stop = poll.subscribe(() => {})
  await stop()
  const connections: boolean[] = []
  poll.subscribe(() => {}, up => connections.push(up))
  await new Promise(setImmediate)
  fail()
  await new Promise(setImmediate)
  t.same(connections, [true])
})
