import { checkedOptions, integer } from '../../options/validators.js'
import { type SessionStore } from '../../sessions/store.js'
import { type Clock } from '../../time.js'
import { DEFAULT_TABLE, tableName } from '../sql/session-table.js'
import { POLL_EVERY_MS } from '../sql/revocation-poll.js'
import { polledStore } from '../sql/store.js'
import { type SqliteDatabase } from './database.js'
import { SqliteTable, type SqliteTableOptions } from './session-table.js'

export { type SqliteDatabase, type SqliteStatement } from './database.js'
export { sqliteSchema, type SqliteTableOptions } from './session-table.js'

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
