import { checkedOptions, integer } from '../../options/validators.js'
import { type SessionStore } from '../../sessions/store.js'
import { type Clock } from '../../time.js'
import { DEFAULT_TABLE, tableName } from '../sql/session-table.js'
import { POLL_EVERY_MS } from '../sql/revocation-poll.js'
import { polledStore } from '../sql/store.js'
import { promisesOf, type MysqlDatabase } from './database.js'
import { MysqlTable, type MysqlTableOptions } from './session-table.js'

export { type MysqlDatabase, type MysqlPromises, type MysqlQuery } from './database.js'
export { mysqlSchema, type MysqlTableOptions } from './session-table.js'

/** Every method of a store. */
export type MysqlStore = Required<SessionStore>

/** The options of `mysqlStore`. */
export interface MysqlStoreOptions extends MysqlTableOptions {
  /** The interval, in milliseconds, of polls for other processes' revocations (`revocation: 'immediate'`); 1000 by default. */
  readonly pollEveryMs?: number | undefined
  /** The longest time, in milliseconds, that a statement waits for a connection of the pool, and for its answer; 5000 by default. */
  readonly timeoutMs?: number | undefined
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock | undefined
}

const TIMEOUT_MS = 5000

/**
 * Sessions in MySQL 8 or MariaDB 10.6 or later: they survive restarts, and any number of processes share them. `db` is a pool of
 * mysql2 or of mysql2/promise, or a connection for scripts and tests.
 *
 * `open`, or else the first call of another method, creates the table or checks it. It rejects with a TypeError if the
 * table does not fit, cannot be created, or if the user lacks a right on it; every other error is the database's own, or
 * says that it did not answer in time. A deadlock is retried. The pool stays yours: end it. Throws a TypeError for wrong
 * arguments.
 */
export function mysqlStore (db: MysqlDatabase, options: MysqlStoreOptions = {}): MysqlStore {
  const { table = DEFAULT_TABLE, clock, pollEveryMs = POLL_EVERY_MS, timeoutMs = TIMEOUT_MS } = checkedOptions('mysqlStore', options, ['table', 'clock', 'pollEveryMs', 'timeoutMs'], { pollEveryMs: integer(10, 60_000), timeoutMs: integer(100, 600_000) })
  const promises = promisesOf(db)
  if (promises === undefined) throw new TypeError('mysqlStore: its first argument is not a pool of mysql2: pass mysql.createPool(…) of the package mysql2 or mysql2/promise')
  tableName(table, 'mysqlStore')
  return polledStore({ name: 'mysqlStore', table, clock, pollEveryMs, sessions: new MysqlTable(promises, table, timeoutMs) })
}
