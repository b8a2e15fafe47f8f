import { type RevokeReason, type Session } from '../../sessions/session.js'
import { type EpochSeconds } from '../../time.js'
import { messageOf } from '../revocation-feed.js'
import { type Revocation } from '../../sessions/store.js'
import { type Row } from '../sql/columns.js'
import { retried, SessionTable } from '../sql/session-table.js'
import { hasCode, missingTimeouts, statementRunner, type PostgresDatabase, type RunStatement } from './database.js'
import { sessionOf, statementsOn, type Statements } from './statements.js'
import { prepareTable } from './create-table.js'

/** Sessions in a table of PostgreSQL. Each method but `prepare` sends one statement, again if the server rolled it back. */
export class PostgresTable extends SessionTable<Statements> {
  readonly #db: PostgresDatabase
  readonly #table: string
  readonly #query: RunStatement

  constructor (db: PostgresDatabase, table: string) {
    super(statementsOn(table))
    this.#db = db
    this.#table = table
    this.#query = statementRunner(db, [this.sql.get, this.sql.advance])
  }

  async prepare (): Promise<void> {
    await prepareTable(this.#table, this.sql, (statement, values) => this.#run(statement, ...values))
    const missing = await missingTimeouts(this.#db, this.#query)
    if (missing.length > 0) warnOfMissing(missing)
  }

  async revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number> {
    const message = messageOf(revocation)
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
  protected async rows (statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    const [key] = values
    return typeof key === 'string' && key.includes('\0') ? [] : await this.#run(statement, ...values)
  }

  /** Each statement that is to count its rows returns them. */
  protected async write (statement: string, ...values: unknown[]): Promise<number> {
    return (await this.#run(statement, ...values)).length
  }

  protected override sessionOf (row: Row): Session {
    return sessionOf(row)
  }

  async #run (statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    return await retried(() => this.#query(statement, values), isRolledBack) as readonly Row[] // objects keyed by column name
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
