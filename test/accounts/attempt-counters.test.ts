import { once } from 'node:events'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { MemoryCounter, RedisCounter, type AttemptCounter, type CounterClient, type CounterLimit } from '../../lib/accounts/attempt-counters.js'
import { ioredisClusterOn, ioredisOn, newPrefix, nodeRedisClusterOn, nodeRedisOn, ownRedisServer, redisCluster, redisServer } from '../support/redis.js'

/** One limit, or several with names of their own. */
function limits (...some: ReadonlyArray<readonly [max: number, per: number, countsSuccesses?: boolean]>): CounterLimit[] {
  return some.map(([max, per, countsSuccesses = false]) => ({ name: `${max}/${per}`, max, per, countsSuccesses }))
}

/** The wait of a key in seconds; counts an attempt if it is 0. */
async function waitOf (counter: AttemptCounter, key: string): Promise<number> {
  const counted = await counter.consume(key)
  return typeof counted === 'number' ? counted : 0
}

async function waitsOf (counter: AttemptCounter, key: string, times: number): Promise<number[]> {
  const found = []
  for (let nth = 0; nth < times; nth++) found.push(await waitOf(counter, key))
  return found
}

/** An attempt that is counted. */
async function consume<Counted extends object> (counter: AttemptCounter<Counted>, key: string): Promise<Counted> {
  const counted = await counter.consume(key)
  if (typeof counted === 'number') throw new Error(`${key} has to wait`)
  return counted
}

/** The behaviour of every counter with a limit of three attempts a minute. */
async function countsToThree (t: Test, counter: AttemptCounter): Promise<void> {
  t.strictSame(await waitsOf(counter, 'a', 5), [0, 0, 0, 60, 60], 'three and no more')
  t.equal(await waitOf(counter, 'b'), 0, 'other keys are not affected')

  await counter.refund(await consume(counter, 'c'))
  t.strictSame(await waitsOf(counter, 'c', 4), [0, 0, 0, 60], 'a refunded attempt is not counted')

  await counter.fail(await consume(counter, 'd'), 'ada')
  await counter.fail(await consume(counter, 'd'), 'bob')
  await counter.succeed(await consume(counter, 'd'), 'bob')
  t.strictSame(await waitsOf(counter, 'd', 3), [0, 0, 60], 'a success resets the failures of its owner, and of nobody else')

  await counter.fail(await consume(counter, 'e'), 'ada')
  const both = await Promise.all([consume(counter, 'e'), consume(counter, 'e')])
  await Promise.all(both.map(async counted => await counter.succeed(counted, 'ada')))
  t.strictSame(await waitsOf(counter, 'e', 4), [0, 0, 0, 60], 'two concurrent ones reset them once')
}

/** The behaviour of every counter of three attempts an hour, successes included, and two a minute. */
async function countsAllLimits (t: Test, counter: AttemptCounter): Promise<void> {
  t.strictSame(await waitsOf(counter, 'a', 3), [0, 0, 60])
  for (let nth = 1; nth <= 3; nth++) await counter.succeed(await consume(counter, 'b'), 'ada')
  t.strictSame(await waitsOf(counter, 'b', 1), [3600], 'a success stays counted if the limit counts successes')
  await counter.succeed(await consume(counter, 'e'), 'ada')
  t.strictSame(await waitsOf(counter, 'e', 3), [0, 0, 3600], 'the longest wait applies')

  await counter.fail(await consume(counter, 'c'), 'ada')
  for (let nth = 1; nth <= 9; nth++) await counter.refund(await consume(counter, 'c'))
  t.strictSame(await waitsOf(counter, 'c', 3), [0, 60, 60], 'an attempt that one limit refuses counts for none')
  await counter.succeed(await consume(counter, 'd'), 'ada')
  await counter.fail(await consume(counter, 'd'), 'ada')
  await counter.succeed(await consume(counter, 'd'), 'ada')
  t.strictSame(await waitsOf(counter, 'd', 1), [3600], 'nor does a success reset failures of a limit that counts successes')
}

/** A clock in milliseconds that moves only when the test sets it. */
function stopTime (t: Test): void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
}

t.test('in memory', async t => {
  t.test('a limit allows max attempts per window', async t => {
    stopTime(t)
    await countsToThree(t, new MemoryCounter(limits([3, 60])))
  })

  t.test('several limits together', async t => {
    stopTime(t)
    await countsAllLimits(t, new MemoryCounter(limits([3, 3600, true], [2, 60])))
  })

  t.test('a window ends after its time from the first attempt', async t => {
    stopTime(t)
    const counter = new MemoryCounter(limits([1, 60]))
    await counter.consume('a')
    mock.timers.tick(59_001)
    t.equal(await waitOf(counter, 'a'), 1, 'whole seconds, rounded up')
    t.equal(await waitOf(counter, 'a'), 1, 'and a further attempt moves nothing')
    mock.timers.tick(999)
    t.equal(await waitOf(counter, 'a'), 0)
  })

  t.test('a clock that is set back closes the windows that it would prolong', async t => {
    mock.timers.enable({ apis: ['Date'], now: 1e12 })
    t.teardown(() => mock.timers.reset())
    const counter = new MemoryCounter(limits([1, 60]))
    await counter.consume('a')
    mock.timers.setTime(1e12 - 30 * 86_400_000)
    t.strictSame(await waitsOf(counter, 'a', 2), [0, 60])
  })

  t.test('a refund after the end of its window does not reduce the next window', async t => {
    stopTime(t)
    const counter = new MemoryCounter(limits([2, 60]))
    const [one, other] = [await consume(counter, 'a'), await consume(counter, 'a')]
    mock.timers.tick(60_000)
    await counter.fail(await consume(counter, 'a'), 'ada')
    await counter.refund(one)
    await counter.succeed(other, 'ada')
    t.strictSame([await waitOf(counter, 'a'), await waitOf(counter, 'a')], [0, 60])
  })

  t.test('a full counter evicts the key with the oldest attempt', async t => {
    stopTime(t)
    const counter = new MemoryCounter(limits([1, 60]), 3)
    for (const key of ['a', 'b', 'c', 'a', 'd']) await counter.consume(key)
    const waits = await Promise.all(['c', 'a', 'd', 'b'].map(async key => await waitOf(counter, key)))
    t.strictSame(waits, [60, 60, 60, 0])
  })

  t.test('a refunded attempt evicts no key', async t => {
    stopTime(t)
    const counter = new MemoryCounter(limits([1, 60]), 3)
    await counter.consume('a')
    for (let key = 0; key < 9; key++) await counter.refund(await consume(counter, `busy ${key}`))
    t.equal(await waitOf(counter, 'a'), 60)
  })

  t.test('memory is bounded by the number of keys', async t => {
    const counter = new MemoryCounter(limits([1, 60]), 1000)
    for (let key = 0; key < 20_000; key++) await counter.consume(`key ${key}`)
    t.ok(await waitOf(counter, 'key 19000') > 0)
    t.equal(await waitOf(counter, 'key 18999'), 0)
  })
})

t.test('in Redis, by ioredis', async t => {
  const server = await redisServer(t)
  if (server === null) return
  const client = await ioredisOn(t, server.ioredis)
  const prefix = newPrefix(t, server)
  await countsToThree(t, new RedisCounter(limits([3, 60]), client, prefix))
  await countsAllLimits(t, new RedisCounter(limits([3, 3600, true], [2, 60]), client, `${prefix}all`))

  const [one, other] = [new RedisCounter(limits([1, 60]), client, `${prefix}shared`), new RedisCounter(limits([1, 60]), client, `${prefix}shared`)]
  await one.consume('a')
  t.equal(await waitOf(other, 'a'), 60, 'instances share the count')
  const keys = await client.keys(`${prefix}*`)
  t.ok(keys.length > 3)
  for (const key of keys) t.ok(await client.ttl(key) > 0, 'and every key expires')

  const next = new RedisCounter(limits([2, 60]), client, `${prefix}next`)
  const [early, late] = await Promise.all([consume(next, 'a'), consume(next, 'a')])
  const hash = `${prefix}next2/60:{a}`
  await client.del(hash)
  await next.fail(await consume(next, 'a'), 'ada')
  await next.refund(early)
  await next.succeed(late, 'ada')
  t.strictSame([await waitOf(next, 'a'), await waitOf(next, 'a')], [0, 60], 'an attempt that ends in a later window refunds nothing there')
  await client.del(hash)
  await next.fail(early, 'ada')
  t.equal(await client.exists(hash), 0, 'nor does it leave a key without expiry')
})

t.test('in Redis, by node-redis', async t => {
  const server = await redisServer(t)
  if (server === null) return
  await countsToThree(t, new RedisCounter(limits([3, 60]), await nodeRedisOn(t, server.nodeRedis), newPrefix(t, server)))
})

t.test('in a Redis cluster', async t => {
  const cluster = await redisCluster(t)
  if (cluster === null) return
  await countsToThree(t, new RedisCounter(limits([3, 60]), await ioredisClusterOn(t, cluster.ports), 'ioredis:'))
  await countsAllLimits(t, new RedisCounter(limits([3, 3600, true], [2, 60]), await ioredisClusterOn(t, cluster.ports), 'ioredis all:'))
  await countsToThree(t, new RedisCounter(limits([3, 60]), await nodeRedisClusterOn(t, cluster.ports), 'node-redis:'))
})

t.test('a Redis outage rejects every call, and ends with the outage', async t => {
  const server = await ownRedisServer(t)
  if (server === null) return
  const client = await ioredisOn(t, { ...server.ioredis, retryStrategy: () => 1 })
  const counter = new RedisCounter(limits([3, 60]), client, 'x:')
  const counted = await consume(counter, 'a')

  await server.stop()
  await t.rejects(counter.consume('a'))
  await t.rejects(counter.refund(counted))
  await t.rejects(counter.fail(counted, 'ada'))
  await t.rejects(counter.succeed(counted, 'ada'))
  await server.start()
  await once(client, 'ready')
  t.equal(await waitOf(counter, 'a'), 0)
})

/** The methods of each package's client that are used, without a server. */
const CLIENTS: ReadonlyArray<readonly [name: string, client: (calls: unknown[]) => object]> = [
  ['ioredis', calls => ({ defineCommand () {}, async eval (_script: string, ...values: unknown[]) { calls.push(values[1]); return [1500] } })],
  ['node-redis', calls => ({ async eval (_script: string, { keys }: { keys: string[] }) { calls.push(keys[0]); return [1500] } })]
]

for (const [name, makeClient] of CLIENTS) {
  t.test(`${name} is recognised by its methods`, async t => {
    const calls: unknown[] = []
    const counter = new RedisCounter(limits([3, 60]), makeClient(calls) as CounterClient, 'auth:account:')
    t.equal(await waitOf(counter, 'a'), 2)
    t.strictSame(calls, ['auth:account:3/60:{a}'])
  })
}
