import { checkedOptions, integer } from '../../options/validators.js'
import { type SessionStore, type Revocation } from '../../sessions/store.js'
import { type Clock, type EpochSeconds } from '../../time.js'
import { DEFAULT_TABLE, tableName, COLUMNS, FIELDS, type Row, SessionTable } from '../sql/session-table.js'
import { POLL_EVERY_MS, type NumberedRevocation, type PolledRevocations, polledStore } from '../sql/store.js'
import { BUSY, type SqliteDatabase, hasResult, READONLY, SqliteRunner } from './database.js'
import { type RevokeReason } from '../../sessions/session.js'
import { type Statements, statementsOn, TYPES } from './statements.js'

export { type SqliteDatabase, type SqliteStatement } from './database.js'

/** Every method of a store. */
export type SqliteStore = Required<SessionStore>

/** The options of `sqliteStore`. */
export interface SqliteStoreOptions extends SqliteTableOptions {
  /** The interval, in milliseconds, of polls for other processes' revocations (`revocation: 'immediate'`); 1000 by default. */
  readonly pollEveryMs?: number | undefined
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock | undefined
}

/**
 * Sessions in SQLite: they survive restarts, and all processes of one machine share them. `db` is a database of
 * better-sqlite3 or a `DatabaseSync` of node:sqlite.
 *
 * `open`, or else the first call of another method, sets the journal mode WAL, and creates the table or checks it. It rejects
 * with a TypeError if the table does not fit or the database is read-only; every other error is SQLite's own. Each call
 * runs synchronously on this thread, usually for less than 0.1 ms. While another process writes, a call waits on this
 * thread for at most the connection's `busy_timeout`; without one it waits about a second, while other requests run.
 * A call rejects while the app has a transaction open on `db`. The database stays yours: close it. Throws a TypeError for
 * wrong arguments.
 */
export function sqliteStore (db: SqliteDatabase, options: SqliteStoreOptions = {}): SqliteStore {
  const { table = DEFAULT_TABLE, clock, pollEveryMs = POLL_EVERY_MS } = checkedOptions('sqliteStore', options, ['table', 'clock', 'pollEveryMs'], { pollEveryMs: integer(10, 60_000) })
  if (typeof db?.prepare !== 'function' || typeof db.exec !== 'function') throw new TypeError('sqliteStore: its first argument has no methods "prepare" and "exec": pass a database of better-sqlite3 or a DatabaseSync of node:sqlite')
  tableName(table, 'sqliteStore', 'without schema')
  return polledStore({ name: 'sqliteStore', table, clock, pollEveryMs, sessions: new SqliteTable(db, table) })
}

/** Sessions in a table of SQLite. */
class SqliteTable extends SessionTable<Statements> {
  readonly #table: string
  readonly #db: SqliteRunner

  constructor (db: SqliteDatabase, table: string) {
    super(statementsOn(table))
    this.#table = table
    this.#db = new SqliteRunner(db)
  }

  async prepare (): Promise<void> {
    await this.#db.whenFree(() => this.#db.readBusyTimeout()) // first, since `whenFree` depends on it
    await this.#db.whenFree(() => prepareTable(this.#table, this.sql, this.#db))
  }

  async revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number> {
    const end = () => 'id' in revocation
      ? this.#db.run(this.sql.revoke, revocation.id, at, reason)
      : this.#db.run(this.sql.revokeAll, revocation.subject, at, reason, revocation.exceptId ?? null, limit)
    return await this.#db.whenFree(() => this.#db.inTransaction(() => {
      const count = end().length
      if (count > 0) this.#db.run(this.sql.count)
      return count
    }))
  }

  async readRevocations ({ id, number }: NumberedRevocation, limit: number): Promise<PolledRevocations | null> {
    const [counter] = await this.rows(this.sql.readCounter)
    if (counter === undefined) return null
    const rows = await this.rows(this.sql.readRevoked, number, id, limit)
    return { newest: Number(counter['newest']), revoked: rows.map(row => ({ id: String(row['id']), number: Number(row['number']) })) }
  }

  async addCounter (): Promise<void> {
    await this.write(this.sql.addCounter)
  }

  protected async rows (statement: string, ...values: unknown[]): Promise<Row[]> {
    return await this.#db.whenFree(() => this.#db.run(statement, ...values))
  }

  /** Each statement that writes returns the ids of its rows. */
  protected async write (statement: string, ...values: unknown[]): Promise<number> {
    return (await this.rows(statement, ...values)).length
  }
}

/** The options of `sqliteSchema`. */
export interface SqliteTableOptions {
  /** The store's table, `'auth_sessions'` by default: a name of a-z, 0-9 and _. */
  readonly table?: string | undefined
}

/** The SQL that creates a store's table and its indexes, for migrations. Throws a TypeError for an invalid name. */
export function sqliteSchema ({ table = DEFAULT_TABLE }: SqliteTableOptions = {}): string {
  return `${statementsOn(tableName(table, 'sqliteSchema', 'without schema')).schema}\n`
}

/**
 * Creates the table and its indexes where they are missing, and checks its columns. Sets the journal mode WAL, with which
 * readers and a writer do not wait for each other. Throws a TypeError if the table or the database cannot be used.
 */
function prepareTable (table: string, sql: Statements, db: SqliteRunner): void {
  try {
    db.run('PRAGMA journal_mode = WAL')
    db.exec(sql.schema)
    db.run(sql.addCounter)
  } catch (cause) {
    if (hasResult(cause, READONLY)) throw new TypeError('sqliteStore: the database is read-only: open it, and its folder, for writing', { cause })
    if (!hasResult(cause, BUSY)) assertColumns(table, sql, db) // an index on a column that is missing
    throw cause
  }
  assertColumns(table, sql, db)
}

function assertColumns (table: string, sql: Statements, db: SqliteRunner): void {
  const found = new Map(db.run(sql.columns).map(({ name, type }) => [name, type]))
  const wanted = [...FIELDS.map(field => [COLUMNS[field], TYPES[field]] as const), ['revocation', 'INTEGER'] as const]
  for (const [name, type] of wanted) {
    if (found.get(name) === type) continue
    throw new TypeError(`sqliteStore: the column "${name}" of the table "${table}" is ${found.get(name) ?? 'missing'}, but must be ${type}: alter it, or set the option "table" to an unused name`)
  }
  const [definition] = db.run(sql.definition)
  if (/\bcollate\b/i.test(String(definition?.['sql']))) {
    throw new TypeError(`sqliteStore: the table "${table}" has a column with a collation, which would mix ids or accounts that differ: make it without COLLATE, or set the option "table" to an unused name`)
  }
}
