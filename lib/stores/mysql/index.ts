import { checkedOptions, integer } from '../../options/validators.js'
import { type SessionStore, type Revocation } from '../../sessions/store.js'
import { type Clock, type EpochSeconds } from '../../time.js'
import { DEFAULT_TABLE, tableName, FIELDS, retried, type Row, SessionTable } from '../sql/session-table.js'
import { POLL_EVERY_MS, COUNTER_ID, type NumberedRevocation, type PolledRevocations, polledStore } from '../sql/store.js'
import { promisesOf, type MysqlDatabase, hasNumber, INDEX_EXISTS, isRolledBack, type MysqlPromises, MysqlRunner, NO_ACCESS, NOT_ALLOWED, READ_ONLY, type Written } from './database.js'
import { type RevokeReason, type Session, type SessionChange } from '../../sessions/session.js'
import { INDEXES, NAMES, type Statements, statementsOn, typeOf, TYPES } from './statements.js'

export { type MysqlDatabase, type MysqlPromises, type MysqlQuery } from './database.js'

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

/** Deadlocks come in waves; in each wave one transaction succeeds. */
const MAX_ATTEMPTS = 5

/** Sessions in a table of MySQL or MariaDB. */
class MysqlTable extends SessionTable<Statements> {
  readonly #table: string
  readonly #db: MysqlRunner
  #canReturn = false

  constructor (db: MysqlPromises, table: string, timeoutMs: number) {
    super(statementsOn(table))
    this.#table = table
    this.#db = new MysqlRunner(db, timeoutMs)
  }

  async prepare (): Promise<void> {
    const { isMariaDB } = await retried(() => prepareTable(this.#table, this.sql, this.#db), isRolledBack, MAX_ATTEMPTS)
    this.#canReturn = isMariaDB
  }

  override async insert (session: Session): Promise<void> {
    assertFits(session)
    await super.insert(session)
  }

  override async advance (id: string, fromGeneration: number, change: SessionChange): Promise<Session | null> {
    if (this.#canReturn) return await super.advance(id, fromGeneration, change)
    const { generation, previous, rotatedAt, idleExpiresAt, authTime } = change
    const { lastId } = await this.#write(this.sql.advanceWithoutReturning, id, fromGeneration, generation, previous, rotatedAt, idleExpiresAt, authTime ?? null)
    if (lastId === 0) return null
    const session = await this.find(id)
    // The row may have changed since the UPDATE, so the fields that can change are taken from this call.
    return session && { ...session, generation, previous, rotatedAt, idleExpiresAt, authTime: lastId - 1, revokedAt: null, reason: null }
  }

  async revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number> {
    const { count, lastId } = 'id' in revocation
      ? await this.#write(this.sql.revoke, revocation.id, at, reason)
      : await this.#write(this.sql.revokeAll, revocation.subject, at, reason, revocation.exceptId ?? null, limit)
    return lastId > 0 ? count - 1 : count // the counter is a row too
  }

  async readRevocations ({ id, number }: NumberedRevocation, limit: number): Promise<PolledRevocations | null> {
    const rows = await this.rows(this.sql.readRevoked, number, id, limit)
    const found = rows.map(row => ({ id: String(row['id']), number: Number(row['number']) }))
    const counter = found.find(({ id }) => id === COUNTER_ID)
    if (counter === undefined) return null
    return { newest: counter.number, revoked: found.filter(({ id }) => id !== COUNTER_ID) }
  }

  async addCounter (): Promise<void> {
    await this.write(this.sql.addCounter)
  }

  protected async rows (statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    return await retried(() => this.#db.rows(statement, ...values), isRolledBack, MAX_ATTEMPTS)
  }

  protected async write (statement: string, ...values: unknown[]): Promise<number> {
    return (await this.#write(statement, ...values)).count
  }

  async #write (statement: string, ...values: unknown[]): Promise<Written> {
    return await retried(() => this.#db.write(statement, ...values), isRolledBack, MAX_ATTEMPTS)
  }
}

/** Without the strict mode, the server would cut a text and give several subjects one name. */
function assertFits (session: Session): void {
  for (const field of FIELDS) {
    const [value, { length = Infinity }] = [session[field], TYPES[field]]
    if (typeof value === 'string' && Buffer.byteLength(value) > length) throw new RangeError(`mysqlStore: the field ${field} of a session is longer than its column, which holds ${length} bytes`)
  }
}

/** The options of `mysqlSchema`. */
export interface MysqlTableOptions {
  /** The store's table, `'auth_sessions'` by default: a name of a-z, 0-9 and _, or `'database.name'`. */
  readonly table?: string | undefined
}

/** The SQL that creates a store's table and its indexes, for migrations. Throws a TypeError for an invalid name. */
export function mysqlSchema ({ table = DEFAULT_TABLE }: MysqlTableOptions = {}): string {
  return `${statementsOn(tableName(table, 'mysqlSchema')).createTable};\n`
}

/** Creates the table if it is missing, and checks the server, the table and the user's rights. Rejects with a TypeError if they do not fit. */
async function prepareTable (table: string, sql: Statements, db: MysqlRunner): Promise<{ readonly isMariaDB: boolean }> {
  try {
    return await prepare(table, sql, db)
  } catch (cause) {
    if (hasNumber(cause, NO_ACCESS)) throw new TypeError('mysqlStore: the server refuses the user, the password or the database of the pool: correct its options', { cause })
    throw hasNumber(cause, READ_ONLY) ? readOnly(cause) : cause
  }
}

/** No TypeError: a server that is read-only during a failover should not stop the start of an app. */
function readOnly (cause?: Error): Error {
  return new Error('mysqlStore: the server is read-only, as a replica is: the store needs the primary', { cause })
}

async function prepare (table: string, sql: Statements, db: MysqlRunner): Promise<{ readonly isMariaDB: boolean }> {
  const [server = {}] = await db.rows(sql.server)
  if (server['autocommit'] !== '1') throw new TypeError('mysqlStore: autocommit is off, so nothing that the store writes would be committed: switch it on for its connections')
  if (server['readonly'] !== '0') throw readOnly()
  const [name = '', schema = null] = table.split('.').reverse()
  if (schema === null && server['current'] === null) throw new TypeError('mysqlStore: its connections have no database: set "database" in their options, or the option "table" to "database.name"')
  await createTable(table, sql, db, server)
  assertColumns(table, await db.rows(sql.columns, schema, name))
  assertEngine(table, await db.rows(sql.engine, schema, name))
  await createIndexes(table, sql, db, await db.rows(sql.indexes, schema, name))
  await assertRights(sql, db, server)
  await db.write(sql.addCounter)
  return { isMariaDB: /mariadb/i.test(String(server['version'])) }
}

/** A user without CREATE can use a table that was made for it. */
async function createTable (table: string, sql: Statements, db: MysqlRunner, server: Row): Promise<void> {
  try {
    await db.write(sql.createTable)
  } catch (cause) {
    if (!hasNumber(cause, NOT_ALLOWED)) throw cause
    const [name = '', schema = null] = table.split('.').reverse()
    if ((await db.rows(sql.columns, schema, name)).length > 0) return
    throw new TypeError(`mysqlStore: the table "${table}" is missing, and this user may not create it: as a user with this right, run the SQL of mysqlSchema({ table: '${table}' }), and then: ${grant(Object.keys(sql.rights), sql.name, server)}`, { cause })
  }
}

function assertColumns (table: string, found: readonly Row[]): void {
  for (const field of Object.keys(TYPES) as Array<keyof typeof TYPES>) { // Object.keys is typed string[]
    const [name, actual] = [NAMES[field], found.find(column => column['name'] === NAMES[field])]
    if (actual !== undefined && fits(actual, field)) continue
    const is = actual === undefined ? 'missing' : `${actual['type']}${actual['length'] === null ? '' : `(${actual['length']})`}${actual['nullable'] === 'YES' ? '' : ' NOT NULL'}`
    throw new TypeError(`mysqlStore: the column "${name}" of the table "${table}" is ${is}, but must be ${typeOf(field)}: alter it, or set the option "table" to an unused name`)
  }
}

function fits ({ type, length, nullable }: Row, field: keyof typeof TYPES): boolean {
  const wanted = TYPES[field]
  const isBinary = ['varbinary', 'blob', 'mediumblob', 'longblob'].includes(String(type))
  const fitsType = wanted.type === 'bigint' ? type === 'bigint' : isBinary && Number(length) >= Number(wanted.length)
  return fitsType && (wanted.required || nullable === 'YES')
}

function assertEngine (table: string, [found]: readonly Row[]): void {
  if (/^(myisam|aria|memory|csv|archive)$/i.test(String(found?.['engine']))) {
    throw new TypeError(`mysqlStore: the table "${table}" has the engine ${found?.['engine']}, which has no transactions: ALTER TABLE … ENGINE=InnoDB`)
  }
}

async function createIndexes (table: string, sql: Statements, db: MysqlRunner, found: readonly Row[]): Promise<void> {
  if (!found.some(({ columns, repeats }) => columns === 'id' && repeats === '0')) {
    throw new TypeError(`mysqlStore: the column "id" of the table "${table}" must be its primary key or have a unique index of its own: add it, or set the option "table" to an unused name`)
  }
  for (const [nth, columns] of INDEXES.entries()) {
    if (found.some(index => index['columns'] === columns.join(','))) continue
    const statement = String(sql.createIndex[nth])
    try {
      await db.write(statement)
    } catch (cause) {
      if (hasNumber(cause, INDEX_EXISTS)) continue // another process made it meanwhile
      if (!hasNumber(cause, NOT_ALLOWED)) throw cause
      throw new TypeError(`mysqlStore: the table "${table}" lacks an index, and this user may not create it: as its owner, run: ${statement};`, { cause })
    }
  }
}

async function assertRights (sql: Statements, db: MysqlRunner, server: Row): Promise<void> {
  const missing: string[] = []
  for (const [right, statement] of Object.entries(sql.rights)) {
    try {
      await db.write(statement)
    } catch (cause) {
      if (!hasNumber(cause, NOT_ALLOWED)) throw cause
      missing.push(right)
    }
  }
  if (missing.length > 0) throw new TypeError(`mysqlStore: the user lacks rights on the table: as an administrator, run: ${grant(missing, sql.name, server)}`)
}

function grant (rights: readonly string[], name: string, server: Row): string {
  const [user, host] = String(server['user']).split('@')
  return `GRANT ${rights.join(', ')} ON ${name.includes('.') ? name : `\`${server['current']}\`.${name}`} TO '${user}'@'${host}';`
}
