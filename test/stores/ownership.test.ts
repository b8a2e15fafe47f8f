import t from 'tap'
import { ownership, type Marker } from '../../lib/stores/ownership.js'

/** A marker in memory. */
function note (over: Partial<Marker> = {}) {
  let noted: string | null = null
  const marker: Marker = {
    read: async () => noted,
    async replace (found, next) {
      if (noted !== found) return false
      noted = next
      return true
    },
    place: 'aStore: the table "t"',
    option: 'the option "table"',
    removal: 'DELETE IT;',
    ...over
  }
  return { marker, noted: () => noted === null ? null : JSON.parse(noted) }
}

const ANOTHER = { name: 'TypeError', message: /^aStore: the table "t" holds the sessions of another app.*set the option "table".*"appName".*DELETE IT;$/ }

t.test('two apps do not share sessions by accident', async t => {
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
    const { marker, noted } = note()
    await ownership(marker).claim(first)
    const before = noted()
    const claim = ownership(marker).claim(second)
    const title = JSON.stringify([first, second])
    if (shares) await t.resolves(claim, title)
    else await t.rejects(claim, ANOTHER, title)
    t.same(noted(), shares ? { ...before, ...second } : before, title)
  }
})

t.test('a key rotation keeps the store, step by step', async t => {
  const { marker } = note()
  for (const keyIds of [['a'], ['a', 'b'], ['b', 'a'], ['b'], ['b', 'c'], ['c']]) await t.resolves(ownership(marker).claim({ keyIds }))
  await t.rejects(ownership(marker).claim({ keyIds: ['a'] }), ANOTHER)
})

t.test('instances that start at once all note the same', async t => {
  const { marker } = note()
  await t.resolves(Promise.all(Array.from({ length: 4 }, () => ownership(marker).claim({ keyIds: ['a'] }))))
  const apps = await Promise.allSettled(['a', 'b'].map(id => ownership(marker).claim({ keyIds: [id] })))
  t.same(apps.map(({ status }) => status), ['fulfilled', 'rejected'])
})

t.test('a note that changes each time is no endless loop', async t => {
  const { marker } = note({ replace: async () => false })
  await t.rejects(ownership(marker).claim({ keyIds: ['a'] }), { name: 'Error' })
})

t.test('a claim that failed is decided before the next call, once for all that wait', async t => {
  let reads = 0
  let isAway = true
  const { marker, noted } = note({
    async read () {
      reads++
      if (isAway) throw new Error('away')
      return null
    }
  })
  const owned = ownership(marker)
  t.equal(owned.settle(), undefined, 'without an app nothing is claimed')
  await t.rejects(owned.claim({ keyIds: ['a'] }), { message: 'away' })
  await t.rejects(owned.settle() ?? Promise.resolve(), { message: 'away' })
  isAway = false
  reads = 0
  await Promise.all([owned.settle(), owned.settle()])
  t.equal(reads, 1)
  t.equal(owned.settle(), undefined)
  t.same(noted(), { keyIds: ['a'] })
})
