import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type Redis } from 'ioredis'
import { type Pool } from 'pg'
import { type SessionStore } from 'fastify-refresh-cookie'
import { mysqlStore } from 'fastify-refresh-cookie/mysql'
import { sqliteStore } from 'fastify-refresh-cookie/sqlite'
import { newMysqlPool, newPool, newRedis } from './connections.js'
import { sqliteFile } from './stores.js'

/** The name of the table and the prefix of the keys of this process. */
export const NAME = `bench_${process.pid}`

const endings: Array<() => Promise<unknown>> = []

/** Deletes the data of this process, and disconnects. */
export async function cleanUp (): Promise<void> {
  for (const end of endings) await end()
}

export function ownPool (): Pool {
  const pool = newPool()
  endings.push(async () => {
    await pool.query(`DROP TABLE ${NAME}`)
    await pool.end()
  })
  return pool
}

export function ownMysqlStore (): SessionStore {
  const pool = newMysqlPool()
  endings.push(async () => {
    await pool.query(`DROP TABLE ${NAME}`)
    await pool.end()
  })
  return mysqlStore(pool, { table: NAME })
}

/** It flushes to the disk at each commit, as the other databases do. */
export function ownSqliteStore (): SessionStore {
  const file = sqliteFile(NAME)
  const db = new Database(file)
  db.pragma('synchronous = FULL')
  endings.push(async () => {
    db.close()
    for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  })
  return sqliteStore(db)
}

export async function ownRedis (): Promise<Redis> {
  const client = await newRedis()
  endings.push(async () => {
    for await (const keys of client.scanStream({ match: `${NAME}:*`, count: 1000 })) if (keys.length > 0) await client.unlink(keys)
    await client.quit()
  })
  return client
}
