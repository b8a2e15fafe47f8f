import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type SessionStore } from '../../lib/core/session.js'
import { type Clock } from '../../lib/core/time.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { postgresStore } from '../../lib/stores/postgres.js'
import { postgresPool } from '../support/postgres.js'
import { play, type MakeStore } from './machine.js'
import { script } from './steps.js'

const SEED = 20_300_101

const inMemory: MakeStore = clock => memoryStore({ clock })

/** Plays scripts on a store; how often each answer was given. */
async function stateMachine (makeStore: MakeStore, numRuns: number): Promise<Map<string, number>> {
  const seen = new Map<string, number>()
  await fc.assert(fc.asyncProperty(script, async steps => {
    for (const { answer } of await play(steps, makeStore)) seen.set(answer, (seen.get(answer) ?? 0) + 1)
  }), { seed: SEED, numRuns })
  return seen
}

t.test('whatever happens, in whatever order, a session keeps its promises', async t => {
  const seen = await stateMachine(inMemory, 1500)
  const answers = [
    'hold', 'rotate', 'replay', 'recover', 'heal', 'FST_AUTH_REFRESH_TOKEN_REUSED', 'FST_AUTH_REFRESH_TOKEN_EXPIRED',
    'FST_AUTH_SESSION_ENDED', 'FST_AUTH_USER_REFUSED', 'FST_AUTH_STORE_UNAVAILABLE'
  ]
  for (const answer of answers) t.ok((seen.get(answer) ?? 0) > 50, `${answer}: ${seen.get(answer)} times`)
})

t.test('memory and PostgreSQL answer every script alike', async t => {
  const pool = await postgresPool(t)
  if (pool === null) return
  let clock: Clock = () => 0
  const store: SessionStore = postgresStore(pool, { clock: () => clock() })
  const inPostgres: MakeStore = own => {
    clock = own
    return store
  }

  let run = 0
  await fc.assert(fc.asyncProperty(script, async steps => {
    assert.deepEqual(await play(steps, inPostgres, ` ${++run}`), await play(steps, inMemory))
  }), { seed: SEED, numRuns: 150 })
  t.equal(run, 150)
})
