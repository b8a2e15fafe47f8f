import { once } from 'node:events'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { memoryCounter, redisCounter, type AttemptCounter } from '../../lib/accounts/attempt-counter.js'
import { ioredisClusterOn, ioredisOn, newPrefix, nodeRedisClusterOn, nodeRedisOn, ownRedisServer, redisCluster, redisServer } from '../support/redis.js'

/** What every counter of three attempts a minute does, whatever it counts in. */
async function countsToThree (t: Test, counter: AttemptCounter): Promise<void> {
  t.strictSame([await counter.count('a'), await counter.count('a'), await counter.count('a')], [0, 0, 0])
  t.equal(await counter.count('a'), 60, 'there is no fourth')
  t.equal(await counter.count('b'), 0, 'for this key alone')
  t.equal(await counter.count('a'), 60)
  await counter.forget('a')
  t.strictSame([await counter.count('a'), await counter.count('a')], [0, 0], 'anew')
  t.equal(await counter.giveBack('a'), 1)
  t.strictSame([await counter.count('a'), await counter.count('a'), await counter.count('a')], [0, 0, 60], 'and one more')
  await t.resolves(counter.forget('nobody'))
}

/** A minute that only the test moves on. */
function stopTime (t: Test): void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
}

t.test('in memory', async t => {
  t.test('so many attempts within so much time', async t => {
    stopTime(t)
    await countsToThree(t, memoryCounter({ max: 3, per: 60 }))
  })

  t.test('begin anew when the time since the first is over', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 })
    await counter.count('a')
    mock.timers.tick(59_001)
    t.equal(await counter.count('a'), 1, 'whole seconds, rounded up')
    t.equal(await counter.count('a'), 1, 'and a further attempt moves nothing')
    mock.timers.tick(999)
    t.equal(await counter.count('a'), 0)
  })

  t.test('where a timer is late, nobody waits for it', async t => {
    mock.timers.enable({ apis: ['Date'] })
    t.teardown(() => mock.timers.reset())
    const counter = memoryCounter({ max: 1, per: 60 })
    await counter.count('a')
    mock.timers.tick(61_000)
    t.equal(await counter.count('a'), 0)
  })

  t.test('of so many keys and no more: the one that tried least recently is forgotten', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 }, 3)
    for (const key of ['a', 'b', 'c', 'a', 'd']) await counter.count(key)
    const waits = await Promise.all(['c', 'a', 'd', 'b'].map(async key => await counter.count(key)))
    t.strictSame(waits, [60, 60, 60, 0])
    t.equal(await counter.giveBack('c'), 0)
    t.equal(await counter.count('c'), 0, 'and what was forgotten is given nothing back')
    t.equal(await counter.count('c'), 60)
  })

  t.test('where an attempt that is given back pushes nobody out', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 }, 3)
    await counter.count('a')
    for (let key = 0; key < 9; key++) {
      await counter.count(`busy ${key}`)
      t.equal(await counter.giveBack(`busy ${key}`), 0)
    }
    t.equal(await counter.count('a'), 60)
  })

  t.test('nor is one lost that is counted meanwhile', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 })
    await counter.count('a')
    await Promise.all([counter.giveBack('a'), counter.count('a')])
    t.equal(await counter.count('a'), 60)
  })

  t.test('of ever more keys takes the memory of the last ones', async t => {
    const counter = memoryCounter({ max: 1, per: 60 }, 1000)
    for (let key = 0; key < 20_000; key++) await counter.count(`key ${key}`)
    t.ok(await counter.count('key 19000') > 0)
    t.equal(await counter.count('key 18999'), 0)
  })
})

t.test('in Redis, by ioredis', async t => {
  const server = await redisServer(t)
  if (server === null) return
  const client = await ioredisOn(t, server.ioredis)
  const prefix = newPrefix(t, server)
  await countsToThree(t, redisCounter({ max: 3, per: 60 }, client, prefix))

  const [one, other] = [redisCounter({ max: 1, per: 60 }, client, `${prefix}shared`), redisCounter({ max: 1, per: 60 }, client, `${prefix}shared`)]
  await one.count('a')
  t.equal(await other.count('a'), 60, 'instances count together')
  for (const key of await client.keys(`${prefix}*`)) t.ok(await client.ttl(key) > 0, 'and nothing stays for ever')
})

t.test('in Redis, by node-redis', async t => {
  const server = await redisServer(t)
  if (server === null) return
  await countsToThree(t, redisCounter({ max: 3, per: 60 }, await nodeRedisOn(t, server.nodeRedis), newPrefix(t, server)))
})

t.test('in a Redis cluster', async t => {
  const cluster = await redisCluster(t)
  if (cluster === null) return
  await countsToThree(t, redisCounter({ max: 3, per: 60 }, await ioredisClusterOn(t, cluster.ports), 'ioredis:'))
  await countsToThree(t, redisCounter({ max: 3, per: 60 }, await nodeRedisClusterOn(t, cluster.ports), 'node-redis:'))
})

t.test('in a Redis that is away, all of it fails, and works when it is back', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const client = await ioredisOn(t, { ...server.ioredis, retryStrategy: () => 1 })
  const counter = redisCounter({ max: 3, per: 60 }, client, 'x:')
  await counter.count('a')

  await server.stop()
  await t.rejects(counter.count('a'))
  await t.rejects(counter.giveBack('a'))
  await t.rejects(counter.forget('a'))
  await server.start()
  await once(client, 'ready')
  t.equal(await counter.count('a'), 0)
})

/** As much of each package's client as is used, without a server: what nobody has asked for is refused by name. */
const CLIENTS: ReadonlyArray<readonly [name: string, client: (asked: string[]) => object]> = [
  ['ioredis', asked => ({
    defineCommand (name: string) { asked.push(`define ${name}`) },
    async rlflxIncr ([key]: string[]) { asked.push(`count ${key}`); return [4, 1500] },
    async del (key: string) { asked.push(`del ${key}`); return 1 }
  })],
  ['node-redis', asked => ({
    async eval (_script: string, { keys }: { keys: string[] }) { asked.push(`count ${keys[0]}`); return [4, 1500] },
    async del (key: string) { asked.push(`del ${key}`); return 1 }
  })]
]

for (const [name, makeClient] of CLIENTS) {
  t.test(`${name} is known by what it can do`, async t => {
    const asked: string[] = []
    const counter = redisCounter({ max: 3, per: 60 }, makeClient(asked) as Parameters<typeof redisCounter>[1], 'auth:account')
    t.equal(await counter.count('a'), 2)
    await counter.forget('a')
    t.strictSame(asked.filter(act => !act.startsWith('define')), ['count auth:account:a', 'del auth:account:a'])
  })
}
