import { type RevokeReason, type Session, type SessionChange, type SessionPosition } from '../../sessions/session.js'
import { type Revocation } from '../../sessions/store.js'
import { type EpochSeconds } from '../../time.js'
import { sessionOf, valuesOf, type Row } from './columns.js'
import { type SessionStatements } from './statements.js'

/** A part of a list: at most `limit` sessions after a position, those that are not expired at `liveAt`. */
interface PageQuery {
  readonly limit: number
  readonly after: SessionPosition
  readonly liveAt: EpochSeconds
}

/** The table of sessions in one database. Each change is one transaction; a method rejects where its transaction fails. */
export abstract class SessionTable<S extends SessionStatements = SessionStatements> {
  readonly sql: S

  constructor (sql: S) {
    this.sql = sql
  }

  /** Creates the table if it is missing, and checks it and the user's rights. Rejects with a TypeError if it cannot be used. */
  abstract prepare (): Promise<void>

  /** Revokes the session of a revocation, or at most `limit` sessions of its subject. Resolves to the number that this call revoked. */
  abstract revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number>

  /** Runs a statement that resolves to rows. */
  protected abstract rows (statement: string, ...values: unknown[]): Promise<readonly Row[]>

  /** Runs any other statement. Resolves to the number of rows that it wrote. */
  protected abstract write (statement: string, ...values: unknown[]): Promise<number>

  /** The session of a row of `sql`. */
  protected sessionOf (row: Row): Session {
    return sessionOf(row)
  }

  async insert (session: Session): Promise<void> {
    await this.write(this.sql.create, ...valuesOf(session))
  }

  async find (id: string): Promise<Session | null> {
    const [row] = await this.rows(this.sql.get, id)
    return row === undefined ? null : this.sessionOf(row)
  }

  /** As `SessionStore.advance`. */
  async advance (id: string, fromGeneration: number, { generation, previous, rotatedAt, idleExpiresAt, authTime }: SessionChange): Promise<Session | null> {
    const [row] = await this.rows(this.sql.advance, id, fromGeneration, generation, previous, rotatedAt, idleExpiresAt, authTime ?? null)
    return row === undefined ? null : this.sessionOf(row)
  }

  /** Unrevoked sessions of a subject, ordered by age. */
  async list (subject: string, { limit, after, liveAt }: PageQuery): Promise<Session[]> {
    const rows = await this.rows(this.sql.list, subject, after.createdAt, after.id, liveAt, limit)
    return rows.map(row => this.sessionOf(row))
  }

  /** Deletes at most `limit` expired rows. Resolves to their number. */
  async deleteExpired (before: EpochSeconds, limit: number): Promise<number> {
    return await this.write(this.sql.purge, before, limit)
  }

  /** The server's time. */
  async now (): Promise<EpochSeconds> {
    const [row] = await this.rows(this.sql.now)
    return Number(row?.['now'])
  }

  /** The recorded owner as JSON; null if there is none yet. */
  async readOwner (): Promise<string | null> {
    const [row] = await this.rows(this.sql.readOwner)
    return row === undefined ? null : String(row['owner'])
  }

  /** Compare-and-set: writes `next` if the record is still `found`, else resolves to false. */
  async replaceOwner (found: string | null, next: string): Promise<boolean> {
    const count = found === null ? await this.write(this.sql.addOwner, next) : await this.write(this.sql.replaceOwner, next, found)
    return count > 0
  }
}

/** Runs a transaction again that the database rolled back to resolve a conflict with another one. */
export async function retried<T> (transaction: () => Promise<T>, isRolledBack: (error: unknown) => boolean, attempts = 3): Promise<T> {
  try {
    return await transaction()
  } catch (error) {
    if (attempts === 1 || !isRolledBack(error)) throw error
    return await retried(transaction, isRolledBack, attempts - 1)
  }
}
