import { type Session } from '../../sessions/session.js'

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
export function valuesOf (session: Session): Array<string | number | null> {
  return FIELDS.map(field => session[field] ?? null)
}

/** The session of a row with a column for each field. Drivers may give integers as texts or bigints. */
export function sessionOf (row: Row): Session {
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
