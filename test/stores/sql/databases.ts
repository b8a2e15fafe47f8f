import mysql from 'mysql2/promise'
import pg from 'pg'
import { type Test } from 'tap'
import { type SessionStore } from '../../../lib/sessions/store.js'
import { type Clock } from '../../../lib/time.js'
import { mysqlSchema, mysqlStore } from '../../../lib/stores/mysql/index.js'
import { postgresSchema, postgresStore } from '../../../lib/stores/postgres/index.js'
import { sqliteSchema, sqliteStore } from '../../../lib/stores/sqlite/index.js'
import { type DatabaseStore } from '../../support/databases.js'
import { mysqlDatabase, poolAt } from '../../support/mysql.js'
import { poolOn, postgres } from '../../support/postgres.js'
import { sqliteDatabase, sqliteFile } from '../../support/sqlite.js'

export type SqlStore = DatabaseStore & Required<Pick<SessionStore, 'purgeExpired'>>

interface StoreOptions {
  readonly table: string
  readonly clock?: Clock
}

/** A database under test. */
export interface SqlDatabase {
  newStore (options: StoreOptions): SqlStore
  /** A store as in another process, if it polls for revocations. */
  readonly polling?: (options: StoreOptions) => Required<SessionStore>
  /** A store whose statements are recorded. */
  watched (options: StoreOptions): { readonly store: SqlStore, readonly statements: string[] }
  /** A store with its own client, and a function that ends the client. */
  ending (options: StoreOptions): { readonly store: SqlStore, readonly end: () => unknown }
  run (sql: string): Promise<unknown>
  /** A source of rows with the numbers `n` from 1 to `count`. */
  series (count: number): string
  schema (options?: { readonly table?: string }): string
  /** The server's description of a table, without its name. */
  describe (table: string): Promise<unknown>
  /** A name with a schema, if the database has schemas. */
  readonly qualified?: string
  /** SQL that creates a table in which this column does not fit. */
  readonly misfits: ReadonlyArray<readonly [column: string, sql: (table: string) => readonly string[]]>
}

/** Null if the server is not available, which skips the test. */
export const SQL_DATABASES: Readonly<Record<string, (t: Test) => Promise<SqlDatabase | null>>> = {
  PostgreSQL: onPostgres,
  MariaDB: onMysql,
  SQLite: onSqlite
}

async function onPostgres (t: Test): Promise<SqlDatabase | null> {
  const connectionString = await postgres(t)
  if (connectionString === null) return null
  const pool = poolOn(t, { connectionString })
  await pool.query('CREATE SCHEMA "user"')
  const altered = (change: string) => (table: string) => [postgresSchema({ table }), `ALTER TABLE ${table} ${change.replace('sessions_pkey', `${table}_pkey`)}`]
  return {
    newStore: options => postgresStore(pool, options),
    watched (options) {
      const statements: string[] = []
      const query = async (text: string, values: unknown[]) => {
        statements.push(text)
        return await pool.query(text, values)
      }
      return { store: postgresStore({ query }, options), statements }
    },
    ending (options) {
      const own = new pg.Pool({ connectionString })
      return { store: postgresStore(own, options), end: () => own.end() }
    },
    run: async sql => await pool.query(sql),
    series: count => `generate_series(1, ${count}) AS series (n)`,
    schema: postgresSchema,
    async describe (table) {
      const { rows: columns } = await pool.query(`SELECT attname, format_type(atttypid, atttypmod), attnotnull, reloptions
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE attrelid = to_regclass($1) AND attnum > 0`, [table])
      const { rows: indexes } = await pool.query('SELECT indexdef FROM pg_indexes WHERE tablename = $1', [table])
      return [columns, indexes.map(({ indexdef }) => String(indexdef).replaceAll(table, '')).sort()]
    },
    qualified: 'user.select',
    misfits: [
      ['ip', altered('DROP COLUMN ip')],
      ['subject', altered('ALTER subject TYPE uuid USING NULL')],
      ['generation', altered('ALTER generation TYPE integer')],
      ['expires_at', altered('ALTER expires_at TYPE timestamptz USING now()')],
      ['user_agent', altered('ALTER user_agent TYPE varchar(255)')],
      ['previous', altered('ALTER previous SET NOT NULL')],
      ['id', altered('DROP CONSTRAINT sessions_pkey')],
      ['id', altered('DROP CONSTRAINT sessions_pkey, ADD UNIQUE (id, subject)')]
    ]
  }
}

async function onMysql (t: Test): Promise<SqlDatabase | null> {
  const place = await mysqlDatabase(t)
  if (place === null) return null
  const pool = poolAt(t, { ...place })
  const altered = (change: string) => (table: string) => [mysqlSchema({ table }), `ALTER TABLE ${table} ${change}`]
  return {
    newStore: options => mysqlStore(pool, options),
    polling: options => mysqlStore(poolAt(t, { ...place }), { ...options, pollEveryMs: 20 }),
    watched (options) {
      const statements: string[] = []
      const getConnection = async () => {
        const connection = await pool.getConnection()
        const query = async (query: { readonly sql: string }) => {
          statements.push(query.sql)
          return await connection.query(query as never)
        }
        return Object.create(connection, { query: { value: query } })
      }
      return { store: mysqlStore(Object.create(pool, { getConnection: { value: getConnection } }), options), statements }
    },
    ending (options) {
      const own = mysql.createPool({ ...place })
      return { store: mysqlStore(own, options), end: () => own.end() }
    },
    run: async sql => await pool.query(sql),
    series: count => `(SELECT seq AS n FROM seq_1_to_${count}) AS series`,
    schema: mysqlSchema,
    async describe (table) {
      const [[row = {}]] = await pool.query(`SHOW CREATE TABLE ${table}`) as unknown as [object[]]
      return String(Object.values(row)[1]).replace(table, '')
    },
    misfits: [
      ['ip', altered('DROP COLUMN ip')],
      ['subject', altered('MODIFY subject varchar(255) NOT NULL')],
      ['generation', altered('MODIFY generation int NOT NULL')],
      ['user_agent', altered('MODIFY user_agent varbinary(255)')],
      ['previous', altered('MODIFY previous bigint NOT NULL')]
    ]
  }
}

async function onSqlite (t: Test): Promise<SqlDatabase> {
  const file = await sqliteFile(t)
  const db = sqliteDatabase(t, file)
  const changed = (from: string | RegExp, to: string) => (table: string) => [sqliteSchema({ table }).replace(from, to)]
  return {
    newStore: options => sqliteStore(db, options),
    polling: options => sqliteStore(sqliteDatabase(t, file), { ...options, pollEveryMs: 10 }),
    watched (options) {
      const statements: string[] = []
      const noted = (sql: string) => ({
        all (...values: unknown[]) {
          statements.push(sql)
          return db.prepare(sql).all(...values)
        }
      })
      return { store: sqliteStore({ exec: sql => db.exec(sql), prepare: noted }, options), statements }
    },
    ending (options) {
      const own = sqliteDatabase(t, file)
      return { store: sqliteStore(own, options), end: () => own.close() }
    },
    run: async sql => db.exec(sql),
    series: count => `(WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ${count}) SELECT n FROM series)`,
    schema: sqliteSchema,
    describe: async table => db.prepare('SELECT name, sql FROM sqlite_master WHERE tbl_name = ? ORDER BY name').all(table).map(row => JSON.stringify(row).replaceAll(table, '')),
    misfits: [
      ['subject', changed('subject TEXT', 'subject INTEGER')],
      ['generation', changed('generation INTEGER', 'generation TEXT')],
      ['ip', changed('  ip TEXT,\n', '')],
      ['reason', changed('reason TEXT', 'reason TEXT NOT NULL')],
      ['id', changed(' PRIMARY KEY', '')],
      ['revocation', changed(/,\n {2}revocation INTEGER([^]*)CREATE INDEX[^;]*revocation[^;]*;/, '$1')]
    ]
  }
}
