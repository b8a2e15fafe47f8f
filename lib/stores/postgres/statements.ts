import { type Session } from '../../sessions/session.js'
import { advanceReturning, COLUMNS, createSession, FIELDS, ownerStatements, type Row } from '../sql/session-table.js'

interface Column {
  readonly type: 'text' | 'bigint'
  readonly constraint: 'PRIMARY KEY' | 'NOT NULL' | ''
}

/** Times are bigint, since 32-bit seconds end in 2038. */
const TYPES: Readonly<Record<keyof Session, Column>> = {
  id: { type: 'text', constraint: 'PRIMARY KEY' },
  subject: { type: 'text', constraint: 'NOT NULL' },
  generation: { type: 'bigint', constraint: 'NOT NULL' },
  previous: { type: 'bigint', constraint: '' },
  rotatedAt: { type: 'bigint', constraint: 'NOT NULL' },
  createdAt: { type: 'bigint', constraint: 'NOT NULL' },
  expiresAt: { type: 'bigint', constraint: 'NOT NULL' },
  idleExpiresAt: { type: 'bigint', constraint: 'NOT NULL' },
  authTime: { type: 'bigint', constraint: 'NOT NULL' },
  userAgent: { type: 'text', constraint: '' },
  ip: { type: 'text', constraint: '' },
  revokedAt: { type: 'bigint', constraint: '' },
  reason: { type: 'text', constraint: '' }
}

/** A column as it is in the database, with the user's rights on it. */
export interface FoundColumn extends Row {
  readonly name: string
  readonly type: string
  readonly required: boolean
  readonly unique: boolean
  /** The current user, quoted. */
  readonly role: string
  /** DELETE is a right on the whole table. */
  readonly SELECT: boolean
  readonly INSERT: boolean
  readonly UPDATE: boolean
  readonly DELETE: boolean
}

export const GRANTED = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const

/** The columns that UPDATE statements write. */
const UPDATED: ReadonlyArray<keyof Session> = ['generation', 'previous', 'rotatedAt', 'idleExpiresAt', 'authTime', 'revokedAt', 'reason', 'userAgent']

/** Throws a TypeError with the SQL that grants what the user lacks. */
export function assertRights (name: string, found: readonly FoundColumn[]): void {
  const lacks = (right: typeof GRANTED[number]): boolean => FIELDS
    .filter(field => right !== 'UPDATE' || UPDATED.includes(field))
    .some(field => found.some(column => column.name === COLUMNS[field] && !column[right]))
  const missing = GRANTED.filter(lacks).join(', ')
  const role = found[0]?.role
  if (missing !== '') throw new TypeError(`postgresStore: the user ${role} lacks rights on the table: as its owner, run: GRANT ${missing} ON ${name} TO ${role};`)
}

export function assertColumns (table: string, found: readonly FoundColumn[]): void {
  for (const field of FIELDS) {
    const [name, column] = [COLUMNS[field], TYPES[field]]
    const actual = found.find(column => column.name === name)
    if (actual !== undefined && fits(actual, column)) continue
    const is = actual === undefined ? 'missing' : actual.type + (actual.required ? ' NOT NULL' : '')
    const wanted = `${column.type} ${column.constraint}`.trimEnd()
    throw new TypeError(`postgresStore: the column "${name}" of the table "${table}" is ${is}, but must be ${wanted}: alter it, or set the option "table" to an unused name`)
  }
}

/** A column with a maximum length would reject some sessions. */
function fits ({ type, required, unique }: FoundColumn, column: Column): boolean {
  if (type !== column.type && !(type === 'character varying' && column.type === 'text')) return false
  if (column.constraint === 'PRIMARY KEY') return unique
  return column.constraint === 'NOT NULL' || !required
}

export function schemaOf (table: string): string {
  const { createBare, indexes } = statementsOn(table)
  return `${createBare};\n${indexes.join('\n')}\n`
}

export type Statements = ReturnType<typeof statementsOn>

/** The order of a list. The collation makes it independent of the database's locale. */
const AGE = 'created_at, id COLLATE "C"'

/** Spelled as pg_get_indexdef spells it. Revoked sessions are not in it, and cost a list nothing. */
const LIST_INDEX = `(subject, ${AGE}) WHERE (revoked_at IS NULL)`

/**
 * Hides a value from the planner. With statistics that predate a flood of logins it expects few sessions of a user, and
 * would sort all of them for each part: 0.5 s for 100,000 sessions, and 3 ms with the index.
 */
function unplanned (parameter: string): string {
  return `(SELECT ${parameter})`
}

// One column, since drivers parse each column separately: thirteen columns took a tenth of the time of a refresh.
const SESSION = `json_build_object(${FIELDS.map(field => `'${field}', ${COLUMNS[field]}`).join(', ')})::text AS session`

/** A row holds its session as JSON in one column. */
export function sessionOf ({ session }: Row): Session {
  return JSON.parse(String(session)) as Session // assertColumns has checked the columns
}

export function statementsOn (table: string) {
  const name = table.split('.').map(part => `"${part}"`).join('.') // it may be a reserved word
  return { name, ...tableStatements(name), ...sessionStatements(name), ...revocationStatements(name), ...ownerStatements(name) }
}

/**
 * Each method of the store is one statement, so it is atomic without a transaction and takes one round trip. A rotation
 * writes to no indexed column, and the fillfactor leaves room in each page, so it is a heap-only update (HOT).
 */
function sessionStatements (name: string) {
  return {
    create: createSession(name),
    get: `SELECT ${SESSION} FROM ${name} WHERE id = $1`,
    advance: advanceReturning(name, SESSION),
    list: `SELECT ${SESSION} FROM ${name}
      WHERE subject = ${unplanned('$1')} AND revoked_at IS NULL AND (${AGE}) > ($2, $3) AND least(idle_expires_at, expires_at) > $4
      ORDER BY ${AGE} LIMIT ${unplanned('$5::bigint')}`,
    now: 'SELECT extract(epoch FROM clock_timestamp())::float8 AS now',
    // Rows locked by another transaction are left to the next purge.
    purge: `DELETE FROM ${name} WHERE id = ANY (ARRAY(
      SELECT id FROM ${name} WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )) RETURNING id`
  }
}

function revocationStatements (name: string) {
  // The table that the name resolves to on this connection: with one schema per tenant, tables share a name.
  const channel = `(SELECT 'revoked_' || left(encode(sha256(convert_to(relnamespace::regnamespace || '.' || relname, 'UTF8')), 'hex'), 40)
    FROM pg_class WHERE oid = to_regclass('${name}'))`
  return {
    // NOTIFY is transactional: other processes are notified at the commit.
    revoke: `WITH ended AS (
        UPDATE ${name} SET revoked_at = $2, reason = $3 WHERE id = $1 AND revoked_at IS NULL RETURNING id
      ) SELECT pg_notify(${channel}, $4), 1 AS count FROM ended`,
    // Each call commits a batch. It waits for locked rows, since a count of 0 must mean that no session is left, and locks
    // rows in one order, so that two calls cannot deadlock.
    revokeAll: `WITH batch AS (
        SELECT id FROM ${name} WHERE subject = ${unplanned('$1')} AND revoked_at IS NULL AND id IS DISTINCT FROM $5
        ORDER BY ${AGE} LIMIT ${unplanned('$6::bigint')} FOR UPDATE
      ), ended AS (
        UPDATE ${name} SET revoked_at = $2, reason = $3 WHERE id = ANY (ARRAY(SELECT id FROM batch)) RETURNING id
      ), ends AS (SELECT count(*) AS count FROM ended)
      SELECT count, CASE WHEN count > 0 THEN pg_notify(${channel}, $4) END FROM ends`,
    channel: `SELECT ${channel} AS channel`,
    send: `SELECT pg_notify(${channel}, $1)`
  }
}

/** Otherwise two processes that start at once would both create the table, and one would fail. */
const LOCK = "PERFORM pg_advisory_xact_lock(hashtext('fastify-refresh-cookie'))"

function tableStatements (name: string) {
  const createBare = `CREATE TABLE ${name} (
  ${FIELDS.map(field => `${COLUMNS[field]} ${TYPES[field].type} ${TYPES[field].constraint}`.trimEnd()).join(',\n  ')}
) WITH (fillfactor = 80)`
  return {
    createBare,
    indexes: [LIST_INDEX, '(expires_at)'].map(columns => `CREATE INDEX ON ${name} ${columns};`),
    // An existing table is left alone, so a user without CREATE can use one that was created for it.
    createTable: `DO $$ BEGIN
      ${LOCK};
      IF to_regclass('${name}') IS NULL THEN
        ${createBare.replace('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS')};
      END IF;
    END $$`,
    columns: `SELECT attname AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS required, EXISTS (
        SELECT FROM pg_index WHERE indrelid = attrelid AND indisunique AND indnkeyatts = 1 AND indkey[0] = attnum AND indpred IS NULL
      ) AS "unique", quote_ident(current_user) AS role,
        ${GRANTED.map(right => `${right === 'DELETE' ? `has_table_privilege(attrelid, '${right}')` : `has_column_privilege(attrelid, attnum, '${right}')`} AS "${right}"`).join(', ')}
      FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    createIndexes: `DO $$ DECLARE bare name; BEGIN
      ${LOCK};
      IF NOT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass('${name}') AND pg_get_indexdef(indexrelid) LIKE '%${LIST_INDEX}') THEN
        CREATE INDEX ON ${name} ${LIST_INDEX};
      END IF;
      FOR bare IN SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('${name}') AND attname = 'expires_at'
        AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND indkey[0] = attnum AND indpred IS NULL)
      LOOP
        EXECUTE format('CREATE INDEX ON ${name} (%I)', bare);
      END LOOP;
    END $$`
  }
}
