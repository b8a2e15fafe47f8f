import { type Row } from '../sql/session-table.js'

/** A pool or a connection of mysql2, or of mysql2/promise. */
export type MysqlDatabase = { promise (): MysqlPromises } | MysqlPromises

/** The part of mysql2's promise interface that pools and connections share. */
export interface MysqlPromises {
  query (options: MysqlQuery): PromiseLike<unknown>
}

/** The options of a query, which override those of its connection. */
export interface MysqlQuery {
  readonly sql: string
  readonly rowsAsArray: false
  readonly nestTables: false
  readonly namedPlaceholders: false
  typeCast (field: { buffer (): Buffer | null }): string | null
}

interface Pool {
  getConnection (): Promise<PoolConnection>
}

interface PoolConnection extends MysqlPromises {
  readonly threadId?: number | null
  release (): void
  destroy (): void
}

/** The result of a write: the rows, and the value of LAST_INSERT_ID(…) in it, else 0. */
export interface Written {
  readonly count: number
  readonly lastId: number
}

/** Undefined for anything but a database. */
export function promisesOf (db: unknown): MysqlPromises | undefined {
  if (typeof db !== 'object' || db === null) return undefined
  const promises: unknown = 'promise' in db && typeof db.promise === 'function' ? db.promise() : db
  return isPool(promises) || isConnection(promises) ? promises : undefined
}

/** Other packages have pools with these methods too; only those of mysql2 have one inside. */
function isPool (db: unknown): db is Pool & MysqlPromises {
  return isObject(db) && 'pool' in db && typeof db['getConnection'] === 'function' && typeof db['query'] === 'function'
}

function isConnection (db: unknown): db is MysqlPromises {
  return isObject(db) && 'connection' in db && typeof db['query'] === 'function'
}

function isObject (db: unknown): db is Record<string, unknown> {
  return typeof db === 'object' && db !== null
}

/**
 * Runs statements with the parameters $1, $2, …, each within a time limit for its connection and for its answer. A pool's
 * connection that does not answer is closed, so that the statement does not run when its caller has given up.
 */
export class MysqlRunner {
  readonly #db: MysqlPromises
  readonly #timeoutMs: number

  constructor (db: MysqlPromises, timeoutMs: number) {
    this.#db = db
    this.#timeoutMs = timeoutMs
  }

  async rows (text: string, ...values: unknown[]): Promise<readonly Row[]> {
    return await this.#run(text, values) as readonly Row[] // of SELECT and RETURNING
  }

  async write (text: string, ...values: unknown[]): Promise<Written> {
    const { affectedRows, insertId } = await this.#run(text, values) as { affectedRows: number, insertId: number | string } // of all others
    return { count: affectedRows, lastId: Number(insertId) }
  }

  async #run (text: string, values: readonly unknown[]): Promise<unknown> {
    const query = queryOf(text, values)
    if (!isPool(this.#db)) return assertCommitted(resultOf(await this.#inTime(this.#db.query(query))))
    const connection = await this.#acquire(this.#db)
    try {
      const result = assertCommitted(resultOf(await this.#inTime(connection.query(query))))
      connection.release()
      return result
    } catch (error) {
      // A server that became a replica keeps its connections: the next one may lead to the new primary.
      if (error instanceof TimeoutError || error instanceof UncommittedError || hasNumber(error, READ_ONLY)) connection.destroy()
      else connection.release()
      if (error instanceof TimeoutError) this.#kill(this.#db, connection.threadId)
      throw error
    }
  }

  async #acquire (pool: Pool): Promise<PoolConnection> {
    const acquired = pool.getConnection()
    try {
      return await this.#inTime(acquired)
    } catch (error) {
      acquired.then(late => late.release(), () => {})
      throw error
    }
  }

  /** Ends a connection at the server, which does not notice while it waits for a lock that the client has closed it. */
  #kill (pool: Pool, threadId: number | null | undefined): void {
    if (typeof threadId !== 'number') return
    this.#acquire(pool).then(async connection => {
      await this.#inTime(connection.query(queryOf(`KILL ${threadId}`, []))).then(() => connection.release(), () => connection.destroy())
    }).catch(() => {}) // it is out of reach, or its work is done
  }

  async #inTime<T> (promise: PromiseLike<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new TimeoutError(this.#timeoutMs)), this.#timeoutMs)
    })
    try {
      return await Promise.race([promise, timeout])
    } finally {
      clearTimeout(timer)
    }
  }
}

class TimeoutError extends Error {
  constructor (ms: number) {
    super(`the database did not answer within ${ms} ms`)
  }
}

class UncommittedError extends Error {
  constructor () {
    super('the connection is inside a transaction of the app, or its autocommit is off: roll back or commit before you release it')
  }
}

/** Flags of a server's reply to a write. */
const SERVER_STATUS_IN_TRANS = 1
const SERVER_STATUS_AUTOCOMMIT = 2

/** A later rollback of the app would undo a write that was answered as done. Replies with rows have no status. */
function assertCommitted<T> (result: T): T {
  const { serverStatus } = result as { readonly serverStatus?: number }
  if (serverStatus === undefined || (serverStatus & (SERVER_STATUS_IN_TRANS | SERVER_STATUS_AUTOCOMMIT)) === SERVER_STATUS_AUTOCOMMIT) return result
  throw new UncommittedError()
}

/** mysql2 resolves to the result and the descriptions of its columns. */
function resultOf (answer: unknown): unknown {
  return (answer as readonly unknown[])[0]
}

function queryOf (text: string, values: readonly unknown[]): MysqlQuery {
  return {
    sql: text.replaceAll(/\$(\d+)/g, (_, nth) => literal(values[Number(nth) - 1])),
    rowsAsArray: false,
    nestTables: false,
    namedPlaceholders: false,
    // Returns all values as text, whatever options the connection has for big integers and types.
    typeCast: field => field.buffer()?.toString() ?? null
  }
}

/**
 * Texts are hexadecimal literals of their UTF-8: safe in every sql_mode (NO_BACKSLASH_ESCAPES, ANSI_QUOTES) and every
 * character set of the connection, in which an escaped text is not.
 */
function literal (value: unknown): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return hex(value)
  if (Number.isSafeInteger(value)) return String(value)
  throw new TypeError('a value is neither a text nor a whole number')
}

export function hex (text: string): string {
  return `X'${Buffer.from(text).toString('hex')}'`
}

/** Errors of MySQL: ER_LOCK_DEADLOCK, and ER_CHECKREAD of MariaDB's snapshot isolation. */
const ROLLED_BACK = [1213, 1020]
/** ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE. */
export const READ_ONLY = [1290, 1792, 1836]
/** ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR. */
export const NOT_ALLOWED = [1044, 1142, 1143]
/** Of a connection: ER_DBACCESS_DENIED_ERROR, ER_ACCESS_DENIED_ERROR, ER_BAD_DB_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR. */
export const NO_ACCESS = [1044, 1045, 1049, 1698]
/** ER_DUP_KEYNAME. */
export const INDEX_EXISTS = [1061]

export function isRolledBack (error: unknown): boolean {
  return hasNumber(error, ROLLED_BACK)
}

export function hasNumber (error: unknown, numbers: readonly number[]): error is Error {
  return error instanceof Error && 'errno' in error && numbers.includes(Number(error.errno))
}
