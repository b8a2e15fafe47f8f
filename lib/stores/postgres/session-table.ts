import { type RevokeReason, type Session, type SessionChange } from '../../sessions/session.js'
import { type EpochSeconds } from '../../time.js'
import { type Revocation } from '../revocation-feed.js'
import { valuesOf, type Row } from '../sql/columns.js'
import { type PageQuery, type SessionTable } from '../sql/session-table.js'
import { retried } from '../sql/store.js'
import { hasCode, missingTimeouts, statementRunner, type PostgresDatabase, type RunStatement } from './database.js'
import { sessionOf, type Statements } from './statements.js'
import { prepareTable } from './create-table.js'

/** Sessions in a table of PostgreSQL. Each method is one statement. */
export class PostgresTable implements SessionTable {
  readonly #db: PostgresDatabase
  readonly #table: string
  readonly #sql: Statements
  readonly #query: RunStatement
  readonly #messageOf: (revocation: Revocation) => string

  /** `messageOf` is the message that notifies other processes. */
  constructor (db: PostgresDatabase, table: string, sql: Statements, messageOf: (revocation: Revocation) => string) {
    this.#db = db
    this.#table = table
    this.#sql = sql
    this.#query = statementRunner(db, [sql.get, sql.advance])
    this.#messageOf = messageOf
  }

  async prepare (): Promise<void> {
    await prepareTable(this.#table, this.#sql, (statement, values) => this.#run(statement, ...values))
    const missing = await missingTimeouts(this.#db, this.#query)
    if (missing.length > 0) warnOfMissing(missing)
  }

  async insert (session: Session): Promise<void> {
    await this.#run(this.#sql.create, ...valuesOf(session))
  }

  async find (id: string): Promise<Session | null> {
    const [row] = await this.#runWithKey(id, this.#sql.get)
    return row === undefined ? null : sessionOf(row)
  }

  async advance (id: string, fromGeneration: number, { generation, previous, rotatedAt, idleExpiresAt, authTime }: SessionChange): Promise<Session | null> {
    const [row] = await this.#runWithKey(id, this.#sql.advance, fromGeneration, generation, previous, rotatedAt, idleExpiresAt, authTime ?? null)
    return row === undefined ? null : sessionOf(row)
  }

  async revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number> {
    const message = this.#messageOf(revocation)
    const [ended] = 'id' in revocation
      ? await this.#runWithKey(revocation.id, this.#sql.revoke, at, reason, message)
      : await this.#runWithKey(revocation.subject, this.#sql.revokeAll, at, reason, message, revocation.exceptId ?? null, limit)
    return Number(ended?.['count'] ?? 0)
  }

  async list (subject: string, { limit, after, liveAt }: PageQuery): Promise<Session[]> {
    const rows = await this.#runWithKey(subject, this.#sql.list, after.createdAt, after.id, liveAt, limit)
    return rows.map(sessionOf)
  }

  async deleteExpired (before: EpochSeconds, limit: number): Promise<number> {
    return (await this.#run(this.#sql.purge, before, limit)).length
  }

  async now (): Promise<EpochSeconds> {
    const [row] = await this.#run(this.#sql.now)
    return Number(row?.['now'])
  }

  async readOwner (): Promise<string | null> {
    const [row] = await this.#run(this.#sql.readOwner)
    return row === undefined ? null : String(row['owner'])
  }

  async replaceOwner (found: string | null, next: string): Promise<boolean> {
    const rows = found === null ? await this.#run(this.#sql.addOwner, next) : await this.#run(this.#sql.replaceOwner, next, found)
    return rows.length > 0
  }

  /** The channel of NOTIFY. */
  async channel (): Promise<string> {
    const [row] = await this.#run(this.#sql.channel)
    return String(row?.['channel'])
  }

  async send (message: string): Promise<void> {
    await this.#run(this.#sql.send, message)
  }

  /** The rows of one session or one subject. */
  async #runWithKey (key: string, statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    // PostgreSQL's text cannot hold NUL: no row has such a key, and a query with it would be an error.
    return key.includes('\0') ? [] : await this.#run(statement, key, ...values)
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
