import { once } from 'node:events'
import { createRequire } from 'node:module'
import { Redis as NewestIoredis } from 'ioredis'
import newestPg from 'pg'
import { createClient as newestNodeRedis } from 'redis'
import { createClient as oldestNodeRedis } from 'redis4'
import t, { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore, type RedisClient } from '../../lib/stores/redis/index.js'
import { fakeClock, START } from '../support/fake-clock.js'
import { postgres } from '../support/postgres.js'
import { ioredisOn, ownRedisServer, type RedisServer } from '../support/redis.js'
import { newSession } from '../support/session.js'
import { notifications } from '../support/notifications.js'

const require = createRequire(import.meta.url)
const OldestIoredis: typeof NewestIoredis = require('ioredis5')
const oldestPg: typeof newestPg = require('pg8')

/** A whole life of a session, notifications to a subscription; ends the subscription. */
async function serves (t: Test, store: Required<Pick<SessionStore, 'open' | 'claim' | 'list' | 'subscribe'>> & SessionStore): Promise<void> {
  await store.open()
  await store.claim({ keyIds: ['a'] })
  const session = newSession()
  await store.create(session)
  t.equal((await store.advance(session.id, 0, { generation: 1, previous: 0, rotatedAt: START, idleExpiresAt: START + 60 }))?.generation, 1)
  t.equal((await store.list(session.subject)).length, 1)
  const [connections, revocations] = [notifications<boolean>(), notifications<object>()]
  const stop = store.subscribe(revocations.notify, connections.notify)
  t.equal(await connections.next(), true)
  t.equal(await store.revoke(session.id, 'logout'), true)
  t.same(await revocations.next(), { id: session.id })
  await stop()
}

interface Connected {
  readonly client: RedisClient
  readonly end: () => unknown
}

const REDIS: Record<string, (server: RedisServer) => Promise<Connected>> = {
  'the oldest ioredis': async ({ ioredis: { path } }) => {
    const client = new OldestIoredis({ path: String(path), enableOfflineQueue: false, maxRetriesPerRequest: 0 })
    await once(client, 'ready')
    return { client, end: () => client.disconnect() }
  },
  'the newest ioredis': async ({ ioredis }) => {
    const client = new NewestIoredis({ ...ioredis, enableOfflineQueue: false, maxRetriesPerRequest: 0 })
    await once(client, 'ready')
    return { client, end: () => client.disconnect() }
  },
  'the oldest redis': async ({ ioredis: { path } }) => {
    const client = oldestNodeRedis({ socket: { path: String(path) }, disableOfflineQueue: true })
    await client.connect()
    return { client: client as unknown as RedisClient, end: () => client.disconnect() } // its options are typed otherwise
  },
  'the newest redis': async ({ nodeRedis }) => {
    const client = newestNodeRedis({ ...nodeRedis, disableOfflineQueue: true })
    await client.connect()
    return { client: client as unknown as RedisClient, end: () => client.destroy() } // of either protocol
  }
}

t.test('immediate revocation leaves no subscriber in Redis when an app has closed', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const admin = await ioredisOn(t, server.ioredis)
  for (const [name, connect] of Object.entries(REDIS)) {
    t.test(`with ${name}`, async t => {
      const { client, end } = await connect(server)
      t.teardown(end)
      await serves(t, redisStore(client, { prefix: `${name}:`, clock: fakeClock().now }) as Parameters<typeof serves>[1]) // each client has these methods
      let subscribers = 'some'
      while (subscribers !== '') subscribers = String(await admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
      t.equal(subscribers, '')
    })
  }
})

t.test('PostgreSQL works with the oldest supported pg and the newest', async t => {
  const connectionString = await postgres(t)
  if (connectionString === null) return
  for (const [name, { Pool }] of Object.entries({ oldest: oldestPg, newest: newestPg })) {
    t.test(name, async t => {
      const pool = new Pool({ connectionString, statement_timeout: 5000, query_timeout: 60_000, connectionTimeoutMillis: 60_000 })
      pool.on('error', () => {}) // the database may be dropped before each connection has closed
      t.teardown(() => pool.end())
      await serves(t, postgresStore(pool, { table: name, clock: fakeClock().now }) as Parameters<typeof serves>[1]) // a pool can be subscribed to
      let listening: unknown[] = ['some']
      while (listening.length > 0) listening = (await pool.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'")).rows
      t.same(listening, [])
    })
  }
})

t.test('clients of other versions are refused at start', async t => {
  const method = async () => null
  const wrong = {
    'redis 3': { evalsha: method, eval: method, connected: true },
    'ioredis 4': { evalsha: method, eval: method, status: 'ready', options: { dropBufferSupport: false } },
    'redis 4.0': { evalSha: method, eval: method, isOpen: true, options: {} }
  }
  for (const [name, client] of Object.entries(wrong)) {
    // @ts-expect-error: for those who write JavaScript
    t.throws(() => redisStore(client), { name: 'TypeError', message: /this version of the package (io)?redis is not supported: install (io)?redis \d/ }, name)
  }
})
