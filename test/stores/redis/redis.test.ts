import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { createClient, createClientPool, createCluster, RESP_TYPES, type RedisClientType } from 'redis'
import t, { type Test } from 'tap'
import { systemClock } from '../../../lib/time.js'
import { type Ioredis, ioredisCommands } from '../../../lib/stores/redis/ioredis.js'
import { type NodeRedis, nodeRedisCommands } from '../../../lib/stores/redis/node-redis.js'
import { redisStore, type RedisClient, type RedisStoreOptions } from '../../../lib/stores/redis/index.js'
import { exactly } from '../../support/exactly.js'
import { fakeClock, START } from '../../support/fake-clock.js'
import { ioredisClusterOn, ioredisOn, newPrefix, nodeRedisClusterOn, nodeRedisOn, ownRedisServer, redisCluster, redisServer, type RedisServer } from '../../support/redis.js'
import { newSession, ROTATION } from '../../support/session.js'
import { keepsTheContract } from '../../support/store-contract.js'

const MONTH = 30 * 86_400

/** The clients, also with options that change replies or the target of a command. */
const clients: Record<string, (t: Test, server: RedisServer) => Promise<RedisClient>> = {
  ioredis: (t, { ioredis }) => ioredisOn(t, ioredis),
  'ioredis with other answers and a prefix of its own': (t, { ioredis }) => ioredisOn(t, { ...ioredis, protocol: 2, stringNumbers: true, keyPrefix: 'test:' }),
  'ioredis in pipelines': (t, { ioredis }) => ioredisOn(t, { ...ioredis, enableAutoPipelining: true }),
  'node-redis': (t, { nodeRedis }) => nodeRedisOn(t, nodeRedis),
  'node-redis with other answers': (t, { nodeRedis }) => nodeRedisOn(t, { ...nodeRedis, RESP: 2, commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String } } })
}

for (const [name, connect] of Object.entries(clients)) {
  t.test(`${name} keeps the contract`, async t => {
    const server = await redisServer(t)
    if (server === null) return
    const client = await connect(t, server)
    keepsTheContract(t, (options, t) => redisStore(client, { ...options, prefix: newPrefix(t, server) }))
  })
}

t.test('clusters keep the contract', async t => {
  const cluster = await redisCluster(t)
  if (cluster === null) return
  const { ports } = cluster
  const ioredis = await ioredisClusterOn(t, ports)
  const nodeRedis = await nodeRedisClusterOn(t, ports)
  t.test('ioredis', async t => keepsTheContract(t, options => redisStore(ioredis, { ...options, prefix: randomUUID() })))
  t.test('node-redis', async t => keepsTheContract(t, options => redisStore(nodeRedis, { ...options, prefix: randomUUID() })))

  t.test('one server of a cluster that may evict sessions causes a warning', async t => {
    const [port = 0] = ports
    const warnings = warningsIn(t)
    await redisStore(ioredis).open()
    await redisStore(nodeRedis).open()
    t.same(warnings, [])
    const node = await ioredisOn(t, { port })
    await node.config('SET', 'maxmemory-policy', 'volatile-lru')
    await redisStore(ioredis).open()
    await redisStore(nodeRedis).open()
    await warned(warnings, 2)
    for (const warning of warnings) t.match(warning, { code: 'FST_AUTH_REDIS_EVICTION', message: /volatile-lru/ })
  })

  t.test('a cluster that queues commands for a disconnected server is refused on open', async t => {
    const queuing = createCluster({ rootNodes: ports.map(port => ({ socket: { host: '127.0.0.1', port } })) })
    t.teardown(() => queuing.destroy())
    await queuing.connect()
    await t.rejects(redisStore(queuing).open(), { name: 'TypeError', message: /disableOfflineQueue: true/ })
  })
})

t.test('on a server', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const admin = await ioredisOn(t, server.ioredis)
  const client = await ioredisOn(t, server.ioredis)
  const clock = fakeClock()
  /** Without a prefix, so that the tests can read the store's keys by their short names. */
  const newStore = (options: RedisStoreOptions = {}) => redisStore(client, { prefix: '', clock: clock.now, ...options })
  t.beforeEach(async () => { await admin.flushall() })

  /** The commands that a call sends to the server, and those that scripts run there. */
  async function commandsOf (call: () => Promise<unknown>): Promise<{ sent: string[], run: string[] }> {
    const monitor = await admin.monitor()
    const sent: string[] = []
    const run: string[] = []
    const end = randomUUID()
    const ended = new Promise<void>(resolve => monitor.on('monitor', (_time: string, args: string[], source: string) => {
      if (args[1] === end) resolve()
      else (source === 'lua' ? run : sent).push(String(args[0]).toUpperCase())
    }))
    await call()
    await admin.echo(end)
    await ended
    monitor.disconnect()
    return { sent, run }
  }

  t.test('each method is one command per key, and none scans the keys', async t => {
    const store = newStore()
    const everything = async () => {
      await store.create(newSession({ id: 'a' }))
      await store.create(newSession({ id: 'b' }))
      await store.advance('a', 0, ROTATION)
      await store.list('ada')
      await store.revokeAll('ada', 'logout')
      await store.list('ada')
    }
    await everything()
    await admin.flushall() // it does not delete the scripts

    const { sent, run } = await commandsOf(everything)
    t.same(new Set(sent), new Set(['EVALSHA']))
    t.same(new Set(run), new Set(['SET', 'GET', 'PUBLISH', 'ZADD', 'ZREM', 'ZRANGE', 'ZRANK', 'PTTL', 'PEXPIRE']))
    await admin.flushall()
    await store.create(newSession({ id: 'a' }))
    t.same(await commandsOf(() => store.get('a')), { sent: ['EVALSHA'], run: ['GET'] })
    t.same(await commandsOf(() => store.advance('a', 0, ROTATION)), { sent: ['EVALSHA'], run: ['GET', 'SET'] })
    t.same(await commandsOf(() => store.revoke('a', 'logout')), { sent: ['EVALSHA'], run: ['GET', 'PTTL', 'PEXPIRE', 'PUBLISH', 'SET'] })
  })

  t.test('scripts are sent again after SCRIPT FLUSH or a restart', async t => {
    const store = newStore()
    const session = newSession()
    const steps: ReadonlyArray<() => Promise<unknown>> = [
      () => store.create(session),
      () => store.get(session.id),
      () => store.advance(session.id, 0, ROTATION),
      () => store.list('ada'),
      () => store.revoke(session.id, 'logout'),
      () => store.list('ada'),
      () => store.revokeAll('ada', 'logout')
    ]
    for (const step of steps) {
      await admin.script('FLUSH')
      await t.resolves(step())
    }
    t.equal((await store.get(session.id))?.reason, 'logout')
    const nodeRedis = redisStore(await nodeRedisOn(t, server.nodeRedis), { prefix: '' })
    await admin.script('FLUSH')
    t.equal((await nodeRedis.get(session.id))?.generation, 1)
  })

  t.test('the key of a session outlives it by an hour', async t => {
    const store = newStore()
    const session = newSession({ id: 'a', userAgent: 'Firefox', ip: '2001:db8::7' })
    await store.create(session)
    t.equal(await admin.get('s:a'), `[0,null,${START},${session.idleExpiresAt},${START},"ada",${START},${session.expiresAt},"Firefox","2001:db8::7"]`)
    await livesFor(t, 's:a', MONTH + 3600)
  })

  t.test('no command changes the time to live of a key', async t => {
    const store = newStore()
    await store.create(newSession({ id: 'a' }))
    await admin.expire('s:a', 1000)
    await store.advance('a', 0, ROTATION)
    await livesFor(t, 's:a', 1000)
    await store.revoke('a', 'reuse')
    await livesFor(t, 's:a', 1000)
    t.equal((await store.get('a'))?.reason, 'reuse')
  })

  t.test('the time to live of a key is counted by the store’s clock', async t => {
    clock.wait('10d')
    const store = newStore({ retainFor: '10m' })
    await store.create(newSession({ id: 'a' }))
    await livesFor(t, 's:a', MONTH - 10 * 86_400 + 600)
    await newStore({ retainFor: 0 }).create(newSession({ id: 'b' }))
    await livesFor(t, 's:b', MONTH - 10 * 86_400)
    clock.wait(-10 * 86_400)
  })

  t.test('a session that has expired gets a time to live, too', async t => {
    await newStore().create(newSession({ id: 'a', expiresAt: START - 86_400 }))
    t.ok(await admin.pttl('s:a') <= 1000)
    t.ok(await admin.pttl('u:ada') <= 1000)
  })

  t.test('the index lives as long as the last of its sessions', async t => {
    const store = newStore()
    await store.create(newSession({ expiresAt: START + MONTH }))
    await store.create(newSession({ expiresAt: START + 60 }))
    await livesFor(t, 'u:ada', MONTH + 3600)
    await store.create(newSession({ expiresAt: START + 2 * MONTH }))
    await livesFor(t, 'u:ada', 2 * MONTH + 3600)
  })

  t.test('the index drops revoked sessions when it is read', async t => {
    const store = newStore()
    for (const id of ['a', 'b', 'c', 'd']) await store.create(newSession({ id }))
    await store.revoke('a', 'logout')
    t.same(await indexOfAda(), ['a', 'b', 'c', 'd'])
    await store.list('ada')
    t.same(await indexOfAda(), ['b', 'c', 'd'])
    await store.revokeAll('ada', 'logout', 'b')
    await store.revokeAll('ada', 'logout', 'b')
    t.same(await indexOfAda(), ['b'])
  })

  t.test('the index drops expired sessions at a login, once the longest session would have expired', async t => {
    const store = newStore()
    const login = (id: string, lasts: number) => store.create(newSession({ id, createdAt: clock.now(), expiresAt: clock.now() + lasts }))
    await login('a', 60)
    await login('b', 90)
    clock.wait(90)
    await login('c', 60)
    t.same(await indexOfAda(), ['a', 'b', 'c'])
    clock.wait(1)
    await login('d', 60)
    t.same(await indexOfAda(), ['c', 'd'])
    clock.wait(-91)
  })

  t.test('the index drops sessions that cannot come back when it is read', async t => {
    const store = newStore()
    await store.create(newSession({ id: 'idle', idleExpiresAt: START + 60 }))
    await store.create(newSession({ id: 'live', idleExpiresAt: START + MONTH }))
    await store.create(newSession({ id: 'lost' }))
    await admin.del('s:lost')
    clock.wait(86_460)
    t.match(await store.list('ada'), exactly({ id: 'idle' }, { id: 'live' }))
    t.same(await indexOfAda(), ['idle', 'live'])
    clock.wait(1)
    await store.list('ada')
    t.same(await indexOfAda(), ['live'])
    clock.wait(-86_461)
  })

  t.test('a flood of sessions is revoked in batches, and leaves the index', async t => {
    const store = newStore()
    const spared = newSession({ id: '0' })
    await store.create(spared)
    await Promise.all(Array.from({ length: 2100 }, () => store.create(newSession())))
    let calls = 0
    let ended = 0
    for (let count = Infinity; count > 0; ended += count, calls++) count = await store.revokeAll('ada', 'revoked', spared.id)
    t.equal(ended, 2100)
    t.ok(calls > 2, 'in several calls')
    t.same(await indexOfAda(), [spared.id])
    t.match(await store.list('ada'), exactly({ id: spared.id }))
  })

  t.test('revoked sessions hide no live session after them', async t => {
    const store = newStore()
    const ended = Array.from({ length: 450 }, () => newSession({ createdAt: START - 1 }))
    await Promise.all(ended.map(session => store.create(session)))
    await Promise.all(ended.map(({ id }) => store.revoke(id, 'logout')))
    const lost = Array.from({ length: 450 }, (_, nth) => newSession({ id: `lost-${nth}`, createdAt: START - 1 }))
    await Promise.all(lost.map(session => store.create(session)))
    await Promise.all(lost.map(({ id }) => admin.del(`s:${id}`)))
    const live = newSession()
    await store.create(live)
    t.match(await store.list('ada', { limit: 1 }), exactly({ id: live.id }))
    t.equal(await store.revokeAll('ada', 'revoked'), 1)
    t.equal(await store.revokeAll('ada', 'revoked'), 0)
  })

  t.test('a page starts after a session, even if the index has dropped it', async t => {
    const store = newStore()
    for (const id of ['a', 'B', '_', 'b']) await store.create(newSession({ id }))
    const after = async (id: string) => (await store.list('ada', { limit: 2, after: newSession({ id }) })).map(({ id }) => id)
    t.same(await after('B'), ['_', 'a'])
    await store.revoke('B', 'logout')
    await store.list('ada')
    t.same(await after('B'), ['_', 'a'])
    t.same(await after('b'), [])
    t.same(await indexOfAda(), ['_', 'a', 'b'])
    await store.list('nobody', { limit: 2, after: newSession() })
    t.equal(await admin.exists('u:nobody'), 0)
  })

  t.test('a session that is just being created is not dropped from the index', async t => {
    const session = newSession()
    let meanwhile: unknown
    const store = redisStore(hooked(client, async (_sha, key) => {
      if (key !== `s:${session.id}`) return
      clock.wait(1)
      meanwhile ??= [await newStore().list('ada'), await newStore().revokeAll('ada', 'revoked'), await indexOfAda()]
    }), { prefix: '', clock: clock.now })
    await store.create(session)
    t.same(meanwhile, [[], 0, [session.id]])
    t.match(await store.list('ada'), exactly({ id: session.id }))
    t.equal(await store.revokeAll('ada', 'revoked'), 1)
  })

  t.test('a revocation of all sessions that fails has the first error as its cause, and is reported to all instances', async t => {
    await newStore().create(newSession())
    const keys: unknown[] = []
    const store = redisStore(hooked(client, async (_sha, key) => {
      keys.push(key)
      if (keys.length > 1) throw new Error(keys.length === 2 ? 'no list' : 'no publish')
    }), { prefix: '', clock: clock.now })
    await t.rejects(store.revokeAll('ada', 'revoked'), { message: 'no list' })
    t.equal(keys.length, 3)
  })

  t.test('a session whose write failed does not exist', async t => {
    const session = newSession()
    const store = redisStore(hooked(client, async (_sha, key) => {
      if (key === `s:${session.id}`) throw new Error('not this time')
    }), { prefix: '' })
    await t.rejects(store.create(session), { message: 'not this time' })
    t.equal(await newStore().get(session.id), null)
    t.same(await newStore().list('ada'), [])
  })

  t.test('a value that no store wrote is an error, and no session', async t => {
    const store = newStore()
    await admin.set('s:a', 'hello')
    await t.rejects(store.get('a'), { name: 'SyntaxError' })
    await admin.lpush('s:b', 'hello')
    await t.rejects(store.get('b'), { message: /^WRONGTYPE/ })
    await t.rejects(store.advance('b', 0, ROTATION), { message: /^WRONGTYPE/ })
  })

  t.test('a revocation is dated by the system clock by default', async t => {
    const store = redisStore(client)
    const session = newSession({ expiresAt: systemClock() + 60 })
    await store.create(session)
    await store.revoke(session.id, 'logout')
    t.ok(Number.isSafeInteger((await store.get(session.id))?.revokedAt))
  })

  t.test('a server whose maxmemory-policy may evict sessions causes a warning', async t => {
    const warnings = warningsIn(t)
    await newStore().open()
    t.same(warnings, [])
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru')
    await newStore().open()
    await redisStore(await nodeRedisOn(t, server.nodeRedis)).open()
    await warned(warnings, 2)
    for (const warning of warnings) t.match(warning, { code: 'FST_AUTH_REDIS_EVICTION', message: /allkeys-lru.*noeviction/ })
    await admin.config('SET', 'maxmemory-policy', 'noeviction')
  })

  const asUser = async (t: Test, username: string) => [
    await ioredisOn(t, { ...server.ioredis, username, password: 'any', enableReadyCheck: false }),
    await nodeRedisOn(t, { ...server.nodeRedis, username, password: 'any' })
  ]
  const setUser = async (name: string, rules: string) => {
    await admin.call('ACL', ['DELUSER', name])
    await admin.call('ACL', ['SETUSER', name, 'on', 'nopass', ...rules.split(' ')])
  }

  async function isEnough (t: Test, client: RedisClient, prefix = 'auth:'): Promise<void> {
    const store = redisStore(client, { clock: clock.now, prefix })
    await store.open()
    await store.claim({ name: 'shop', keyIds: ['a'] })
    const up = await new Promise(resolve => t.teardown(store.subscribe(() => {}, resolve)))
    t.equal(up, true)
    const session = newSession()
    await store.create(session)
    await store.advance(session.id, 0, ROTATION)
    await store.revoke(session.id, 'logout')
    await store.create(newSession())
    t.equal((await store.list('ada')).length, 1)
    t.equal(await store.revokeAll('ada', 'logout'), 1)
    t.ok(await store.now() > 0)
  }

  const FEW_RIGHTS = '~auth:* &auth:revoked +@connection +eval +evalsha +get +set +zadd +zrange +zrank +zrem +pttl +pexpire +time +publish +subscribe'

  t.test('least privilege: a user with only the documented rights suffices', async t => {
    const warnings = warningsIn(t)
    await setUser('app', FEW_RIGHTS)
    for (const app of await asUser(t, 'app')) await isEnough(t, app)
    t.same(warnings, [])
  })

  t.test('least privilege: a missing right is an error at start, with the command that grants it and no more', async t => {
    const lacking: Array<readonly [rights: string, granted: string]> = [
      ...['get', 'set', 'zadd', 'zrange', 'zrank', 'zrem', 'pttl', 'pexpire', 'time', 'subscribe'].map(command => [`~* &* +@all -${command}`, `+${command}`] as const),
      ['~* &* +@all -@sortedset', '+zadd +zrange +zrank +zrem'],
      ['~* &* +@all -info -publish', '+publish; &auth:revoked'],
      ['~* &other +@all', '&auth:revoked'],
      ['~auth:* %R~other:* &* +@all -get', '+get']
    ]
    for (const [rights, granted] of lacking) {
      await setUser('lacking', rights)
      for (const client of await asUser(t, 'lacking')) {
        const error = await t.rejects(redisStore(client).open(), { name: 'TypeError' }, rights) as Error
        const commands = granted.split('; ').map(rule => `ACL SETUSER lacking ${rule}`).join('; ')
        t.match(error.message, `As an administrator, run: ${commands}. Redis`, rights)
      }
    }
  })

  t.test('least privilege: the commands of the error suffice, whichever rights were there', async t => {
    const own = '+@connection'
    for (const rights of [own, `${own} ~*`, `${own} &*`, '+@all', '~* +@all -evalsha', '~* &* +@all -eval', '~other:* &* +@all', '%R~* &* +@all', '~* &* +@all -@write -publish']) {
      for (const nth of [0, 1]) {
        await setUser('granted', rights)
        const client = (await asUser(t, 'granted'))[nth] as RedisClient // there are two
        await granting(t, redisStore(client))
        await isEnough(t, client)
      }
    }
  })

  t.test('least privilege: a granted pattern matches only the store’s keys and channel', async t => {
    await setUser('app', '+@connection')
    const options = { ...server.ioredis, username: 'app', password: 'any', enableReadyCheck: false }
    const client = await ioredisOn(t, { ...options, keyPrefix: 'a?[1]*:', db: 0 })
    await granting(t, redisStore(client))
    await isEnough(t, client)
    const plain = await ioredisOn(t, options)
    await t.rejects(plain.get('a?[1]*:other'), { message: /key/ })
    await t.rejects(plain.get('ab1cc:auth:s:a'), { message: /key/ })
    await t.rejects(plain.publish('ab1cc:auth:revoked', ''), { message: /channel/ })
  })

  t.test('a client without a username is Redis’s user default', async t => {
    for (const client of [await ioredisOn(t, server.ioredis), await nodeRedisOn(t, server.nodeRedis)]) {
      await admin.call('ACL', 'SETUSER', 'default', '-zadd')
      await granting(t, redisStore(client))
      await t.resolves(redisStore(client).open())
    }
  })

  t.test('a command of the check that fails for another reason is no missing right', async t => {
    await admin.hset('auth:rights', 'another', 'type')
    t.teardown(() => admin.del('auth:rights'))
    for (const client of [await ioredisOn(t, server.ioredis), await nodeRedisOn(t, server.nodeRedis)]) await t.resolves(redisStore(client).open())
  })

  t.test('an error other than a missing right is passed on at start', async t => {
    const broken = hooked(client, async (_sha, key) => {
      if (key === 'rights') throw new Error('not this time')
    })
    await t.rejects(redisStore(broken, { prefix: '' }).open(), { name: 'Error', message: 'not this time' })
  })

  t.test('the check of the rights writes nothing', async t => {
    await newStore().open()
    t.equal(await admin.dbsize(), 0)
  })

  /** Runs the commands in the error of `open`, as an administrator would. */
  async function granting (t: Test, store: { open (): Promise<void> }): Promise<void> {
    const error = await t.rejects(store.open(), { name: 'TypeError' }) as Error
    const commands = /run: (.*?)\. Redis/.exec(error.message)?.[1]?.split('; ') ?? []
    for (const command of commands) {
      const [name = '', ...rest] = command.split(' ')
      await admin.call(name, rest).catch(({ message }: Error) => t.match(message, /does not have any effect/))
    }
  }

  t.test('a failing INFO is an error at start', async t => {
    const failing = Object.create(client, { info: { value: async () => { throw new Error('not this time') } } }) as RedisClient // all else is that of the client
    await t.rejects(redisStore(failing).open(), { name: 'Error', message: 'not this time' })
  })

  t.test('immediate revocation without delivery is down, with a warning', async t => {
    const warnings = warningsIn(t)
    const deaf = Object.create(client, { duplicate: { value: (options: RedisOptions) => Object.create(client.duplicate(options), { subscribe: { value: async () => {} } }) } }) as RedisClient // never listens
    const up = await new Promise(resolve => t.teardown(redisStore(deaf).subscribe(() => {}, resolve)))
    t.equal(up, false)
    await warned(warnings, 1)
    t.match(warnings, exactly({ code: 'FST_AUTH_REDIS_SUBSCRIBE', message: /are not delivered/ }))
  })

  t.test('a user without the right to TIME gets an error from now', async t => {
    await admin.call('ACL', ['SETUSER', 'timeless', 'on', 'nopass', '~*', '&*', '+@all', '-time'])
    const timeless = await ioredisOn(t, { ...server.ioredis, username: 'timeless', password: 'any' })
    await t.rejects(redisStore(timeless).now(), { message: /NOPERM|can't run this command/ })
  })

  t.test('open waits for a client that is connecting', async t => {
    const connecting = new Redis({ ...server.ioredis, enableOfflineQueue: false, maxRetriesPerRequest: 0 })
    t.teardown(() => connecting.disconnect())
    await redisStore(connecting).open()
    t.equal(connecting.status, 'ready')
    const lazy = new Redis({ ...server.ioredis, enableOfflineQueue: false, maxRetriesPerRequest: 0, lazyConnect: true })
    t.teardown(() => lazy.disconnect())
    await redisStore(lazy).open()
    t.equal(lazy.status, 'ready')
  })

  t.test('a client that is not connecting is an error at start', async t => {
    const ended = await ioredisOn(t, server.ioredis)
    ended.disconnect()
    await once(ended, 'end')
    await t.rejects(redisStore(ended).open(), { name: 'Error', message: /connect\(\)/ })
    await t.rejects(redisStore(createClient({ disableOfflineQueue: true })).open(), { name: 'Error', message: /connect\(\)/ })
  })

  async function indexOfAda (): Promise<string[]> {
    const members = await admin.zrange('u:ada', '0', '-1')
    return members.filter(id => id !== '') // the empty id is no session
  }

  /** Allows a minute, since a test can be slow. */
  async function livesFor (t: Test, key: string, seconds: number): Promise<void> {
    const rest = await admin.pttl(key)
    t.ok(rest <= seconds * 1000 && rest > (seconds - 60) * 1000, `${key} lives for ${rest} ms`)
  }
})

/** A client that calls `before` before each script; if that throws, the script fails. */
function hooked (client: Redis, before: (sha: string, key: string) => Promise<void>): RedisClient {
  return Object.create(client, {
    evalsha: {
      async value (sha: string, keys: number, key: string, ...values: string[]) {
        await before(sha, key)
        return await client.evalsha(sha, keys, key, ...values)
      }
    }
  })
}

function warningsIn (t: Test): Error[] {
  const warnings: Error[] = []
  const listener = (warning: Error) => {
    if (warning.name === 'RedisStoreWarning') warnings.push(warning)
  }
  process.on('warning', listener)
  t.teardown(() => process.off('warning', listener))
  return warnings
}

/** Warnings are emitted in a later turn. */
async function warned (warnings: readonly Error[], count: number): Promise<void> {
  while (warnings.length < count) await new Promise(setImmediate)
}

const WAY_OUT = /\{ enableOfflineQueue: false, (redisOptions: \{ )?maxRetriesPerRequest: 0 \}/

t.test('replay: a client that could send a command late is refused, with the option to set', async t => {
  const options = { lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0 }
  const nodes = [{ host: '127.0.0.1' }]
  const cluster = { lazyConnect: true, enableOfflineQueue: false }
  const clusterNodeRetryStrategy = () => 100
  const refused: ReadonlyArray<readonly [RedisClient, RegExp]> = [
    [new Redis({ lazyConnect: true }), WAY_OUT],
    [new Redis({ ...options, enableOfflineQueue: true }), WAY_OUT],
    [new Redis({ ...options, maxRetriesPerRequest: 20 }), WAY_OUT],
    [new Redis({ ...options, maxRetriesPerRequest: null }), WAY_OUT],
    [new Cluster(nodes, { lazyConnect: true }), WAY_OUT],
    [new Cluster(nodes, { ...cluster, clusterNodeRetryStrategy }), WAY_OUT],
    [new Cluster(nodes, { ...cluster, clusterNodeRetryStrategy, redisOptions: { maxRetriesPerRequest: 1 } }), WAY_OUT],
    [createClient(), /\{ disableOfflineQueue: true \}/],
    [createClient({ disableOfflineQueue: false }), /\{ disableOfflineQueue: true \}/]
  ]
  for (const [client, message] of refused) t.throws(() => redisStore(client), { name: 'TypeError', message })
  for (const client of [
    new Redis(options),
    new Cluster(nodes, cluster),
    new Cluster(nodes, { ...cluster, clusterNodeRetryStrategy, redisOptions: { maxRetriesPerRequest: 0 } }),
    createClient({ disableOfflineQueue: true }),
    createCluster({ rootNodes: [] })
  ]) t.doesNotThrow(() => redisStore(client))
})

t.test('a logged store shows no password of its client', async t => {
  const store = redisStore(new Redis({ lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0, password: 'hunter2' }))
  t.notMatch(inspect(store, { depth: Infinity, showHidden: true }) + JSON.stringify(store), 'hunter2')
})

t.test('a pool of node-redis is refused, with what to pass instead', async t => {
  // @ts-expect-error: a pool is none of the clients
  t.throws(() => redisStore(createClientPool({ disableOfflineQueue: true })), { name: 'TypeError', message: /is a pool: one client of createClient is enough/ })
})

t.test('an unknown or wrong option is refused by its name', async t => {
  const client = createClient({ disableOfflineQueue: true })
  for (const prefix of [null, 1, {}]) {
    // @ts-expect-error: for those who write JavaScript
    t.throws(() => redisStore(client, { prefix }), { name: 'TypeError', message: /"prefix"/ })
  }
  for (const retainFor of [null, -1, 1.5, '1 hour', '', {}]) {
    // @ts-expect-error: for those who write JavaScript
    t.throws(() => redisStore(client, { retainFor }), { name: 'TypeError', message: /"retainFor"/ })
  }
})

t.test('the types accept clients and clusters of both packages', async t => {
  const compiled = (redis: Redis, cluster: Cluster, client: ReturnType<typeof createClient>, plain: RedisClientType, nodeCluster: ReturnType<typeof createCluster>) =>
    [redisStore(redis), redisStore(cluster), redisStore(client), redisStore(plain), redisStore(nodeCluster), redisStore(createClient({ RESP: 2 }))]
  t.type(compiled, 'function')
})

t.test('a connection that receives messages has a limit for each reply', async t => {
  const given: object[] = []
  const duplicate = (options: object): never => {
    given.push(options)
    throw new Error('enough')
  }
  const clients = [
    ioredisCommands({ status: 'ready', options: { enableOfflineQueue: false, maxRetriesPerRequest: 0 }, duplicate } as unknown as Ioredis),
    nodeRedisCommands({ isReady: true, options: { disableOfflineQueue: true }, duplicate } as unknown as NodeRedis)
  ]
  for (const { subscribe } of clients) await t.rejects(subscribe('revoked', () => {})(new AbortController()), { message: 'enough' })
  t.match(given, exactly({ commandTimeout: 5000 }, { commandOptions: { timeout: 5000 }, socket: { socketTimeout: 20_000 } }))
})
