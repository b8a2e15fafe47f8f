import t from 'tap'
import { ownership, type Marker } from '../../lib/stores/ownership.js'

/** A marker in memory. */
function recordedMarker (over: Partial<Marker> = {}) {
  let recorded: string | null = null
  const marker: Marker = {
    read: async () => recorded,
    async replace (found, next) {
      if (recorded !== found) return false
      recorded = next
      return true
    },
    place: 'aStore: the table "t"',
    option: 'the option "table"',
    removal: 'DELETE IT;',
    ...over
  }
  return { marker, recorded: () => recorded === null ? null : JSON.parse(recorded) }
}

const ANOTHER = { name: 'TypeError', message: /^aStore: the table "t" belongs to another app.*set the option "table".*"appName".*DELETE IT;$/ }

t.test('two apps cannot share a store, and see or revoke each other’s sessions, by accident', async t => {
  const cases = [
    { first: { keyIds: ['a'] }, second: { keyIds: ['b'] }, shares: false },
    { first: { keyIds: ['a'] }, second: { keyIds: [] }, shares: false },
    { first: { name: 'shop', keyIds: ['a'] }, second: { name: 'blog', keyIds: ['a'] }, shares: false },
    { first: { name: 'shop', keyIds: ['a'] }, second: { keyIds: ['b'] }, shares: false },
    { first: { keyIds: ['a'] }, second: { name: 'shop', keyIds: ['b'] }, shares: false },
    { first: { keyIds: ['a'] }, second: { keyIds: ['a'] }, shares: true },
    { first: { keyIds: ['a', 'b'] }, second: { keyIds: ['b', 'c'] }, shares: true },
    { first: { name: 'shop', keyIds: ['a'] }, second: { name: 'shop', keyIds: ['b'] }, shares: true },
    { first: { name: 'shop', keyIds: ['a'] }, second: { keyIds: ['a'] }, shares: true },
    { first: { keyIds: ['a'] }, second: { name: 'shop', keyIds: ['a'] }, shares: true }
  ]
  for (const { first, second, shares } of cases) {
    const { marker, recorded } = recordedMarker()
    await ownership(marker).claim(first)
    const before = recorded()
    const claim = ownership(marker).claim(second)
    const title = JSON.stringify([first, second])
    if (shares) await t.resolves(claim, title)
    else await t.rejects(claim, ANOTHER, title)
    t.same(recorded(), shares ? { ...before, ...second } : before, title)
  }
})

t.test('key rotation: a store keeps its owner while each ring shares a key with the last', async t => {
  const { marker } = recordedMarker()
  for (const keyIds of [['a'], ['a', 'b'], ['b', 'a'], ['b'], ['b', 'c'], ['c']]) await t.resolves(ownership(marker).claim({ keyIds }))
  await t.rejects(ownership(marker).claim({ keyIds: ['a'] }), ANOTHER)
})

t.test('key compromise: a claim that failed before is not retried over a newer one', async t => {
  let isDown = false
  const { marker, recorded } = recordedMarker()
  const { claim, resolveClaims } = ownership({ ...marker, async read () { if (isDown) throw new Error('down'); return await marker.read() } })
  await claim({ keyIds: ['a'] })
  isDown = true
  await t.rejects(claim({ keyIds: ['b', 'a'] }), { message: 'down' })
  await t.rejects(claim({ name: 'another', keyIds: ['z'] }), { message: 'down' })
  isDown = false
  await claim({ keyIds: ['c', 'b', 'a'] })
  await t.rejects(async () => await resolveClaims(), ANOTHER, 'another app still has to claim')
  t.same(recorded(), { keyIds: ['c', 'b', 'a'] })
})

t.test('key compromise: an older claim that succeeds late does not drop a newer one', async t => {
  let isDown = true
  const { marker, recorded } = recordedMarker()
  const { claim, resolveClaims } = ownership({ ...marker, async read () { if (isDown) throw new Error('down'); return await marker.read() } })
  for (const keyIds of [['a'], ['b', 'a']]) await t.rejects(claim({ keyIds }), { message: 'down' })
  isDown = false
  await resolveClaims()
  t.same(recorded(), { keyIds: ['b', 'a'] })
})

t.test('instances of one app can start at once', async t => {
  const { marker } = recordedMarker()
  await t.resolves(Promise.all(Array.from({ length: 4 }, () => ownership(marker).claim({ keyIds: ['a'] }))))
  const apps = await Promise.allSettled(['a', 'b'].map(id => ownership(marker).claim({ keyIds: [id] })))
  t.same(apps.map(({ status }) => status), ['fulfilled', 'rejected'])
})

t.test('a record that changes at each attempt ends in an error, not in an endless loop', async t => {
  let attempts = 0
  const { marker } = recordedMarker({ replace: async () => { attempts++; return false } })
  await t.rejects(ownership(marker).claim({ keyIds: ['a'] }), { name: 'Error' })
  t.equal(attempts, 5)
})

t.test('a failed claim is retried before the next call, once for all concurrent calls', async t => {
  let reads = 0
  let isAway = true
  const { marker, recorded } = recordedMarker({
    async read () {
      reads++
      if (isAway) throw new Error('away')
      return null
    }
  })
  const owned = ownership(marker)
  t.equal(owned.resolveClaims(), undefined, 'without an app nothing is claimed')
  await t.rejects(owned.claim({ keyIds: ['a'] }), { message: 'away' })
  await t.rejects(owned.resolveClaims() ?? Promise.resolve(), { message: 'away' })
  isAway = false
  reads = 0
  await Promise.all([owned.resolveClaims(), owned.resolveClaims()])
  t.equal(reads, 1)
  t.equal(owned.resolveClaims(), undefined)
  t.same(recorded(), { keyIds: ['a'] })
})

t.test('a start that changes nothing in the record does not write it', async t => {
  const { marker } = recordedMarker()
  await ownership(marker).claim({ keyIds: ['a'] })
  await t.resolves(ownership({ ...marker, replace: async () => t.fail('it is written') }).claim({ keyIds: ['a'] }))
})
