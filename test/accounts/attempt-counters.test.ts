import { once } from 'node:events'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { memoryCounter, redisCounter, type AttemptCounter } from '../../lib/accounts/attempt-counters.js'
import { ioredisClusterOn, ioredisOn, newPrefix, nodeRedisClusterOn, nodeRedisOn, ownRedisServer, redisCluster, redisServer } from '../support/redis.js'

/** The wait of a key in seconds; counts an attempt if it is 0. */
async function waitOf (counter: AttemptCounter, key: string): Promise<number> {
  return (await counter.count(key)).wait
}

/** The behaviour of every counter with a limit of three attempts a minute. */
async function countsToThree (t: Test, counter: AttemptCounter): Promise<void> {
  const waits = async (key: string, times: number): Promise<number[]> => {
    const found = []
    for (let nth = 0; nth < times; nth++) found.push(await waitOf(counter, key))
    return found
  }
  t.strictSame(await waits('a', 5), [0, 0, 0, 60, 60], 'three and no more')
  t.equal(await waitOf(counter, 'b'), 0, 'for this key alone')

  const [none, refused] = [await counter.count('c'), await counter.count('a')]
  await none.refund()
  t.strictSame(await waits('c', 4), [0, 0, 0, 60], 'what was no attempt is not counted')
  for (const end of [refused.refund, () => refused.fail('ada'), () => refused.succeed('ada')]) await end()
  t.equal(await waitOf(counter, 'a'), 60, 'and what was refused takes nothing back')

  await (await counter.count('d')).fail('ada')
  await (await counter.count('d')).fail('bob')
  await (await counter.count('d')).succeed('bob')
  t.strictSame(await waits('d', 3), [0, 0, 60], 'a success takes back failures of its owner, and of nobody else')

  await (await counter.count('e')).fail('ada')
  await Promise.all([counter.count('e'), counter.count('e')].map(async counted => await (await counted).succeed('ada')))
  t.strictSame(await waits('e', 4), [0, 0, 0, 60], 'two at once take them back once')
}

/** A clock in milliseconds that moves only when the test sets it. */
function stopTime (t: Test): void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
}

t.test('in memory', async t => {
  t.test('a limit allows max attempts per window', async t => {
    stopTime(t)
    await countsToThree(t, memoryCounter({ max: 3, per: 60 }))
  })

  t.test('a window ends after its time from the first attempt', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 })
    await counter.count('a')
    mock.timers.tick(59_001)
    t.equal(await waitOf(counter, 'a'), 1, 'whole seconds, rounded up')
    t.equal(await waitOf(counter, 'a'), 1, 'and a further attempt moves nothing')
    mock.timers.tick(999)
    t.equal(await waitOf(counter, 'a'), 0)
  })

  t.test('a refund after the end of its window does not reduce the next window', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 2, per: 60 })
    const [one, other] = [await counter.count('a'), await counter.count('a')]
    mock.timers.tick(60_000)
    await (await counter.count('a')).fail('ada')
    await one.refund()
    await other.succeed('ada')
    t.strictSame([await waitOf(counter, 'a'), await waitOf(counter, 'a')], [0, 60])
  })

  t.test('a full counter evicts the key with the oldest attempt', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 }, 3)
    for (const key of ['a', 'b', 'c', 'a', 'd']) await counter.count(key)
    const waits = await Promise.all(['c', 'a', 'd', 'b'].map(async key => await waitOf(counter, key)))
    t.strictSame(waits, [60, 60, 60, 0])
  })

  t.test('a refunded attempt evicts no key', async t => {
    stopTime(t)
    const counter = memoryCounter({ max: 1, per: 60 }, 3)
    await counter.count('a')
    for (let key = 0; key < 9; key++) await (await counter.count(`busy ${key}`)).refund()
    t.equal(await waitOf(counter, 'a'), 60)
  })

  t.test('memory is bounded by the number of keys', async t => {
    const counter = memoryCounter({ max: 1, per: 60 }, 1000)
    for (let key = 0; key < 20_000; key++) await counter.count(`key ${key}`)
    t.ok(await waitOf(counter, 'key 19000') > 0)
    t.equal(await waitOf(counter, 'key 18999'), 0)
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
  t.equal(await waitOf(other, 'a'), 60, 'instances count together')
  for (const key of await client.keys(`${prefix}*`)) t.ok(await client.ttl(key) > 0, 'and nothing stays for ever')

  const next = redisCounter({ max: 2, per: 60 }, client, `${prefix}next`)
  const ends = await Promise.all([next.count('a'), next.count('a')])
  await client.del(`${prefix}next:a`)
  await (await next.count('a')).fail('ada')
  for (const end of [ends[0]?.refund, () => ends[1]?.succeed('ada')]) await end?.()
  t.strictSame([await waitOf(next, 'a'), await waitOf(next, 'a')], [0, 60], 'what ends in a later window takes nothing back from it')
  await client.del(`${prefix}next:a`)
  await ends[0]?.fail('ada')
  t.equal(await client.exists(`${prefix}next:a`), 0, 'nor does it leave anything that never expires')
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

t.test('a Redis outage rejects every call, and ends with the outage', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const client = await ioredisOn(t, { ...server.ioredis, retryStrategy: () => 1 })
  const counter = redisCounter({ max: 3, per: 60 }, client, 'x:')
  const counted = await counter.count('a')

  await server.stop()
  await t.rejects(counter.count('a'))
  await t.rejects(counted.refund())
  await t.rejects(counted.fail('ada'))
  await t.rejects(counted.succeed('ada'))
  await server.start()
  await once(client, 'ready')
  t.equal(await waitOf(counter, 'a'), 0)
})

/** The methods of each package's client that are used, without a server. */
const CLIENTS: ReadonlyArray<readonly [name: string, client: (asked: unknown[]) => object]> = [
  ['ioredis', asked => ({ defineCommand () {}, async eval (_script: string, ...values: unknown[]) { asked.push(values[1]); return [1500, ''] } })],
  ['node-redis', asked => ({ async eval (_script: string, { keys }: { keys: string[] }) { asked.push(keys[0]); return [1500, ''] } })]
]

for (const [name, makeClient] of CLIENTS) {
  t.test(`${name} is recognised by its methods`, async t => {
    const asked: unknown[] = []
    const counter = redisCounter({ max: 3, per: 60 }, makeClient(asked) as Parameters<typeof redisCounter>[1], 'auth:account')
    t.equal(await waitOf(counter, 'a'), 2)
    t.strictSame(asked, ['auth:account:a'])
  })
}
