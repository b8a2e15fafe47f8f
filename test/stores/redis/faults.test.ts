import { createServer } from 'node:net'
import { type Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { type Session } from '../../../lib/sessions/session.js'
import { type SessionStore } from '../../../lib/sessions/store.js'
import { redisStore, type RedisClient } from '../../../lib/stores/redis/index.js'
import { fakeClock } from '../../support/fake-clock.js'
import { ioredisClusterOn, ioredisOn, nodeRedisOn, ownRedisServer, redisCluster, type RedisServer } from '../../support/redis.js'
import { newSession, ROTATION } from '../../support/session.js'

const clients: Record<string, (t: Test, server: RedisServer) => Promise<RedisClient & NodeJS.EventEmitter>> = {
  ioredis: (t, { ioredis }) => ioredisOn(t, ioredis),
  'node-redis': (t, { nodeRedis }) => nodeRedisOn(t, nodeRedis)
}

/** Every call of a store. */
const calls: Record<string, (store: SessionStore, session: Session) => Promise<unknown> | undefined> = {
  create: store => store.create(newSession()),
  get: (store, { id }) => store.get(id),
  advance: (store, { id }) => store.advance(id, 0, ROTATION),
  revoke: (store, { id }) => store.revoke(id, 'logout'),
  revokeAll: store => store.revokeAll('ada', 'logout'),
  list: store => store.list?.('ada')
}

async function rejectEach (t: Test, store: SessionStore, session: Session, message: RegExp, names = Object.keys(calls)): Promise<void> {
  for (const name of names) await t.rejects(calls[name]?.(store, session) ?? Promise.resolve(), { message }, name)
}

for (const [name, connect] of Object.entries(clients)) {
  t.test(`with ${name}`, async t => {
    const server = await ownRedisServer(t)
    if (server === null) return
    const client = await connect(t, server)
    const store = redisStore(client, { clock: fakeClock().now })
    let admin: Redis
    let session: Session
    t.beforeEach(async () => {
      admin = await ioredisOn(t, server.ioredis)
      session = newSession()
      await store.create(session)
    })

    t.test('out of memory: logins and rotations reject, but sessions are listed, and can be ended', async t => {
      const others = [newSession(), newSession()]
      for (const other of others) await store.create(other)
      await admin.config('SET', 'maxmemory', '1')
      await rejectEach(t, store, session, /OOM/, ['create', 'advance'])
      t.match(await store.get(session.id), { id: session.id, revokedAt: null })
      t.equal((await store.list('ada')).length, 3)
      const ttl = await admin.pttl(`auth:s:${session.id}`)
      t.equal(await store.revoke(session.id, 'logout'), true)
      t.ok(ttl - await admin.pttl(`auth:s:${session.id}`) < 1000, 'its key expires when it would have')
      t.equal(await store.revokeAll('ada', 'logout'), 2)
      await admin.config('SET', 'maxmemory', '0')
      t.match(await store.get(session.id), { reason: 'logout' })
      t.equal(await store.advance(session.id, 0, ROTATION), null)
    })

    t.test('failover: a server that became a replica rejects writes', async t => {
      await admin.replicaof('127.0.0.1', '1')
      await rejectEach(t, store, session, /READONLY/, ['create', 'advance', 'revoke', 'revokeAll'])
      await admin.config('SET', 'replica-serve-stale-data', 'no')
      await rejectEach(t, store, session, /MASTERDOWN/)
      await admin.replicaof('NO', 'ONE')
      t.match(await store.get(session.id), { id: session.id, revokedAt: null })
    })

    t.test('a call whose connection is lost rejects, and the server never runs it', async t => {
      const other = await ioredisOn(t, server.ioredis)
      await admin.config('RESETSTAT')
      await admin.call('CLIENT', ['PAUSE', '1000000', 'WRITE'])
      const given: Array<Promise<unknown>> = [store.advance(session.id, 0, ROTATION), store.revoke(session.id, 'logout'), store.create(newSession())]
      const rejected = Promise.all(given.map(call => t.rejects(call)))
      while (!/blocked_clients:1/.test(await other.info('clients')));
      const ready = emitted(client, 'ready')
      await admin.call('CLIENT', ['KILL', 'TYPE', 'normal'])
      await rejected
      await ready
      await admin.call('CLIENT', ['UNPAUSE'])

      t.match(await store.get(session.id), { generation: 0, revokedAt: null })
      t.match(await admin.info('commandstats'), /cmdstat_eval(sha)?:calls=1,/)
    })

    t.test('failover: calls during an outage reject, and none runs after it', async t => {
      const lost = emitted(client, name === 'ioredis' ? 'close' : 'reconnecting')
      await server.stop()
      await lost
      await rejectEach(t, store, session, /./)

      const ready = emitted(client, 'ready')
      await server.start()
      await ready
      t.equal(await store.get(session.id), null)
      const back = await ioredisOn(t, server.ioredis)
      t.equal(await back.dbsize(), 0)
      t.match(await back.info('commandstats'), /cmdstat_evalsha:calls=1,/)
    })

    t.test('an unreachable server is an error at start, and causes no unhandled error', async t => {
      await server.stop()
      await t.rejects(store.open(), { name: /^(?!TypeError)/ })
      const ready = emitted(client, 'ready')
      await server.start()
      await ready
      await t.resolves(store.open())
    })
  })
}

t.test('an error of the client is passed on', async t => {
  const session = newSession()
  for (const message of ['LOADING Redis is loading the dataset in memory', 'CLUSTERDOWN The cluster is down', 'MOVED 1 127.0.0.1:1', 'TRYAGAIN', 'NOAUTH Authentication required.', 'ETIMEDOUT', 'noscript']) {
    const store = redisStore(failing(new Error(message)))
    await rejectEach(t, store, session, new RegExp(message))
    await t.rejects(store.open(), { message })
  }
  t.equal(await redisStore(failing('no error at all')).get('a').catch((error: unknown) => error), 'no error at all')
})

t.test('a script is sent as text only if its hash is unknown', async t => {
  const other = Object.assign(failing(new Error('ERR NOSCRIPT')), { eval: async () => t.fail('sent as text') })
  await t.rejects(redisStore(other).get('a'))
})

t.test('a script that fails by hash and by text is an error', async t => {
  await t.rejects(redisStore(failing(new Error('NOSCRIPT No matching script.'))).get('a'), { message: /^NOSCRIPT/ })
})

t.test('failover: a cluster that has lost a server rejects', async t => {
  const cluster = await redisCluster(t)
  if (cluster === null) return
  const client = await ioredisClusterOn(t, cluster.ports)
  const store = redisStore(client, { clock: fakeClock().now })
  await cluster.stop(0)
  await occupied(t, cluster.ports[0]) // else the server of another test may take its port and accept the commands
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => store.create(newSession())))
  t.ok(outcomes.some(({ status }) => status === 'rejected'))
  client.disconnect()
  await emitted(client, 'end')
  await rejectEach(t, store, newSession(), /closed/)
})

/** A port at which each connection ends at once. */
async function occupied (t: Test, port: number | undefined): Promise<void> {
  const server = createServer(socket => socket.destroy())
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
}

/** Waits for an event. Unlike `once`, it does not reject on an error event. */
function emitted (client: NodeJS.EventEmitter, event: string): Promise<unknown> {
  return new Promise(resolve => client.once(event, resolve))
}

/** A client of ioredis that answers each command with an error. */
function failing (error: unknown): RedisClient {
  const fail = async () => { throw error }
  return {
    status: 'ready',
    options: { enableOfflineQueue: false, maxRetriesPerRequest: 0 },
    evalsha: fail,
    eval: fail,
    info: fail,
    connect: fail,
    duplicate: () => { throw error }
  } as unknown as RedisClient // the members that the store uses
}
