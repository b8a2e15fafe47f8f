import { Cluster, Redis } from 'ioredis'
import { type Revocation } from '../../../lib/sessions/store.js'
import { createClient, createCluster } from 'redis'
import t, { type Test } from 'tap'
import { type RedisClient, redisStore } from '../../../lib/stores/redis/index.js'
import { channelOf, type RedisCommands } from '../../../lib/stores/redis/commands.js'
import { ioredisCommands } from '../../../lib/stores/redis/ioredis.js'
import { nodeRedisCommands } from '../../../lib/stores/redis/node-redis.js'
import { fakeClock, START } from '../../support/fake-clock.js'
import { ioredisClusterOn, ioredisOn, nodeRedisClusterOn, nodeRedisOn, ownRedisServer, redisCluster, type RedisServer } from '../../support/redis.js'
import { newSession } from '../../support/session.js'
import { notifications, withoutRepeats } from '../../support/notifications.js'

type Connect = (t: Test, server: RedisServer) => Promise<RedisClient>

/** The clients, and the prefix that their options add to the name of a channel. */
const clients: Record<string, readonly [Connect, string]> = {
  ioredis: [(t, { ioredis }) => ioredisOn(t, ioredis), ''],
  'ioredis with the older protocol and a prefix of its own': [(t, { ioredis }) => ioredisOn(t, { ...ioredis, protocol: 2, keyPrefix: 'app:' }), 'app:'],
  'node-redis': [(t, { nodeRedis }) => nodeRedisOn(t, nodeRedis), ''],
  'node-redis with the older protocol': [(t, { nodeRedis }) => nodeRedisOn(t, { ...nodeRedis, RESP: 2 }), '']
}

function commandsOf (client: RedisClient): RedisCommands {
  return 'evalSha' in client ? nodeRedisCommands(client) : ioredisCommands(client)
}

/** Subscribes a new store on a client, and collects its notifications. */
function listening (t: Test, client: RedisClient, prefix = 'auth:') {
  const store = redisStore(client, { prefix, clock: fakeClock().now })
  const revocations = notifications<Revocation>()
  const connections = notifications<boolean>()
  const stop = store.subscribe(revocations.notify, connections.notify)
  t.teardown(stop)
  return { store, revocations: { next: withoutRepeats(revocations.next) }, connections, stop }
}

/** The server runs every command about a session, and its reply is lost. */
function loseRepliesAbout (t: Test, client: Redis, { id }: { readonly id: string }): void {
  for (const method of ['evalsha', 'eval'] as const) {
    t.intercept(client, method, {
      async value (...command: [string, number, ...string[]]) {
        const reply = await Redis.prototype[method].apply(client, command)
        if (String(command[2]).includes(id)) throw new Error('the connection was lost')
        return reply
      }
    })
  }
}

for (const [name, [connect, keyPrefix]] of Object.entries(clients)) {
  t.test(`with ${name}`, async t => {
    const server = await ownRedisServer(t)
    if (server === null) return
    let admin: Redis
    t.beforeEach(async () => { admin = await ioredisOn(t, server.ioredis) })

    t.test('a revocation reaches the listeners of every process', async t => {
      const [here, there] = [listening(t, await connect(t, server)), listening(t, await connect(t, server))]
      for (const { connections } of [here, there]) t.equal(await connections.next(), true)
      const [one, two] = [newSession(), newSession()]
      for (const session of [one, two]) await here.store.create(session)

      await here.store.revoke(one.id, 'logout')
      await here.store.revokeAll('ada', 'revoked', two.id)
      await here.store.revokeAll('ada', 'revoked')
      for (const { revocations } of [here, there]) {
        t.same(await revocations.next(), { id: one.id })
        t.same(await revocations.next(), { subject: 'ada', at: START, exceptId: two.id })
        t.same(await revocations.next(), { subject: 'ada', at: START })
      }
      await there.store.revokeAll('bob', 'revoked')
      for (const { revocations } of [here, there]) t.same(await revocations.next(), { subject: 'bob', at: START })
    })

    t.test('a revocation that ends nothing notifies this process, in case an earlier reply was lost, and no other', async t => {
      const [here, there] = [listening(t, await connect(t, server)), listening(t, await connect(t, server))]
      for (const { connections } of [here, there]) t.equal(await connections.next(), true)
      t.equal(await here.store.revoke('ended', 'logout'), false)
      await here.store.revokeAll('ada', 'logout')
      t.same(await here.revocations.next(), { id: 'ended' })
      for (const { revocations } of [here, there]) t.same(await revocations.next(), { subject: 'ada', at: START })
    })

    t.test('failover: a subscription reconnects and reports both', async t => {
      const here = await connect(t, server)
      const { connections, revocations } = listening(t, await connect(t, server))
      t.equal(await connections.next(), true)
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      t.equal(await connections.next(), false)
      t.equal(await connections.next(), true)
      await redisStore(here, { clock: fakeClock().now }).revokeAll('ada', 'logout')
      t.same(await revocations.next(), { subject: 'ada', at: START })
    })

    t.test('failover: a subscription survives a restart of the server, and may begin while the server is down', async t => {
      const client = await connect(t, server)
      const before = listening(t, client)
      t.equal(await before.connections.next(), true)
      await server.stop()
      t.equal(await before.connections.next(), false)
      const during = listening(t, client)
      t.equal(await during.connections.next(), false)
      await server.start()
      for (const { connections } of [before, during]) t.equal(await connections.next(), true)
      const other = redisStore(await connect(t, server), { clock: fakeClock().now })
      await other.revokeAll('ada', 'logout')
      for (const { revocations } of [before, during]) t.same(await revocations.next(), { subject: 'ada', at: START })
    })

    t.test('a stopped subscription leaves no connection', async t => {
      const { connections, stop } = listening(t, await connect(t, server), 'stopped:')
      t.equal(await connections.next(), true)
      t.same(await admin.pubsub('CHANNELS', '*stopped:revoked'), [`${keyPrefix}stopped:revoked`])
      await stop()
      let channels: unknown[] = [0]
      while (channels.length > 0) channels = await admin.pubsub('CHANNELS', '*stopped:revoked')
      t.same(channels, [])
    })

    t.test('stores with different prefixes do not receive each other’s revocations', async t => {
      const [one, two] = [listening(t, await connect(t, server), 'one:'), listening(t, await connect(t, server), 'two:')]
      for (const { connections } of [one, two]) t.equal(await connections.next(), true)
      await one.store.revokeAll('ada', 'logout')
      await two.store.revokeAll('bob', 'logout')
      await admin.publish(`${keyPrefix}two:revoked`, 'hello')
      await one.store.revokeAll('eve', 'logout')
      t.match(await one.revocations.next(), { subject: 'ada' })
      t.match(await one.revocations.next(), { subject: 'eve' })
      t.match(await two.revocations.next(), { subject: 'bob' })
    })

    t.test('a subscription pings its connection', async t => {
      const open = commandsOf(await connect(t, server)).subscribe('auth:revoked', () => {})
      const over = new AbortController()
      t.teardown(() => over.abort())
      const probe = await open(over)
      await t.resolves(probe())
      over.abort()
      await t.rejects(probe())
    })
  })
}

t.test('apps with the same prefix do not receive each other’s revocations', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  /** Each app has two instances, one with each package where both can. */
  const apps: Record<string, readonly [Connect, Connect]> = {
    'in the first database': [(t, { ioredis }) => ioredisOn(t, ioredis), (t, { nodeRedis }) => nodeRedisOn(t, nodeRedis)],
    'in another database': [(t, { ioredis }) => ioredisOn(t, { ...ioredis, db: 1 }), (t, { nodeRedis }) => nodeRedisOn(t, { ...nodeRedis, database: 1 })],
    'with a keyPrefix': [(t, { ioredis }) => ioredisOn(t, { ...ioredis, keyPrefix: 'app:' }), (t, { ioredis }) => ioredisOn(t, { ...ioredis, keyPrefix: 'app:' })],
    'with both': [(t, { ioredis }) => ioredisOn(t, { ...ioredis, db: 1, keyPrefix: 'app:' }), (t, { ioredis }) => ioredisOn(t, { ...ioredis, db: 1, keyPrefix: 'app:' })]
  }
  const instances = await Promise.all(Object.entries(apps).map(async ([name, [one, other]]) => (
    { name, here: listening(t, await one(t, server)), there: listening(t, await other(t, server)) }
  )))
  for (const { here, there } of instances) {
    t.equal(await here.connections.next(), true)
    t.equal(await there.connections.next(), true)
  }

  // Messages of a channel keep their order, so a message of another app would arrive between the app's own two.
  for (const { name, here } of instances) await here.store.revokeAll(name, 'logout')
  for (const { here } of instances) await here.store.revokeAll('last', 'logout')
  for (const { name, here, there } of instances) {
    for (const { revocations } of [here, there]) {
      t.match(await revocations.next(), { subject: name }, name)
      t.match(await revocations.next(), { subject: 'last' }, name)
    }
  }
})

t.test('revocations whose replies were lost reach every process, of one session and of a subject', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const lossy = await ioredisOn(t, server.ioredis)
  const [here, there] = [listening(t, lossy), listening(t, await ioredisOn(t, server.ioredis))]
  for (const { connections } of [here, there]) t.equal(await connections.next(), true)
  const session = newSession()
  await here.store.create(session)
  loseRepliesAbout(t, lossy, session)
  await t.rejects(here.store.revoke(session.id, 'logout'), { message: 'the connection was lost' })
  for (const { revocations } of [here, there]) t.same(await revocations.next(), { id: session.id })
  await t.rejects(here.store.revokeAll('ada', 'revoked'), { message: 'the connection was lost' })
  for (const { revocations } of [here, there]) t.same(await revocations.next(), { subject: 'ada', at: START })
})

t.test('the end of a subject’s sessions is reported before and after, also if a command fails', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const lossy = await ioredisOn(t, server.ioredis)
  const here = redisStore(lossy, { clock: fakeClock().now })
  const [reported, connections] = [notifications<Revocation>(), notifications<boolean>()]
  t.teardown(redisStore(await ioredisOn(t, server.ioredis)).subscribe(reported.notify, connections.notify))
  t.equal(await connections.next(), true)
  const [one, two] = [newSession(), newSession()]
  await here.create(one)
  t.equal(await here.revokeAll('ada', 'revoked'), 1)
  await here.create(two)
  loseRepliesAbout(t, lossy, two)
  await t.rejects(here.revokeAll('ada', 'revoked'), { message: 'the connection was lost' })
  await redisStore(await ioredisOn(t, server.ioredis), { clock: fakeClock().now }).revokeAll('last', 'logout')
  const subjects: unknown[] = []
  while (subjects.at(-1) !== 'last') subjects.push((await reported.next() as { subject: string }).subject)
  t.strictSame(subjects.filter(subject => subject !== 'last'), ['ada', 'ada', 'ada', 'ada'])
})

t.test('the channel includes the client’s database and key prefix', async t => {
  const ioredis = { enableOfflineQueue: false, maxRetriesPerRequest: 0, lazyConnect: true }
  const nodes = [{ host: '127.0.0.1' }]
  const channels: ReadonlyArray<readonly [RedisClient, string]> = [
    [new Redis(ioredis), 'auth:revoked'],
    [new Redis('redis://127.0.0.1/3', ioredis), 'auth:revoked:3'],
    [new Redis('redis://127.0.0.1/0', { ...ioredis, keyPrefix: 'app:' }), 'app:auth:revoked'],
    [new Cluster(nodes, { ...ioredis, keyPrefix: 'app:' }), 'app:auth:revoked'],
    [new Cluster(nodes, { ...ioredis, redisOptions: { keyPrefix: 'app:' } }), 'app:auth:revoked'],
    [createClient({ disableOfflineQueue: true }), 'auth:revoked'],
    [createClient({ url: 'redis://127.0.0.1/3', disableOfflineQueue: true }), 'auth:revoked:3'],
    [createCluster({ rootNodes: [] }), 'auth:revoked']
  ]
  for (const [client, channel] of channels) t.equal(channelOf(commandsOf(client), 'auth:revoked'), channel)
})

t.test('a revocation reaches every server of a cluster', async t => {
  const cluster = await redisCluster(t)
  if (cluster === null) return
  const ioredis = await ioredisClusterOn(t, cluster.ports)
  const stores = [listening(t, ioredis), listening(t, await nodeRedisClusterOn(t, cluster.ports)), listening(t, ioredis)]
  for (const { connections } of stores) t.equal(await connections.next(), true)
  for (const { store } of stores) {
    const session = newSession()
    await store.create(session)
    await store.revoke(session.id, 'logout')
    for (const { revocations } of stores) t.same(await revocations.next(), { id: session.id })
  }

  const lost = await ioredisClusterOn(t, cluster.ports)
  lost.disconnect()
  const { connections } = listening(t, lost)
  t.equal(await connections.next(), false, 'a client that knows of no server')
})
