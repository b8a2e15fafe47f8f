import t from 'tap'
import { byCreation, type Session } from '../../lib/sessions/session.js'
import { type SessionPage, type SessionStore } from '../../lib/sessions/store.js'
import { startDeadline } from '../../lib/deadline.js'
import { checkedPage, listLive, type SessionListOptions } from '../../lib/sessions/list.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { START } from '../support/fake-clock.js'
import { newSession } from '../support/session.js'

const context = () => ({ bounded: startDeadline({ call: 2, request: 3 }) })
const idsOf = (sessions: readonly Session[]) => sessions.map(({ id }) => id)

/** A memory store, and a store that ignores pages, each with its calls. */
function stores (): ReadonlyArray<{ store: SessionStore, asked: Array<SessionPage | undefined> }> {
  return [true, false].map(takesParts => {
    const memory = memoryStore({ clock: () => START })
    const asked: Array<SessionPage | undefined> = []
    return {
      asked,
      store: {
        ...memory,
        async list (subject, part) {
          asked.push(part)
          return takesParts ? await memory.list(subject, part) : (await memory.list(subject)).reverse()
        }
      }
    }
  })
}

t.test('pagination continues where a page ended, in the same order for all stores', async t => {
  for (const { store } of stores()) {
    const sessions = ['b', 'a', 'B', '_', 'c'].map(id => newSession({ id, createdAt: START }))
    sessions.push(newSession({ id: 'z', createdAt: START - 1 }), newSession({ id: '0', createdAt: START + 1 }))
    for (const session of sessions) await store.create(session)
    const listed: Session[] = []
    let part: Session[]
    do {
      part = await listLive(store, 'ada', { limit: 2, after: listed.at(-1) }, context(), START)
      listed.push(...part)
    } while (part.length === 2)
    t.strictSame(idsOf(listed), ['z', 'B', '_', 'a', 'b', 'c', '0'])
    t.strictSame(idsOf(await listLive(store, 'ada', {}, context(), START)), idsOf(listed))
    t.strictSame(listed, [...listed].sort(byCreation))
  }
})

t.test('pagination continues after a session that has ended meanwhile', async t => {
  for (const { store } of stores()) {
    for (const id of ['a', 'b', 'c']) await store.create(newSession({ id }))
    const [after] = await listLive(store, 'ada', { limit: 1 }, context(), START)
    await store.revoke('a', 'logout')
    t.strictSame(idsOf(await listLive(store, 'ada', { after }, context(), START)), ['b', 'c'])
  }
})

t.test('the default page has a hundred sessions, and no call asks the store for more than a thousand', async t => {
  for (const { store, asked } of stores()) {
    for (let nth = 0; nth < 1200; nth++) await store.create(newSession())
    t.equal((await listLive(store, 'ada', {}, context(), START)).length, 100)
    t.equal(asked.at(-1)?.limit, 100)
    t.equal((await listLive(store, 'ada', { limit: 5000 }, context(), START)).length, 1200)
    t.equal(asked.at(-1)?.limit, 1000)
    for (const limit of [0, -1, NaN]) t.strictSame(await listLive(store, 'ada', { limit }, context(), START), [])
  }
})

t.test('expired sessions take no place in a page', async t => {
  for (const { store } of stores()) {
    for (let nth = 0; nth < 10; nth++) await store.create(newSession({ createdAt: START - nth, idleExpiresAt: START }))
    await store.create(newSession({ id: 'live', createdAt: START }))
    t.strictSame(idsOf(await listLive(store, 'ada', { limit: 2 }, context(), START)), ['live'])
  }
})

t.test('the number of expired rows that are read is bounded, also with a store that ignores pages', async t => {
  const memory = memoryStore({ clock: () => START })
  for (let nth = 0; nth < 10; nth++) await memory.create(newSession({ createdAt: START - 1, idleExpiresAt: START }))
  await memory.create(newSession({ id: 'live' }))
  const store: SessionStore = { ...memory, list: async (subject, { limit, after } = { limit: 99 }) => await memory.list(subject, { limit, after }) }
  t.strictSame(await listLive(store, 'ada', { limit: 2 }, context(), START, 10), [])
  t.strictSame(idsOf(await listLive(store, 'ada', { limit: 2 }, context(), START, 11)), ['live'])
})

t.test('a store that ignores pages is read once', async t => {
  const memory = memoryStore({ clock: () => START })
  for (const id of ['a', 'b', 'c']) await memory.create(newSession({ id }))
  const store: SessionStore = { ...memory, list: async subject => (await memory.list(subject)).slice(0, 2) }
  t.strictSame(idsOf(await listLive(store, 'ada', { limit: 2 }, context(), START)), ['a', 'b'])
  t.strictSame(await listLive(store, 'ada', { limit: 2, after: newSession({ id: 'b' }) }, context(), START), [])
})

t.test('an invalid page is refused, and never an empty list', async t => {
  for (const limit of [NaN, 0, -1, 1.5, 10_001, Infinity, '10']) {
    t.throws(() => checkedPage({ limit } as SessionListOptions), { name: 'TypeError', message: /"limit" .* from 1 to 10,000/ }, String(limit))
  }
  for (const after of [{ id: 'a' }, { createdAt: START }, { id: 'a', createdAt: NaN }, { id: 'a', createdAt: 1.5 }, { id: 'a', createdAt: 1e300 }, { id: 'a\0', createdAt: START }, { id: '', createdAt: START }, 'a']) {
    t.throws(() => checkedPage({ after } as SessionListOptions), { name: 'TypeError', message: /"after"/ }, JSON.stringify(after))
  }
  t.throws(() => checkedPage({ max: 10 } as SessionListOptions), { name: 'TypeError', message: /no "max"/ })
  for (const part of [{}, { limit: 1 }, { limit: 10_000, after: newSession() }, { limit: undefined, after: undefined }]) t.equal(checkedPage(part), part)
})
