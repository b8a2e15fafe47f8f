import { Redis } from 'ioredis'
import mysql, { type Pool } from 'mysql2/promise'
import pg from 'pg'

/** A pool on the PostgreSQL of DATABASE_URL, or of this machine. `timeout`: the longest time of a statement, in milliseconds. */
export function newPool (timeout = 5000): pg.Pool {
  return new pg.Pool({
    connectionString: process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1/postgres',
    max: 10,
    statement_timeout: timeout,
    query_timeout: timeout,
    connectionTimeoutMillis: 5000
  })
}

/** A client of the Redis of REDIS_URL, or of this machine, once it is connected. */
export async function newRedis (): Promise<Redis> {
  const client = new Redis(process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379', { enableOfflineQueue: false, maxRetriesPerRequest: 0, lazyConnect: true })
  await client.connect()
  return client
}

/** A pool on the MariaDB or MySQL of MYSQL_URL, or of this machine. */
export function newMysqlPool (): Pool {
  return mysql.createPool({ uri: process.env['MYSQL_URL'] ?? 'mysql://root@127.0.0.1:3306/test', connectionLimit: 10 })
}
