import { checkedOptions } from '../../options/validators.js'
import { type SessionStore, type Revocation } from '../../sessions/store.js'
import { type Clock, type EpochSeconds } from '../../time.js'
import { revocationFeed, messageFor } from '../revocation-feed.js'
import { DEFAULT_TABLE, tableName, retried, type Row, SessionTable } from '../sql/session-table.js'
import { sqlStore, type SqlStore } from '../sql/store.js'
import { listenOn, type PostgresDatabase, hasCode, isClient, missingTimeouts, type RunStatement, statementRunner } from './database.js'
import { type RevokeReason, type Session } from '../../sessions/session.js'
import { assertColumns, assertRights, type FoundColumn, GRANTED, schemaOf, sessionOf, type Statements, statementsOn } from './statements.js'

export { type PostgresDatabase } from './database.js'

/** Every method of a store; `subscribe` only for a database that can LISTEN. */
export type PostgresStore = SqlStore & Pick<SessionStore, 'subscribe'>

/** The options of `postgresStore`. */
export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * A `Pool` of pg that connects to the server directly, for `revocation: 'immediate'`; `db` by default. Needed if `db`
   * goes through a pooler that changes connections between transactions (such as PgBouncer in transaction mode), where
   * LISTEN receives nothing. The store opens one connection with its options and checks none out.
   */
  readonly listen?: PostgresDatabase | undefined
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock | undefined
}

/**
 * Sessions in PostgreSQL: they survive restarts, and any number of processes share them.
 *
 * `open`, or else the first call of another method, creates the table or checks it. It rejects with a TypeError if the
 * table does not fit, cannot be created, or if the user lacks a right on it; every other error is the database's own.
 * The pool stays yours: listen to its `'error'` event, and end it. `open` emits a warning for a pool without timeouts,
 * since a statement could run after its caller gave up. The store of a `Pool` or of PGlite has `subscribe`, which uses a
 * connection of its own. Throws a TypeError for wrong arguments.
 */
export function postgresStore (db: PostgresDatabase, options: PostgresStoreOptions = {}): PostgresStore {
  const { table = DEFAULT_TABLE, clock, listen = db } = checkedOptions('postgresStore', options, ['table', 'clock', 'listen'])
  if (typeof db?.query !== 'function') throw new TypeError(`postgresStore: its first argument ${db === undefined ? 'is undefined' : 'has no method "query"'}: pass a Pool of pg, such as the one that the ORM uses, or a PGlite instance`)
  if (isClient(db)) warnOfClient()
  if (listen !== db && listenOn(listen) === undefined) throw new TypeError('postgresStore: the option "listen" cannot LISTEN: pass a Pool of pg or a PGlite instance, or leave it out')
  tableName(table, 'postgresStore')

  const feed = revocationFeed()
  const sessions = new PostgresTable(db, table)
  const store = sqlStore({ name: 'postgresStore', table, sessions, clock, notify: feed.notify })
  const listenTo = listenOn(listen)
  return {
    ...store,
    ...(listenTo !== undefined && {
      subscribe: feed.subscribeOver({
        connect: onMessage => async closing => {
          await store.open()
          return await listenTo(await sessions.channel(), onMessage, closing)
        },
        send: message => sessions.send(message),
        onUndelivered: warnOfSilence
      })
    })
  }
}

function warnOfClient (): void {
  process.emitWarning('postgresStore: its first argument is a Client of pg, one connection, which is not replaced once it is lost: pass a Pool of pg', { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_CLIENT' })
}

function warnOfSilence (): void {
  process.emitWarning('postgresStore: LISTEN succeeded, but messages of NOTIFY are not delivered, as behind PgBouncer in transaction mode, so this process does not learn of sessions that other processes revoke: set the option "listen" to a Pool of pg that connects to the server directly, such as postgresStore(pool, { listen: new pg.Pool({ connectionString: directUrl }) })', { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_LISTEN' })
}

/** Sessions in a table of PostgreSQL. Each method but `prepare` sends one statement, again if the server rolled it back. */
class PostgresTable extends SessionTable<Statements> {
  readonly #db: PostgresDatabase
  readonly #table: string
  readonly #query: RunStatement

  constructor (db: PostgresDatabase, table: string) {
    super(statementsOn(table))
    this.#db = db
    this.#table = table
    this.#query = statementRunner(db, { prepared: [this.sql.get, this.sql.advance], outside: [this.sql.revoke, this.sql.revokeAll] })
  }

  async prepare (): Promise<void> {
    await prepareTable(this.#table, this.sql, (statement, values) => this.#run(statement, ...values))
    const missing = await missingTimeouts(this.#db, this.#query)
    if (missing.length > 0) warnOfMissing(missing)
  }

  async revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number> {
    const message = messageFor(revocation)
    const [ended] = 'id' in revocation
      ? await this.rows(this.sql.revoke, revocation.id, at, reason, message)
      : await this.rows(this.sql.revokeAll, revocation.subject, at, reason, message, revocation.exceptId ?? null, limit)
    return Number(ended?.['count'] ?? 0)
  }

  /** The channel of NOTIFY. */
  async channel (): Promise<string> {
    const [row] = await this.rows(this.sql.channel)
    return String(row?.['channel'])
  }

  async send (message: string): Promise<void> {
    await this.write(this.sql.send, message)
  }

  /** PostgreSQL's text cannot hold NUL: no row has such an id or subject, and a query with it would be an error. */
  protected rows (statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    const [key] = values
    return typeof key === 'string' && key.includes('\0') ? Promise.resolve([]) : this.#run(statement, ...values)
  }

  /** The number of rows that a statement returns: each one whose rows are counted has a RETURNING. */
  protected async write (statement: string, ...values: unknown[]): Promise<number> {
    return (await this.#run(statement, ...values)).length
  }

  protected override sessionOf (row: Row): Session {
    return sessionOf(row)
  }

  #run (statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    return retried(() => this.#query(statement, values), isRolledBack) as Promise<readonly Row[]> // objects keyed by column name
  }
}

/** Errors of PostgreSQL: serialization_failure and deadlock_detected. */
const ROLLED_BACK = ['40001', '40P01']

function isRolledBack (error: unknown): boolean {
  return hasCode(error, ROLLED_BACK)
}

function warnOfMissing (timeouts: readonly string[]): void {
  process.emitWarning(`postgresStore: its pool has no ${timeouts.join(' and no ')}, so a call could run, or keep its connection, minutes after its caller gave up: make the pool with ${timeouts.map(name => `${name}: 5000`).join(', ')}${timeouts.includes('statement_timeout') ? ", or where a pooler refuses statement_timeout, ALTER ROLE app SET statement_timeout = '5s'" : ''}`, { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_TIMEOUT' })
}

/** The options of `postgresSchema`. */
export interface PostgresTableOptions {
  /** The store's table, `'auth_sessions'` by default: a name of a-z, 0-9 and _, or `'schema.name'`. */
  readonly table?: string | undefined
}

/** The SQL that creates a store's table and its indexes, for migrations. Throws a TypeError for an invalid name. */
export function postgresSchema ({ table = DEFAULT_TABLE }: PostgresTableOptions = {}): string {
  return schemaOf(tableName(table, 'postgresSchema'))
}

/** Creates the table if it is missing, and checks the server, its columns and the user's rights. */
async function prepareTable (table: string, sql: Statements, run: RunStatement): Promise<void> {
  await createTable(table, sql, run)
  const [server] = await run("SELECT current_setting('transaction_read_only') AS mode", []) as ReadonlyArray<{ mode: string }>
  if (server?.mode === 'on') throw new Error('postgresStore: the server is read-only: connect the pool to the primary') // as during a failover, so another try may succeed
  const found = await run(sql.columns, [sql.name]) as FoundColumn[] // the columns of that statement
  assertColumns(table, found)
  assertRights(sql.name, found)
  await createIndexes(table, sql, run)
}

async function createTable (table: string, sql: Statements, run: RunStatement): Promise<void> {
  try {
    await run(sql.createTable, [])
  } catch (cause) {
    if (hasCode(cause, NO_ACCESS)) throw new TypeError('postgresStore: the server refuses the user, the password or the database of the pool: correct its connection string', { cause })
    if (hasCode(cause, [PROTOCOL_VIOLATION]) && /startup parameter/.test(cause.message)) throw refusedByPooler(cause)
    if (!hasCode(cause, NOT_ALLOWED)) throw cause
    const [row] = await run('SELECT quote_ident(current_user) AS role', []) as ReadonlyArray<{ role: string }>
    const schema = table.includes('.') ? sql.name.split('.')[0] : 'public'
    if (hasCode(cause, [NO_SCHEMA])) throw new TypeError(`postgresStore: the schema of the table "${table}" does not exist: create it, CREATE SCHEMA ${schema}, or set the option "table" to one in another schema`, { cause })
    throw new TypeError(`postgresStore: the table "${table}" is missing, and this user may not create it or may not use its schema: as a user with these rights, run the SQL of postgresSchema({ table: '${table}' }), and then: GRANT USAGE ON SCHEMA ${schema} TO ${row?.role}; GRANT ${GRANTED.join(', ')} ON ${sql.name} TO ${row?.role};`, { cause })
  }
}

async function createIndexes (table: string, sql: Statements, run: RunStatement): Promise<void> {
  try {
    await run(sql.createIndexes, [])
  } catch (cause) {
    if (!hasCode(cause, NOT_ALLOWED)) throw cause
    throw new TypeError(`postgresStore: the table "${table}" lacks an index, and this user may not create it: as the owner of the table, run the statements for the missing indexes: ${sql.indexes.join(' ')}`, { cause })
  }
}

/** PgBouncer rejects settings that it cannot keep per client. */
function refusedByPooler (cause: Error): TypeError {
  return new TypeError("postgresStore: a pooler rejects \"statement_timeout\", or another setting that the pool sends with each new connection: leave it out of the pool's options and set it in the database, such as ALTER ROLE app SET statement_timeout = '5s'", { cause })
}

/**
 * Errors of PostgreSQL: invalid_authorization_specification, invalid_password and invalid_catalog_name; protocol_violation;
 * insufficient_privilege and invalid_schema_name.
 */
const NO_ACCESS = ['28000', '28P01', '3D000']
const PROTOCOL_VIOLATION = '08P01'
const NO_SCHEMA = '3F000'
const NOT_ALLOWED = ['42501', NO_SCHEMA]
