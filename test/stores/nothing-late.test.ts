import { setImmediate } from 'node:timers/promises'
import { type Redis } from 'ioredis'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock } from '../../lib/time.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore, type RedisClient } from '../../lib/stores/redis/index.js'
import { REDIS_CLIENTS } from '../support/engines.js'
import { poolOn, postgres } from '../support/postgres.js'
import { ownRedisServer } from '../support/redis.js'
import { server, sessionOf, testClock, type Browser, type TestServer } from '../support/server.js'
import { tcpProxy, type TcpProxy } from '../support/tcp-proxy.js'

const UNAVAILABLE = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }

/** An app with two people whose next requests would change their sessions. */
async function twoPeople (t: Test, newStore: (clock: Clock) => SessionStore): Promise<TestServer & Record<'ada' | 'bob', Browser>> {
  const clock = testClock()
  const s = await server(t, { clock, store: newStore(clock) })
  const [ada, bob] = [s.browser(), s.browser()]
  await ada.signup('ada')
  await bob.signup('bob')
  clock.wait('30s')
  return { ...s, ada, bob }
}

type People = Awaited<ReturnType<typeof twoPeople>>

/** A rotation, a logout and a login whose callers all give up. */
async function giveUp (t: Test, { ada, bob, browser }: People): Promise<void> {
  for (const answer of await Promise.all([ada.refresh(), bob.logout(), browser().login('ada')])) t.match(answer.json(), UNAVAILABLE)
}

/** The commands that took effect although their callers had given up. */
async function tookEffect ({ store, ada, bob, app }: People): Promise<string[]> {
  const [adas, bobs] = await Promise.all([ada, bob].map(browser => store.get(sessionOf(browser))))
  const effects = {
    rotation: adas?.generation !== 0,
    logout: bobs?.revokedAt !== null,
    login: (await app.sessions.list('1')).length > 1
  }
  return Object.entries(effects).filter(([, effect]) => effect).map(([name]) => name)
}

async function untilAnswered (call: () => Promise<unknown>): Promise<void> {
  const answered = await call().then(() => true, () => false)
  if (answered) return
  await new Promise(resolve => setTimeout(resolve, 50))
  await untilAnswered(call)
}

/** Ways to lose a connection with pending calls; all callers have given up at the end. */
const LOSSES: Readonly<Record<string, (proxy: TcpProxy, client: RedisClient, giveUp: () => Promise<void>) => Promise<void>>> = {
  async 'while its server was away' (proxy, client, giveUp) {
    await proxy.refuse()
    while ('status' in client ? client.status === 'ready' : client.isReady) await setImmediate()
    await giveUp()
    await proxy.pass()
  },
  async 'and did not arrive before its connection was lost' (proxy, _client, giveUp) {
    await proxy.hold()
    await giveUp()
    await proxy.refuse()
    await proxy.pass()
  }
}

t.jobs = 4 // the tests mostly wait

for (const [name, connect] of Object.entries(REDIS_CLIENTS)) {
  for (const [loss, lose] of Object.entries(LOSSES)) {
    t.test(`replay: ${name} never runs a command whose caller gave up ${loss}`, { buffered: true }, async t => {
      t.same(await lateOn(t, connect, lose, {}, client => client) ?? [], [])
    })
  }
}

t.test('control: clients that the store refuses do run it later', { buffered: true }, async t => {
  const [away, lost] = Object.values(LOSSES) as [typeof LOSSES[string], typeof LOSSES[string]] // there are two
  const { ioredis, 'node-redis': nodeRedis } = REDIS_CLIENTS as Record<'ioredis' | 'node-redis', typeof REDIS_CLIENTS[string]> // both are there
  const queues = { enableOfflineQueue: true, maxRetriesPerRequest: 20, socketTimeout: undefined }
  const late = await Promise.all([
    lateOn(t, ioredis, away, queues, disguised),
    lateOn(t, ioredis, lost, { ...queues, enableOfflineQueue: false }, disguised),
    lateOn(t, nodeRedis, away, { disableOfflineQueue: false }, disguised)
  ])
  for (const effects of late) runsLate(t, effects)
})

function runsLate (t: Test, late: string[] | null): void {
  if (late !== null) t.ok(late.length > 0) // null: there is no server
}

/** The commands that run late on a client with these options; `show` may disguise it from the store. Null without a server. */
async function lateOn (t: Test, connect: typeof REDIS_CLIENTS[string], lose: typeof LOSSES[string], options: object, show: (client: RedisClient) => RedisClient): Promise<string[] | null> {
  const redis = await ownRedisServer(t)
  if (redis === null) return null
  const proxy = await tcpProxy(t, { path: redis.path })
  const client = await connect(t, proxy.port, options)
  const people = await twoPeople(t, clock => redisStore(show(client), { clock }))
  await lose(proxy, client, () => giveUp(t, people))
  await untilAnswered(() => people.store.get('any')) // it follows all earlier commands on its connection
  return await tookEffect(people)
}

/** A client whose options satisfy the store, although it works differently. */
function disguised (client: RedisClient): RedisClient {
  const wanted = { enableOfflineQueue: false, maxRetriesPerRequest: 0, disableOfflineQueue: true }
  const members = ['evalsha', 'eval', 'evalSha', 'info'].filter(name => name in client)
  const call = (name: string) => (...args: unknown[]) => (client as unknown as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args) // with the client's own `this`
  return {
    status: (client as Redis).status,
    isReady: true,
    options: { ...(client as Redis).options, ...wanted },
    ...Object.fromEntries(members.map(name => [name, call(name)]))
  } as unknown as RedisClient // the members that the store uses here
}

/** Ways to block a pool until the returned function is called. */
const DELAYS: Readonly<Record<string, (pool: pg.Pool, connectionString: string) => Promise<() => Promise<void>>>> = {
  async 'another transaction holds the table' (_pool, connectionString) {
    const other = new pg.Client({ connectionString })
    await other.connect()
    await other.query('BEGIN; LOCK TABLE auth_sessions')
    return () => other.end()
  },
  async 'every connection is lent' (pool) {
    const lent = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
    return async () => { for (const client of lent) client.release() }
  }
}

for (const [delay, begin] of Object.entries(DELAYS)) {
  t.test(`replay: PostgreSQL never runs a statement whose caller gave up while ${delay}`, { buffered: true }, async t => {
    t.same(await lateOnPostgres(t, begin, { statement_timeout: 2500, connectionTimeoutMillis: 2500, query_timeout: 60_000 }) ?? [], [])
  })

  t.test(`control: a pool without timeouts does run it later, while ${delay}`, { buffered: true }, async t => {
    runsLate(t, await lateOnPostgres(t, begin, { statement_timeout: 0, connectionTimeoutMillis: 0, query_timeout: 0 }))
  })
}

async function lateOnPostgres (t: Test, delay: typeof DELAYS[string], timeouts: pg.PoolConfig): Promise<string[] | null> {
  const connectionString = await postgres(t)
  if (connectionString === null) return null
  const pool = poolOn(t, { connectionString, ...timeouts })
  const people = await twoPeople(t, clock => postgresStore(pool, { clock }))
  const mend = await delay(pool, connectionString)
  await giveUp(t, people)
  if (timeouts.statement_timeout !== 0) await untilNothingWaits(pool, connectionString)
  await mend()
  while (pool.waitingCount > 0 || pool.idleCount < pool.totalCount) await setImmediate() // a statement that had waited for a connection may not have reached the table
  // This lock is granted after all others that wait for the table.
  await untilAnswered(() => pool.query('BEGIN; LOCK TABLE auth_sessions; COMMIT'))
  return await tookEffect(people)
}

/** Waits until no call waits for a connection of the pool, and no backend waits for a lock. */
async function untilNothingWaits (pool: pg.Pool, connectionString: string): Promise<void> {
  const admin = new pg.Client({ connectionString })
  await admin.connect()
  let waiting = 1
  while (waiting > 0) {
    const { rows } = await admin.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    waiting = rows.length + pool.waitingCount
  }
  await admin.end()
}
