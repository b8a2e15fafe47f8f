import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type Clock } from '../../lib/time.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { DATABASES } from '../support/databases.js'
import { play, type MakeStore } from './machine.js'
import { script } from './steps.js'

const SEED = 20_300_101

const inMemory: MakeStore = clock => memoryStore({ clock })

/** Runs scripts on a store; counts the results, by step. */
async function stateMachine (makeStore: MakeStore, numRuns: number): Promise<Map<string, number>> {
  const seen = new Map<string, number>()
  await fc.assert(fc.asyncProperty(script, async steps => {
    for (const { step, answer } of await play(steps, makeStore)) {
      for (const key of [answer, `${step}: ${answer}`]) seen.set(key, (seen.get(key) ?? 0) + 1)
    }
  }), { seed: SEED, numRuns })
  return seen
}

t.test('invariants of a session hold after any sequence of calls', async t => {
  const seen = await stateMachine(inMemory, 1250)
  const answers = [
    'hold', 'rotate', 'replay', 'recover', 'heal', 'FST_AUTH_REFRESH_TOKEN_REUSED', 'FST_AUTH_REFRESH_TOKEN_EXPIRED',
    'FST_AUTH_SESSION_ENDED', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_STORE_UNAVAILABLE',
    'page view: identified', 'thief views: identified', 'thief views: FST_AUTH_REFRESH_TOKEN_REUSED', 'change password: done', 'end another: true', 'login: FST_AUTH_USER_REFUSED'
  ]
  for (const answer of answers) t.ok((seen.get(answer) ?? 0) > 25, `${answer}: ${seen.get(answer)} times`)
})

for (const [name, open] of Object.entries(DATABASES)) {
  t.test(`${name} and memory answer every script alike`, async t => {
    const database = await open(t)
    if (database === null) return
    let clock: Clock = () => 0
    const store = database.place(t)({ clock: () => clock() })
    // Keys of Redis expire by the time of the server, so a purge of a script finds nothing.
    if (name.startsWith('Redis')) store.purgeExpired = async () => 0
    const onServer: MakeStore = own => {
      clock = own
      return store
    }

    let run = 0
    await fc.assert(fc.asyncProperty(script, async steps => {
      assert.deepEqual(await play(steps, onServer, ` ${++run}`), await play(steps, inMemory))
    }), { seed: SEED, numRuns: 50 })
    t.equal(run, 50)
  })
}
