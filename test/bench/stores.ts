import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { memoryStore, type Session, type SessionStore } from 'fastify-refresh-cookie'
import { mysqlStore } from 'fastify-refresh-cookie/mysql'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { sqliteStore } from 'fastify-refresh-cookie/sqlite'
import { newMysqlPool, newPool, newRedis } from './connections.js'

/** The kinds of stores. */
export type Engine = 'memory' | 'redis' | 'postgres' | 'mysql' | 'sqlite'

/** A store under measurement. */
export interface MeasuredStore {
  readonly store: SessionStore
  /** Writes `count` sessions, each of another user. */
  fill (count: number): Promise<void>
  /** The size of its sessions, in bytes. */
  size (): Promise<number>
  /** The share of updates that were heap-only; null for other databases than PostgreSQL. */
  hotShare (): Promise<number | null>
  /** Deletes its data, and disconnects. */
  drop (): Promise<void>
}

const MONTH = 30 * 86_400
const USER_AGENTS = ['152', '153', '154', '155', '156'].map(version => `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version}.0.0.0 Safari/537.36`)

/** Opens the store with a name, by default a new one. Redis and PostgreSQL are those of REDIS_URL and DATABASE_URL, or of this machine. */
export async function openStore (engine: Engine, name = `bench_${newName()}`): Promise<MeasuredStore> {
  return await { memory: openMemory, redis: openRedis, postgres: openPostgres, mysql: openMysql, sqlite: openSqlite }[engine](name)
}

async function openMemory (): Promise<MeasuredStore> {
  const store = memoryStore()
  const before = heapUsed()
  return {
    store,
    fill: async count => { await writeTo(store, count, 1) },
    size: async () => heapUsed() - before,
    hotShare: async () => null,
    drop: async () => {}
  }
}

async function openRedis (name: string): Promise<MeasuredStore> {
  const client = await newRedis()
  const prefix = `${name}:`
  const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
  const before = await usedMemory()
  const store = redisStore(client, { prefix })
  return {
    store,
    fill: async count => { await writeTo(store, count, 400) },
    size: async () => await usedMemory() - before,
    hotShare: async () => null,

    async drop () {
      for await (const keys of client.scanStream({ match: `${prefix}*`, count: 5000 })) if (keys.length > 0) await client.unlink(keys)
      await client.quit()
    }
  }
}

async function openPostgres (table: string): Promise<MeasuredStore> {
  const pool = newPool(60_000)
  const store = postgresStore(pool, { table })
  await store.get('none') // creates the table
  const one = async (text: string) => Object.values((await pool.query(text)).rows[0] ?? {})[0]

  return {
    store,

    async fill (count) {
      const now = Math.floor(Date.now() / 1000)
      const { userAgent } = madeUp(0, now)
      for (let start = 0; start < count; start += 50_000) {
        await pool.query(`INSERT INTO ${table} (id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time, user_agent, ip)
          SELECT translate(encode(uuid_send(gen_random_uuid()), 'base64'), '+/=', '-_'), i::text, 0, $3::bigint, $3, $3 + ${MONTH} + i % 1000, $3 + 604800, $3, $4, '192.0.2.1'
          FROM generate_series($1::bigint, $2) AS i`, [start, Math.min(start + 50_000, count) - 1, now, userAgent])
      }
      await pool.query(`VACUUM (ANALYZE) ${table}`)
    },

    size: async () => Number(await one(`SELECT pg_total_relation_size('${table}')`)),

    async hotShare () {
      await pool.query('SELECT pg_stat_clear_snapshot()')
      return Number(await one(`SELECT n_tup_hot_upd::float / nullif(n_tup_upd, 0) FROM pg_stat_user_tables WHERE relname = '${table}'`))
    },

    async drop () {
      await pool.query(`DROP TABLE ${table}`)
      await pool.end()
    }
  }
}

async function openMysql (table: string): Promise<MeasuredStore> {
  const pool = newMysqlPool()
  const store = mysqlStore(pool, { table })
  await store.open()
  return {
    store,
    fill: async count => { await writeTo(store, count, 50) },

    async size () {
      await pool.query(`ANALYZE TABLE ${table}`)
      const [rows] = await pool.query('SELECT data_length + index_length AS size FROM information_schema.tables WHERE table_schema = database() AND table_name = ?', [table]) as unknown as [[{ size: number }]]
      return Number(rows[0].size)
    },

    hotShare: async () => null,

    async drop () {
      await pool.query(`DROP TABLE ${table}`)
      await pool.end()
    }
  }
}

async function openSqlite (name: string): Promise<MeasuredStore> {
  const file = sqliteFile(name)
  const db = new Database(file)
  const store = sqliteStore(db)
  await store.open()
  return {
    store,
    fill: async count => { await writeTo(store, count, 1) },

    async size () {
      db.pragma('wal_checkpoint(TRUNCATE)')
      return (await stat(file)).size
    },

    hotShare: async () => null,

    async drop () {
      db.close()
      for (const suffix of ['', '-wal', '-shm']) await rm(file + suffix, { force: true })
    }
  }
}

/** The file of the database with this name. */
export function sqliteFile (name: string): string {
  return join(tmpdir(), `${name}.db`)
}

async function writeTo (store: SessionStore, count: number, atOnce: number): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  for (let start = 0; start < count; start += atOnce) {
    const ids = Array.from({ length: Math.min(atOnce, count - start) }, (_, index) => start + index)
    await Promise.all(ids.map(async id => { await store.create(madeUp(id, now)) }))
  }
}

/** The session of the nth user. */
function madeUp (nth: number, now: number): Session {
  return {
    id: randomBytes(16).toString('base64url'),
    subject: String(nth),
    generation: 0,
    previous: null,
    rotatedAt: now,
    createdAt: now,
    expiresAt: now + MONTH + nth % 1000,
    idleExpiresAt: now + 604_800,
    authTime: now,
    userAgent: Buffer.from(USER_AGENTS[nth % USER_AGENTS.length] ?? '').toString(), // a new string each time, as in requests
    ip: `192.0.${nth >> 8 & 255}.${nth & 255}`
  }
}

function newName (): string {
  return randomBytes(16).toString('hex')
}

/** The used heap after a garbage collection, in bytes. */
export function heapUsed (): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
