import { type Session, type SessionStore } from '../core/session.js'
import { systemClock, type Clock } from '../core/time.js'

/** What the store needs of a database. A `Pool` of the package pg is one, and so is a PGlite instance. */
export interface PostgresDatabase {
  query (text: string, values: unknown[]): PromiseLike<{ readonly rows: readonly unknown[] }>
}

/** How a PostgreSQL store is made. */
export interface PostgresStoreOptions {
  /** Its table, `'auth_sessions'` by default: a name of a-z, 0-9 and _, or `'schema.name'`. */
  readonly table?: string
  /** Tells the time of a revocation; the system's clock by default. */
  readonly clock?: Clock
}

/**
 * Sessions in PostgreSQL: they outlive restarts, and any number of processes share them.
 *
 * `open` makes the table if it is missing, else checks it; where `open` is not called, the first call of another
 * method does it. A TypeError says that the table does not fit or may not be made; every other failure is the
 * database's own error. The pool stays yours: listen to its `'error'` event, and end it.
 */
export function postgresStore (db: PostgresDatabase, { table = 'auth_sessions', clock = systemClock }: PostgresStoreOptions = {}): Required<Omit<SessionStore, 'subscribe'>> {
  if (typeof db?.query !== 'function') throw new TypeError('postgresStore: its first argument has no method "query": pass a Pool of pg or a PGlite instance')
  if (typeof table !== 'string' || !TABLE.test(table)) throw new TypeError(`postgresStore: the option "table" is "${table}": set it to a name of a-z, 0-9 and _ that is at most 63 characters long, or to "schema.name" of two such`)

  const sql = statementsOn(table)
  let opening: Promise<void> | undefined
  return {
    open,

    async create (session) {
      await open()
      await run(sql.create, FIELDS.map(field => session[field] ?? null))
    },

    async get (id) {
      const [row] = await rowsOf(id, sql.get)
      return row === undefined ? null : sessionOf(row)
    },

    async advance (id, fromGeneration, { generation, previous, rotatedAt, idleExpiresAt, authTime }) {
      const [row] = await rowsOf(id, sql.advance, fromGeneration, generation, previous, rotatedAt, idleExpiresAt, authTime ?? null)
      return row === undefined ? null : sessionOf(row)
    },

    async revoke (id, reason) {
      const ended = await rowsOf(id, sql.revoke, now(), reason)
      return ended.length > 0
    },

    async revokeAll (subject, reason, exceptId) {
      const ended = await rowsOf(subject, sql.revokeAll, now(), reason, exceptId ?? null)
      return ended.length
    },

    async list (subject) {
      const rows = await rowsOf(subject, sql.list)
      return rows.map(sessionOf)
    },

    async purgeExpired (before) {
      await open()
      let count = 0
      let deleted
      do {
        deleted = await run(sql.purge, [before, PURGE_BATCH])
        count += deleted.length
      } while (deleted.length === PURGE_BATCH)
      return count
    }
  }

  function now (): number {
    return Math.floor(clock())
  }

  /** Calls that come while the table is being prepared wait for that attempt; after a failed one the next call tries again. */
  function open (): Promise<void> {
    opening ??= prepare().catch(error => {
      opening = undefined
      throw error
    })
    return opening
  }

  async function prepare (): Promise<void> {
    await make(sql.createTable)
    const found = await run(sql.columns, [sql.name]) as FoundColumn[] // what that statement selects
    assertColumns(table, found)
    await make(sql.createIndexes)
  }

  async function make (statement: string): Promise<void> {
    try {
      await run(statement, [])
    } catch (cause) {
      if (!hasCode(cause, MAY_NOT_MAKE)) throw cause
      throw new TypeError(`postgresStore: the table "${table}" or an index of it is missing and cannot be made: grant this user CREATE on a schema that exists, or open the store once as a user who may`, { cause })
    }
  }

  /** The rows of one session or one subject. */
  async function rowsOf (key: string, statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    await open()
    // PostgreSQL's text holds no NUL, so nothing is stored under such a key; asking for it would be an error.
    return key.includes('\0') ? [] : await run(statement, [key, ...values])
  }

  /** Runs one statement, a transaction of its own: rolled back in favour of another one, it can simply run again. */
  async function run (statement: string, values: unknown[], attempts = MAX_ATTEMPTS): Promise<readonly Row[]> {
    try {
      const { rows } = await db.query(statement, values)
      return rows as Row[] // each is an object with the columns' names
    } catch (error) {
      if (attempts === 1 || !hasCode(error, ROLLED_BACK)) throw error
      return await run(statement, values, attempts - 1)
    }
  }
}

type Row = Readonly<Record<string, unknown>>

const TABLE = /^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$/
const PURGE_BATCH = 1000
const MAX_ATTEMPTS = 3

/** Errors of PostgreSQL: insufficient_privilege and invalid_schema_name; serialization_failure and deadlock_detected. */
const MAY_NOT_MAKE = ['42501', '3F000']
const ROLLED_BACK = ['40001', '40P01']

function hasCode (error: unknown, codes: readonly unknown[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(error.code)
}

interface Column {
  readonly name: string
  readonly type: 'text' | 'bigint'
  readonly constraint: 'PRIMARY KEY' | 'NOT NULL' | ''
}

/** Where each field of a session is kept. Moments are bigint, since an integer of seconds ends in 2038. */
const COLUMNS: Readonly<Record<keyof Session, Column>> = {
  id: { name: 'id', type: 'text', constraint: 'PRIMARY KEY' },
  subject: { name: 'subject', type: 'text', constraint: 'NOT NULL' },
  generation: { name: 'generation', type: 'bigint', constraint: 'NOT NULL' },
  previous: { name: 'previous', type: 'bigint', constraint: '' },
  rotatedAt: { name: 'rotated_at', type: 'bigint', constraint: 'NOT NULL' },
  createdAt: { name: 'created_at', type: 'bigint', constraint: 'NOT NULL' },
  expiresAt: { name: 'expires_at', type: 'bigint', constraint: 'NOT NULL' },
  idleExpiresAt: { name: 'idle_expires_at', type: 'bigint', constraint: 'NOT NULL' },
  authTime: { name: 'auth_time', type: 'bigint', constraint: 'NOT NULL' },
  userAgent: { name: 'user_agent', type: 'text', constraint: '' },
  ip: { name: 'ip', type: 'text', constraint: '' },
  revokedAt: { name: 'revoked_at', type: 'bigint', constraint: '' },
  reason: { name: 'reason', type: 'text', constraint: '' }
}

const FIELDS = Object.keys(COLUMNS) as ReadonlyArray<keyof Session> // Object.keys is typed string[]

/** pg gives a bigint as a string, PGlite as a number. */
function sessionOf (row: Row): Session {
  const fields = FIELDS.map(field => {
    const value = row[field]
    return [field, COLUMNS[field].type === 'bigint' && value !== null ? Number(value) : value]
  })
  return Object.fromEntries(fields) as Session // open has checked the columns
}

/** A column as PostgreSQL describes it. */
interface FoundColumn extends Row {
  readonly name: string
  readonly type: string
  readonly required: boolean
  readonly unique: boolean
}

function assertColumns (table: string, found: readonly FoundColumn[]): void {
  for (const column of Object.values(COLUMNS)) {
    const actual = found.find(({ name }) => name === column.name)
    if (actual !== undefined && fits(actual, column)) continue
    const is = actual === undefined ? 'missing' : actual.type + (actual.required ? ' NOT NULL' : '')
    const wanted = `${column.type} ${column.constraint}`.trimEnd()
    throw new TypeError(`postgresStore: the column "${column.name}" of the table "${table}" is ${is}, but must be ${wanted}: alter it, or set the option "table" to a name that is free`)
  }
}

/** Whether every session can be written to a column and read back. A longest length would refuse some. */
function fits ({ type, required, unique }: FoundColumn, column: Column): boolean {
  if (type !== column.type && !(type === 'character varying' && column.type === 'text')) return false
  if (column.constraint === 'PRIMARY KEY') return unique
  return column.constraint === 'NOT NULL' || !required
}

/**
 * The statements. Each method is one of them, so each is atomic without a transaction and takes one round trip.
 * What a rotation writes is in no index, and the pages keep room, so that it stays a heap-only update.
 */
function statementsOn (table: string) {
  const name = table.split('.').map(part => `"${part}"`).join('.') // quoted: it may be a reserved word
  const columns = Object.values(COLUMNS)
  const session = FIELDS.map(field => `${COLUMNS[field].name} AS "${field}"`).join(', ')
  // Two processes that start at once would otherwise both find the table missing, and one would fail.
  const lock = "PERFORM pg_advisory_xact_lock(hashtext('fastify-refresh-cookie'))"

  return {
    name,
    create: `INSERT INTO ${name} (${columns.map(column => column.name).join(', ')}) VALUES (${columns.map((_, index) => `$${index + 1}`).join(', ')})`,
    get: `SELECT ${session} FROM ${name} WHERE id = $1`,
    advance: `UPDATE ${name}
      SET generation = $3, previous = $4, rotated_at = $5, idle_expires_at = $6, auth_time = coalesce($7, auth_time)
      WHERE id = $1 AND generation = $2 AND revoked_at IS NULL
      RETURNING ${session}`,
    revoke: `UPDATE ${name} SET revoked_at = $2, reason = $3 WHERE id = $1 AND revoked_at IS NULL RETURNING id`,
    revokeAll: `UPDATE ${name} SET revoked_at = $2, reason = $3
      WHERE subject = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $4 RETURNING id`,
    list: `SELECT ${session} FROM ${name} WHERE subject = $1 AND revoked_at IS NULL ORDER BY created_at, id`,
    // Rows that another transaction holds are left to the next purge: this waits for nobody and nobody waits long for it.
    purge: `DELETE FROM ${name} WHERE id = ANY (ARRAY(
      SELECT id FROM ${name} WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING id`,

    // What exists is left alone: a user who may not make tables can then use one that was made for it.
    createTable: `DO $$ BEGIN
      ${lock};
      IF to_regclass('${name}') IS NULL THEN
        CREATE TABLE IF NOT EXISTS ${name} (${columns.map(column => `${column.name} ${column.type} ${column.constraint}`).join(', ')}) WITH (fillfactor = 80);
      END IF;
    END $$`,
    columns: `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required, EXISTS (
        SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique AND indnkeyatts = 1 AND indkey[0] = attnum AND indpred IS NULL
      ) AS "unique"
      FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    createIndexes: `DO $$ DECLARE bare name; BEGIN
      ${lock};
      FOR bare IN SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('${name}') AND attname IN ('subject', 'expires_at')
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indkey[0] = attnum AND indpred IS NULL)
      LOOP
        EXECUTE format('CREATE INDEX ON ${name} (%I)', bare);
      END LOOP;
    END $$`
  }
}
