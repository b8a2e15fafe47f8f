import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { type Row } from '../sql/session-table.js'

/** A database of better-sqlite3, a `DatabaseSync` of node:sqlite, or anything else with these two methods. */
export interface SqliteDatabase {
  prepare (sql: string): SqliteStatement
  exec (sql: string): unknown
}

/** A prepared statement whose `all` returns its rows as objects. */
export interface SqliteStatement {
  all (...values: unknown[]): unknown[]
}

/** The property that shows an open transaction: better-sqlite3 has the first, node:sqlite since Node 22.16 the second. */
interface TransactionState {
  readonly inTransaction?: boolean
  readonly isTransaction?: boolean
}

/** Statements with the parameters $1, $2, …, each prepared once. */
export class SqliteRunner {
  readonly #db: SqliteDatabase & TransactionState
  readonly #prepared = new Map<string, { readonly statement: SqliteStatement, readonly order: readonly number[] }>()
  #attempts = MAX_ATTEMPTS

  constructor (db: SqliteDatabase) {
    this.#db = db
  }

  /** Without a `busy_timeout` of the connection, this class waits for other processes; else SQLite has waited already. */
  readBusyTimeout (): void {
    const [row] = this.run('PRAGMA busy_timeout')
    this.#attempts = Number(row?.['timeout']) > 0 ? 1 : MAX_ATTEMPTS
  }

  run (text: string, ...values: unknown[]): Row[] {
    const { statement, order } = this.#prepare(text)
    return statement.all(...order.map(nth => values[nth - 1])) as Row[] // objects keyed by column name
  }

  exec (sql: string): void {
    this.#db.exec(sql)
  }

  /** Runs a function that only calls `run`, while no other process writes. */
  inTransaction<T> (work: () => T): T {
    this.exec('BEGIN IMMEDIATE') // a transaction that begins by reading cannot wait for another writer
    try {
      const result = work()
      this.exec('COMMIT')
      return result
    } catch (error) {
      if (this.#isInTransaction()) this.exec('ROLLBACK') // SQLite has rolled back already after some errors
      throw error
    }
  }

  /**
   * Calls a synchronous function again, after a pause for other requests, while another process writes. Rejects if the
   * app has begun a transaction on the connection, since its rollback would undo what was answered.
   */
  async whenFree<T> (work: () => T, attempts = this.#attempts): Promise<T> {
    if (this.#isInTransaction()) throw new Error('the app has an open transaction on the connection of sqliteStore: give the store a connection of its own')
    try {
      return work()
    } catch (error) {
      if (attempts === 1 || !hasResult(error, BUSY)) throw error
    }
    await setTimeout(randomInt(1, LONGEST_PAUSE_MS))
    return await this.whenFree(work, attempts - 1)
  }

  #isInTransaction (): boolean {
    return this.#db.inTransaction ?? this.#db.isTransaction ?? !this.#canBegin()
  }

  #canBegin (): boolean {
    try {
      this.exec('BEGIN')
      this.exec('COMMIT')
      return true
    } catch (error) {
      if (/within a transaction/.test(String(error))) return false
      throw error
    }
  }

  /** SQLite's own numbered parameters are named ones to its drivers. */
  #prepare (text: string) {
    const known = this.#prepared.get(text)
    if (known !== undefined) return known
    const order = [...text.matchAll(PARAMETER)].map(([, nth]) => Number(nth))
    const prepared = { statement: withPlainRows(this.#db.prepare(text.replaceAll(PARAMETER, '?'))), order }
    this.#prepared.set(text, prepared)
    return prepared
  }
}

const PARAMETER = /\$(\d+)/g
/** All attempts take about a second together. */
const MAX_ATTEMPTS = 100
const LONGEST_PAUSE_MS = 20

/** A database may be opened with rows as arrays (node:sqlite). */
function withPlainRows (statement: SqliteStatement & { setReturnArrays?: (enabled: boolean) => void }): SqliteStatement {
  statement.setReturnArrays?.(false)
  return statement
}

/** Primary result codes of SQLite, by number and by name. */
export const BUSY = [5, 'SQLITE_BUSY'] as const
export const READONLY = [8, 'SQLITE_READONLY'] as const

/** True if an error has a primary result code, in its `code` (better-sqlite3) or its `errcode` (node:sqlite). Both may be extended. */
export function hasResult (error: unknown, [number, name]: readonly [number, string]): error is Error {
  if (!(error instanceof Error)) return false
  const { code, errcode } = error as { code?: unknown, errcode?: unknown }
  return typeof errcode === 'number' ? (errcode & 0xff) === number : String(code).startsWith(name)
}
