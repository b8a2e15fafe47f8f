import { type RevokeReason, type Session, type SessionChange } from '../../sessions/session.js'
import { type Revocation } from '../../sessions/store.js'
import { type EpochSeconds } from '../../time.js'
import { FIELDS, type Row } from '../sql/columns.js'
import { COUNTER_ID, type NumberedRevocation, type PolledRevocations } from '../sql/revocation-poll.js'
import { retried, SessionTable } from '../sql/session-table.js'
import { isRolledBack, MysqlRunner, type MysqlPromises, type Written } from './database.js'
import { statementsOn, TYPES, type Statements } from './statements.js'
import { prepareTable } from './create-table.js'

/** Deadlocks come in waves, each of which lets one transaction through. */
const MAX_ATTEMPTS = 5

/** Sessions in a table of MySQL or MariaDB. */
export class MysqlTable extends SessionTable<Statements> {
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
    // Others may have changed it since: all that can change is as this call wrote it.
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
