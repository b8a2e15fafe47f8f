import assert from 'node:assert/strict'
import fc, { type Scheduler } from 'fast-check'
import t from 'tap'
import { isRevoked } from '../../lib/sessions/session.js'
import { type SessionStore } from '../../lib/sessions/store.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { core, GRACE } from '../support/core.js'

/** Concurrent requests with tokens of one session: its current, its previous and its first one. */
const request = fc.constantFrom('current', 'current', 'current', 'current', 'previous', 'previous', 'first', 'logout')

/** A store whose calls start and finish in the order of the scheduler while `shuffling` is on. */
function shuffled (store: SessionStore, scheduler: Scheduler): SessionStore & { shuffling: boolean } {
  const self = {
    ...store,
    shuffling: false,
    get: id => shuffle(() => store.get(id)),
    advance: (id, from, change) => shuffle(() => store.advance(id, from, change)),
    revoke: (id, reason) => shuffle(() => store.revoke(id, reason))
  } satisfies SessionStore & { shuffling: boolean }
  return self

  async function shuffle<T> (call: () => Promise<T>): Promise<T> {
    if (!self.shuffling) return await call()
    await scheduler.schedule(Promise.resolve())
    const answer = await call()
    return await scheduler.schedule(Promise.resolve(answer))
  }
}

t.test('race: in every order of the store\'s replies all requests get one token, or the session ends', async t => {
  let ended = 0
  const numRuns = 500
  await fc.assert(fc.asyncProperty(fc.scheduler(), fc.array(request, { minLength: 2, maxLength: 5 }), fc.boolean(), async (scheduler, requests, young) => {
    const store = shuffled(memoryStore(), scheduler)
    const c = core({ store: () => store })
    const current = c.browser()
    await current.login('ada')
    const [first, previous] = [current.copy(), c.browser()]
    for (let i = 0; i < 2; i++) {
      previous.cookie = current.cookie
      c.wait(GRACE)
      await current.refresh()
    }
    if (!young) c.wait(GRACE)

    store.shuffling = true
    const tabs = requests.map(kind => ({ kind, tab: { current, previous, first, logout: current }[kind].copy() }))
    await scheduler.waitFor(Promise.all(tabs.map(({ kind, tab }) => kind === 'logout' ? tab.logout() : tab.refresh())))
    store.shuffling = false

    const row = await store.get(current.issued?.claims.sid ?? '') ?? assert.fail()
    const mustEnd = requests.includes('logout') || requests.includes('first') || (!young && requests.includes('current') && requests.includes('previous'))
    assert.equal(isRevoked(row), mustEnd, 'a session ends exactly when it must')
    assert.ok(row.generation <= 3, 'one rotation at most')
    if (!mustEnd) assert.equal(new Set(tabs.map(({ tab }) => tab.cookie)).size, 1, 'all get one token')
    for (const browser of [current, previous, first, ...tabs.map(({ tab }) => tab)]) {
      if (mustEnd) assert.match(await browser.refresh(), /^FST_AUTH_/, 'and none of its tokens is accepted')
    }
    ended += mustEnd ? 1 : 0
  }), { seed: 20_300_101, numRuns })
  t.ok(ended > numRuns / 10 && ended < numRuns * 9 / 10, `${ended} of ${numRuns} sessions ended`)
})
