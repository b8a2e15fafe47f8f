import { type RevokeReason, type Session, type SessionChange } from '../../sessions/session.js'
import { type EpochSeconds } from '../../time.js'
import { type Revocation } from '../revocation-feed.js'
import { sessionOf, valuesOf } from '../sql/columns.js'
import { type NumberedRevocation, type PolledRevocations, type WrittenRevocation } from '../sql/revocation-poll.js'
import { type PageQuery, type SessionTable } from '../sql/session-table.js'
import { SqliteRunner, type SqliteDatabase } from './database.js'
import { prepareTable } from './create-table.js'
import { statementsOn, type Statements } from './statements.js'

/** Sessions in a table of SQLite. */
export class SqliteTable implements SessionTable {
  readonly sql: Statements
  readonly #table: string
  readonly #db: SqliteRunner
  readonly #countOwn: (write: () => Promise<WrittenRevocation>) => Promise<number>

  /** `countOwn` notes the numbers of revocations that this process makes. */
  constructor (db: SqliteDatabase, table: string, countOwn: (write: () => Promise<WrittenRevocation>) => Promise<number>) {
    this.sql = statementsOn(table)
    this.#table = table
    this.#db = new SqliteRunner(db)
    this.#countOwn = countOwn
  }

  async prepare (): Promise<void> {
    await this.#db.whenFree(() => prepareTable(this.#table, this.sql, this.#db))
  }

  async insert (session: Session): Promise<void> {
    await this.#run(this.sql.create, ...valuesOf(session))
  }

  async find (id: string): Promise<Session | null> {
    const [row] = await this.#run(this.sql.get, id)
    return row === undefined ? null : sessionOf(row)
  }

  async advance (id: string, fromGeneration: number, { generation, previous, rotatedAt, idleExpiresAt, authTime }: SessionChange): Promise<Session | null> {
    const [row] = await this.#run(this.sql.advance, id, fromGeneration, generation, previous, rotatedAt, idleExpiresAt, authTime ?? null)
    return row === undefined ? null : sessionOf(row)
  }

  async revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number> {
    const end = () => 'id' in revocation
      ? this.#db.run(this.sql.revoke, revocation.id, at, reason)
      : this.#db.run(this.sql.revokeAll, revocation.subject, at, reason, revocation.exceptId ?? null, limit)
    return await this.#countOwn(() => this.#db.whenFree(() => this.#db.inTransaction(() => {
      const count = end().length
      const [counter] = count > 0 ? this.#db.run(this.sql.count) : []
      return { count, number: Number(counter?.['number']) }
    })))
  }

  async list (subject: string, { limit, after, liveAt }: PageQuery): Promise<Session[]> {
    const rows = await this.#run(this.sql.list, subject, after.createdAt, after.id, liveAt, limit)
    return rows.map(sessionOf)
  }

  async deleteExpired (before: EpochSeconds, limit: number): Promise<number> {
    return (await this.#run(this.sql.purge, before, limit)).length
  }

  async now (): Promise<EpochSeconds> {
    const [row] = await this.#run(this.sql.now)
    return Number(row?.['now'])
  }

  async readOwner (): Promise<string | null> {
    const [row] = await this.#run(this.sql.readOwner)
    return row === undefined ? null : String(row['owner'])
  }

  async replaceOwner (found: string | null, next: string): Promise<boolean> {
    const rows = found === null ? await this.#run(this.sql.addOwner, next) : await this.#run(this.sql.replaceOwner, next, found)
    return rows.length > 0
  }

  /** Rejects if the counter was deleted, and makes a new one. */
  async readRevocations ({ id, number }: NumberedRevocation, limit: number): Promise<PolledRevocations> {
    const [counter] = await this.#run(this.sql.readCounter)
    if (counter === undefined) {
      await this.#run(this.sql.addCounter)
      throw new Error('the counter of revocations was deleted')
    }
    const rows = await this.#run(this.sql.readRevoked, number, id, limit)
    return { newest: Number(counter['newest']), revoked: rows.map(row => ({ id: String(row['id']), number: Number(row['number']) })) }
  }

  async #run (statement: string, ...values: unknown[]): Promise<ReturnType<SqliteRunner['run']>> {
    return await this.#db.whenFree(() => this.#db.run(statement, ...values))
  }
}
