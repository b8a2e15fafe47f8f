import { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock } from '../../lib/time.js'
import { mysqlStore } from '../../lib/stores/mysql/index.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore, type RedisClient } from '../../lib/stores/redis/index.js'
import { sqliteStore } from '../../lib/stores/sqlite/index.js'
import { mysqlPool } from './mysql.js'
import { postgresPool } from './postgres.js'
import { ioredisOn, newPrefix, nodeRedisOn, redisServer, type RedisServer } from './redis.js'
import { sqliteDatabase, sqliteFile } from './sqlite.js'

/** A store of a database: Redis needs no purge, and PostgreSQL has `subscribe` on some connections only. */
export type DatabaseStore = Required<Omit<SessionStore, 'subscribe' | 'purgeExpired'>> & SessionStore

export type MakeStore = (options?: { readonly clock?: Clock }) => DatabaseStore

/** A database that the tests of a file share. */
export interface Database {
  /** A new table or key prefix: makes stores on it. */
  place (t: Test): MakeStore
  /** Runs a command of an error message. */
  run (command: string): Promise<unknown>
}

/** Each kind of database; null if its server is not available, which skips the test. */
export const DATABASES: Readonly<Record<string, (t: Test) => Promise<Database | null>>> = {
  async PostgreSQL (t) {
    const pool = await postgresPool(t)
    return pool && onTables(options => postgresStore(pool, options), async sql => await pool.query(sql))
  },
  async MariaDB (t) {
    const pool = await mysqlPool(t)
    return pool && onTables(options => mysqlStore(pool, options), async sql => await pool.query(sql))
  },
  async SQLite (t) {
    const db = sqliteDatabase(t, await sqliteFile(t))
    return onTables(options => sqliteStore(db, options), async sql => db.exec(sql))
  },
  'Redis with ioredis': t => inRedis(t, ({ ioredis }) => ioredisOn(t, ioredis)),
  'Redis with node-redis': t => inRedis(t, ({ nodeRedis }) => nodeRedisOn(t, nodeRedis))
}

let tables = 0

/** A name that no other table of the file has. */
export function newTable (): string {
  return `sessions_${++tables}`
}

function onTables (newStore: (options: { readonly table: string, readonly clock?: Clock }) => DatabaseStore, run: Database['run']): Database {
  return {
    run,
    place () {
      const table = newTable()
      return options => newStore({ table, ...options })
    }
  }
}

async function inRedis (t: Test, connect: (server: RedisServer) => Promise<RedisClient>): Promise<Database | null> {
  const server = await redisServer(t)
  if (server === null) return null
  const [client, admin] = [await connect(server), await ioredisOn(t, server.ioredis)]
  return {
    run: async command => await admin.del(command.replace(/^DEL /, '')),
    place (t) {
      const prefix = newPrefix(t, server)
      return options => redisStore(client, { prefix, ...options })
    }
  }
}
