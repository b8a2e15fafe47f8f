import { type PGlite } from '@electric-sql/pglite'
import { type PostgresDatabase } from 'fastify-refresh-cookie/postgres'
import { type DataFolder } from './data-folder.js'
import { EnvironmentError } from './environment-error.js'

/** A PostgreSQL database: on a server, or in this process. The same SQL runs on both. */
export interface Database {
  /** To be called first. An EnvironmentError says why it cannot be opened. */
  open (): Promise<void>
  query (sql: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
  /** For the session store, which also listens to what other processes tell. */
  readonly connection: PostgresDatabase
  close (): Promise<void>
}

/** PostgreSQL within this process (PGlite), with its data in the data folder. */
export function embeddedDatabase (folder: DataFolder): Database {
  let database: PGlite | undefined
  let unlock: (() => void) | undefined
  const listening = {
    query,
    listen: async (channel: string, onMessage: (message: string) => void) => await opened().listen(channel, onMessage)
  }

  return {
    async open () {
      unlock = folder.lock()
      const { PGlite } = await import('@electric-sql/pglite')
      database = await PGlite.create(folder.path('database')).catch(cause => {
        throw new EnvironmentError(`DATA_DIR holds a database that cannot be opened (${cause}): move "${folder.path('database')}" away`, { cause })
      })
    },

    query,
    connection: listening,

    async close () {
      await database?.close()
      unlock?.()
    }
  }

  function opened (): PGlite {
    if (database === undefined) throw new Error('The database is not open')
    return database
  }

  async function query (sql: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }> {
    return await opened().query(sql, values)
  }
}

/** A PostgreSQL server. */
export async function remoteDatabase (connectionString: string): Promise<Database> {
  const { default: { Pool } } = await import('pg')
  const pool = new Pool({ connectionString, connectionTimeoutMillis: 2000, query_timeout: 2000, statement_timeout: 2000 })
  // An idle connection that breaks is replaced by the next query; without a listener it would end the process.
  pool.on('error', () => {})

  return {
    async open () {
      await pool.query('SELECT 1').catch(cause => {
        throw new EnvironmentError(`DATABASE_URL leads to no database: ${cause.message || cause.code}`, { cause })
      })
    },
    query: async (sql, values) => await pool.query(sql, values),
    connection: pool,
    close: async () => await pool.end()
  }
}
