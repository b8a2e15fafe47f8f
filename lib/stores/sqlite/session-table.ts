import { type RevokeReason } from '../../sessions/session.js'
import { type Revocation } from '../../sessions/store.js'
import { type EpochSeconds } from '../../time.js'
import { type Row } from '../sql/columns.js'
import { type NumberedRevocation, type PolledRevocations } from '../sql/revocation-poll.js'
import { SessionTable } from '../sql/session-table.js'
import { SqliteRunner, type SqliteDatabase } from './database.js'
import { prepareTable } from './create-table.js'
import { statementsOn, type Statements } from './statements.js'

/** Sessions in a table of SQLite. */
export class SqliteTable extends SessionTable<Statements> {
  readonly #table: string
  readonly #db: SqliteRunner

  constructor (db: SqliteDatabase, table: string) {
    super(statementsOn(table))
    this.#table = table
    this.#db = new SqliteRunner(db)
  }

  async prepare (): Promise<void> {
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
