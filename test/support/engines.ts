import mysql, { type Pool } from 'mysql2/promise'
import pg from 'pg'
import { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock } from '../../lib/time.js'
import { mysqlStore } from '../../lib/stores/mysql/index.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore, type RedisClient } from '../../lib/stores/redis/index.js'
import { ownMysqlServer, poolAt } from './mysql.js'
import { ownPostgresServer, poolOn } from './postgres.js'
import { ioredisOn, nodeRedisOn, ownRedisServer } from './redis.js'
import { tcpProxy, type TcpProxy } from './tcp-proxy.js'

/** Breaks something; the returned function repairs it. */
export type Inject = () => Promise<() => Promise<unknown>>

/** The fault, and the calls that still work: those that only read, and those that end a session. */
export interface Fault {
  readonly inject: Inject
  readonly reads?: boolean
  readonly revokes?: boolean
}

/** A separate server with a breakable connection. */
export interface Engine {
  readonly proxy: TcpProxy
  /** A store behind the proxy, with a client as in the README and a few changed options. */
  store (clock: Clock, options?: object): Promise<SessionStore>
  stop (): Promise<void>
  start (): Promise<void>
  snapshot (): Promise<() => Promise<void>>
  /** Faults of this engine only, by name. */
  readonly own: Readonly<Record<string, Fault>>
}

/** Connects a client to a port, as in the README, with a few changed options. */
export const REDIS_CLIENTS: Readonly<Record<string, (t: Test, port: number, options?: object) => Promise<RedisClient>>> = {
  ioredis: connectIoredis,
  'node-redis': connectNodeRedis
}

/** Each kind of server store; null if the server is not available, which skips the test. */
export const ENGINES: Readonly<Record<string, (t: Test) => Promise<Engine | null>>> = {
  'Redis with ioredis': async t => await redisEngine(t, connectIoredis, lostWithoutAWord),
  'Redis with node-redis': async t => await redisEngine(t, connectNodeRedis, () => ({})),
  PostgreSQL: postgresEngine,
  MariaDB: mysqlEngine
}

/** True if a lost connection is detected within seconds without an error. */
const SILENCE_MS = 3000

async function connectIoredis (t: Test, port: number, options: object = {}): Promise<RedisClient> {
  return await ioredisOn(t, { port, socketTimeout: SILENCE_MS, ...options })
}

async function connectNodeRedis (t: Test, port: number, options: object = {}): Promise<RedisClient> {
  return await nodeRedisOn(t, { socket: { port }, ...options })
}

/** A half-open connection: node-redis has no option to detect it while it sends. */
const lostWithoutAWord = (proxy: TcpProxy): Readonly<Record<string, Fault>> => ({
  'connections are lost without a word': {
    async inject () {
      await proxy.hold()
      return proxy.abandon
    }
  }
})

async function redisEngine (t: Test, connect: typeof connectIoredis, faultsOf: (proxy: TcpProxy) => Engine['own']): Promise<Engine | null> {
  const server = await ownRedisServer(t, '--appendonly', 'yes', '--appendfsync', 'always')
  if (server === null) return null
  const admin = await ioredisOn(t, { ...server.ioredis, enableOfflineQueue: true })
  const proxy = await tcpProxy(t, { path: server.path })
  const { stop, start, snapshot } = server

  return {
    proxy,
    stop,
    start,
    snapshot,
    store: async (clock, options = {}) => redisStore(await connect(t, proxy.port, options), { clock }),
    own: {
      ...faultsOf(proxy),
      'commands are paused': {
        async inject () {
          await admin.call('CLIENT', ['PAUSE', '1000000', 'WRITE'])
          return () => admin.call('CLIENT', ['UNPAUSE'])
        }
      },
      'its memory is full': {
        reads: true,
        revokes: true,
        async inject () {
          await admin.config('SET', 'maxmemory', '1')
          return () => admin.config('SET', 'maxmemory', '0')
        }
      },
      'it became a replica': {
        reads: true,
        async inject () {
          await admin.replicaof('127.0.0.1', '1')
          return () => admin.replicaof('NO', 'ONE')
        }
      }
    }
  }
}

async function postgresEngine (t: Test): Promise<Engine | null> {
  const server = await ownPostgresServer(t)
  if (server === null) return null
  const proxy = await tcpProxy(t, { port: server.port, host: '127.0.0.1' })
  const { url, stop, start, snapshot } = server
  const pools: pg.Pool[] = []

  /** A separate connection that bypasses the proxy. */
  async function connectAdmin (): Promise<pg.Client> {
    const admin = new pg.Client({ connectionString: url })
    await admin.connect()
    return admin
  }

  /** Such a connection that locks the table until it ends. */
  async function holdTable (): Promise<pg.Client> {
    const admin = await connectAdmin()
    await admin.query('BEGIN; LOCK TABLE auth_sessions')
    return admin
  }

  return {
    proxy,
    stop,
    start,
    snapshot,
    async store (clock, options = {}) {
      const pool = poolOn(t, {
        connectionString: `postgresql://postgres@127.0.0.1:${proxy.port}/postgres`,
        statement_timeout: SILENCE_MS,
        query_timeout: SILENCE_MS,
        connectionTimeoutMillis: SILENCE_MS,
        ...options
      })
      pools.push(pool)
      const store = postgresStore(pool, { clock })
      await store.open()
      return store
    },
    own: {
      ...lostWithoutAWord(proxy),
      'its backends are terminated at work': {
        async inject () {
          const admin = await holdTable()
          const over = new AbortController()
          const terminating = terminateWaiting(admin, over.signal)
          return async () => {
            over.abort()
            await terminating
            await admin.end()
          }
        }
      },
      'another transaction holds the table': {
        async inject () {
          const admin = await holdTable()
          return () => admin.end()
        }
      },
      'every connection of the pool is lent': {
        async inject () {
          const lent = await Promise.all(pools.flatMap(pool => Array.from({ length: pool.options.max }, () => pool.connect())))
          return async () => { for (const client of lent) client.release() }
        }
      },
      'it may only read, as a standby': {
        reads: true,
        async inject () {
          const readOnly = async (value: string) => {
            const admin = await connectAdmin()
            try {
              await admin.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`)
              await admin.query('SELECT pg_reload_conf()')
            } finally {
              await admin.end()
            }
            await Promise.all(pools.map(pool => untilShown(pool, 'default_transaction_read_only', value)))
          }
          await readOnly('on')
          return () => readOnly('off')
        }
      }
    }
  }
}

async function terminateWaiting (admin: pg.Client, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
  }
}

/** Backends apply a new setting one after the other. */
async function untilShown (pool: pg.Pool, setting: string, value: string): Promise<void> {
  const connections = await Promise.all(Array.from({ length: pool.totalCount }, () => pool.connect()))
  for (const connection of connections) {
    let shown: unknown
    while (shown !== value) shown = (await connection.query(`SHOW ${setting}`)).rows[0]?.[setting]
    connection.release()
  }
}

async function mysqlEngine (t: Test): Promise<Engine | null> {
  const server = await ownMysqlServer(t)
  if (server === null) return null
  const { place, stop, start, snapshot } = server
  const proxy = await tcpProxy(t, { port: place.port, host: place.host })
  const pools: Pool[] = []

  /** A connection that does not use the proxy, after some statements. */
  async function connectAdmin (...statements: string[]): Promise<mysql.Connection> {
    const admin = await mysql.createConnection({ ...place })
    for (const statement of statements) await admin.query(statement)
    return admin
  }

  // A server that became a replica lets an administrator write.
  await (await connectAdmin("CREATE USER app@'%'", "GRANT ALL ON test.* TO app@'%'")).end()

  return {
    proxy,
    stop,
    start,
    snapshot,
    async store (clock, options = {}) {
      const pool = poolAt(t, { ...place, host: '127.0.0.1', port: proxy.port, user: 'app', connectTimeout: SILENCE_MS, ...options })
      pools.push(pool)
      const store = mysqlStore(pool, { clock, timeoutMs: SILENCE_MS })
      await store.open()
      return store
    },
    own: {
      ...lostWithoutAWord(proxy),
      'its connections are killed at work': {
        async inject () {
          const [lock, admin] = [await connectAdmin('LOCK TABLES auth_sessions WRITE'), await connectAdmin()]
          const over = new AbortController()
          const killing = killWaiting(admin, over.signal)
          return async () => {
            over.abort()
            await killing
            await Promise.all([lock.end(), admin.end()])
          }
        }
      },
      'another transaction locks the table': {
        async inject () {
          const admin = await connectAdmin('LOCK TABLES auth_sessions WRITE')
          return () => admin.end()
        }
      },
      'another transaction locks every session': {
        reads: true,
        async inject () {
          const admin = await connectAdmin('BEGIN', 'SELECT id FROM auth_sessions FOR UPDATE')
          return () => admin.end()
        }
      },
      'every connection of the pool is in use': {
        async inject () {
          const lent = await Promise.all(pools.flatMap(pool => Array.from({ length: 10 }, () => pool.getConnection())))
          return async () => { for (const connection of lent) connection.release() }
        }
      },
      'it became a replica': {
        reads: true,
        async inject () {
          const admin = await connectAdmin('SET GLOBAL read_only = 1')
          return async () => {
            await admin.query('SET GLOBAL read_only = 0')
            await admin.end()
          }
        }
      }
    }
  }
}

async function killWaiting (admin: mysql.Connection, over: AbortSignal): Promise<void> {
  while (!over.aborted) {
    const [rows] = await admin.query("SELECT id FROM information_schema.processlist WHERE user = 'app' AND state LIKE 'Waiting%'") as unknown as [Array<{ id: number }>]
    for (const { id } of rows) await admin.query(`KILL ${id}`).catch(() => {}) // it has ended meanwhile
  }
}
