import { type RevokeReason, type Session, type SessionChange, type SessionPosition } from '../../sessions/session.js'
import { type Revocation } from '../../sessions/store.js'
import { type EpochSeconds } from '../../time.js'

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
export function retried<T> (transaction: () => Promise<T>, isRolledBack: (error: unknown) => boolean, attempts = 3): Promise<T> {
  return transaction().catch(error => {
    if (attempts === 1 || !isRolledBack(error)) throw error
    return retried(transaction, isRolledBack, attempts - 1)
  })
}

/** A row, keyed by column name. */
export type Row = Readonly<Record<string, unknown>>

/** The column of each field. */
export const COLUMNS = {
  id: 'id',
  subject: 'subject',
  generation: 'generation',
  previous: 'previous',
  rotatedAt: 'rotated_at',
  createdAt: 'created_at',
  expiresAt: 'expires_at',
  idleExpiresAt: 'idle_expires_at',
  authTime: 'auth_time',
  userAgent: 'user_agent',
  ip: 'ip',
  revokedAt: 'revoked_at',
  reason: 'reason'
} as const satisfies Readonly<Record<keyof Session, string>>

export const FIELDS = Object.keys(COLUMNS) as ReadonlyArray<keyof Session> // Object.keys is typed string[]

const TEXTS: ReadonlyArray<keyof Session> = ['id', 'subject', 'userAgent', 'ip', 'reason']

/** The values of a session in the order of `FIELDS`. */
function valuesOf (session: Session): Array<string | number | null> {
  return FIELDS.map(field => session[field] ?? null)
}

/** The session of a row with a column for each field. Drivers may give integers as texts or bigints. */
function sessionOf (row: Row): Session {
  const entries = FIELDS.map(field => {
    const value = row[COLUMNS[field]] ?? null
    return [field, value === null ? null : TEXTS.includes(field) ? String(value) : Number(value)]
  })
  return Object.fromEntries(entries) as Session // the table was checked
}

export const DEFAULT_TABLE = 'auth_sessions'

/** The names of tables that need no quotes of any database. */
const NAME = '[a-z_][a-z0-9_]{0,62}'
const TABLE = new RegExp(`^${NAME}$`)
const TABLE_IN_SCHEMA = new RegExp(`^${NAME}(\\.${NAME})?$`)

/** Checks the name of a table. Throws a TypeError. */
export function tableName (table: unknown, caller: string, schemas: 'with schema' | 'without schema' = 'with schema'): string {
  const allowed = schemas === 'with schema' ? TABLE_IN_SCHEMA : TABLE
  if (typeof table === 'string' && allowed.test(table)) return table
  const orSchema = schemas === 'with schema' ? ', or to "schema.name" made of two such names' : ''
  throw new TypeError(`${caller}: the option "table" is "${String(table)}": set it to a name of a-z, 0-9 and _ that is at most 63 characters long${orSchema}`)
}

/** The statements of every database. */
type SessionStatements = Readonly<Record<'create' | 'get' | 'advance' | 'list' | 'purge' | 'now' | keyof ReturnType<typeof ownerStatements>, string>>

/** The columns of a session. */
export const SESSION = Object.values(COLUMNS).join(', ')

export function createSession (name: string): string {
  return `INSERT INTO ${name} (${SESSION}) VALUES (${FIELDS.map((_, index) => `$${index + 1}`).join(', ')})`
}

/** A rotation writes to no indexed column. `session` is the list of the returned columns. */
export function advanceReturning (name: string, session: string): string {
  return `UPDATE ${name}
      SET generation = $3, previous = $4, rotated_at = $5, idle_expires_at = $6, auth_time = coalesce($7, auth_time)
      WHERE id = $1 AND generation = $2 AND revoked_at IS NULL
      RETURNING ${session}`
}

/** The id of the row that records the owner of the table, as JSON in `user_agent`. No session has such an id. */
export const OWNER_ID = ':app'

/** A time that no purge reaches: the end of the year 9999. */
const NEVER = 253_402_300_799

/** The columns of a row of the store's own, before the one that holds its content. */
export const OWN_COLUMNS = 'id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time, revoked_at'

/** Their values. Revoked and never purged, so that no statement for sessions selects the row. */
export function ownRow (id: string): string {
  return `${id}, ${id}, 0, 0, 0, ${NEVER}, ${NEVER}, 0, 0`
}

export function ownerStatements (name: string) {
  return {
    readOwner: `SELECT user_agent AS owner FROM ${name} WHERE id = '${OWNER_ID}'`,
    addOwner: `INSERT INTO ${name} (${OWN_COLUMNS}, user_agent)
      VALUES (${ownRow(`'${OWNER_ID}'`)}, $1) ON CONFLICT DO NOTHING RETURNING id`,
    replaceOwner: `UPDATE ${name} SET user_agent = $1 WHERE id = '${OWNER_ID}' AND user_agent = $2 RETURNING id`,
    removeOwner: `DELETE FROM ${name} WHERE id = '${OWNER_ID}';`
  }
}
