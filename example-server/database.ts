import { PGlite } from '@electric-sql/pglite'
import { type FastifyInstance } from 'fastify'
import { Pool } from 'pg'
import { dataFolder, lock } from './data-folder.js'
import { type Environment } from './environment.js'

/** PostgreSQL: a Pool of pg, or PGlite. */
export interface Database {
  query (sql: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/** Opens a database, which closes with the app. */
export function openDatabase (app: FastifyInstance, { DATABASE_URL, DATA_DIR }: Environment): Database {
  return DATABASE_URL === undefined ? openEmbedded(app, DATA_DIR) : connect(app, DATABASE_URL)
}

/** A PostgreSQL server. */
function connect (app: FastifyInstance, connectionString: string): Database {
  const pool = new Pool({ connectionString, connectionTimeoutMillis: 2000, query_timeout: 2000, statement_timeout: 2000 })
  pool.on('error', error => app.log.error(error)) // an idle connection broke; without a listener it would end the process
  app.addHook('onClose', async () => { await pool.end() })
  return pool
}

/** PostgreSQL within this process, with its files in the data folder. */
function openEmbedded (app: FastifyInstance, folder: string): Database {
  const unlock = lock(folder)
  const database = new PGlite(dataFolder(folder, 'database'))
  app.addHook('onClose', async () => {
    await database.close()
    unlock()
  })
  return database
}
