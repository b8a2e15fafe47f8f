import assert from 'node:assert/strict'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock } from '../../lib/time.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { mysqlStore } from '../../lib/stores/mysql/index.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore, type RedisClient } from '../../lib/stores/redis/index.js'
import { sqliteStore } from '../../lib/stores/sqlite/index.js'
import { mysqlPool } from '../support/mysql.js'
import { postgresPool } from '../support/postgres.js'
import { ioredisOn, newPrefix, nodeRedisOn, redisServer } from '../support/redis.js'
import { sqliteDatabase } from '../support/sqlite.js'
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

/** Stores in databases, with a new clock for each script: null if the server is not available. */
const IN_DATABASES: Record<string, (t: Test, clock: Clock) => Promise<SessionStore | null>> = {
  async PostgreSQL (t, clock) {
    const pool = await postgresPool(t)
    return pool && postgresStore(pool, { clock })
  },
  async MariaDB (t, clock) {
    const pool = await mysqlPool(t)
    return pool && mysqlStore(pool, { clock })
  },
  SQLite: async (t, clock) => sqliteStore(sqliteDatabase(t), { clock }),
  async 'Redis with ioredis' (t, clock) {
    const server = await redisServer(t)
    return server && inRedis(await ioredisOn(t, server.ioredis), newPrefix(t, server), clock)
  },
  async 'Redis with node-redis' (t, clock) {
    const server = await redisServer(t)
    return server && inRedis(await nodeRedisOn(t, server.nodeRedis), newPrefix(t, server), clock)
  }
}

/** Keys expire by the time of the server, so a purge of a script finds nothing. */
function inRedis (client: RedisClient, prefix: string, clock: Clock): SessionStore {
  return { ...redisStore(client, { prefix, clock }), purgeExpired: async () => 0 }
}

for (const [name, newStore] of Object.entries(IN_DATABASES)) {
  t.test(`${name} and memory answer every script alike`, async t => {
    let clock: Clock = () => 0
    const store = await newStore(t, () => clock())
    if (store === null) return
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
