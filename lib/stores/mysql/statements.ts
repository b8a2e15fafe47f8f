import { type Session } from '../../sessions/session.js'
import { COLUMNS, createSession, OWN_COLUMNS, OWNER_ID, ownRow, SESSION } from '../sql/session-table.js'
import { COUNTER_ID } from '../sql/store.js'
import { hex } from './database.js'

interface Column {
  readonly type: 'varbinary' | 'blob' | 'bigint'
  /** In bytes. */
  readonly length?: number
  readonly required: boolean
}

/**
 * Texts are bytes, since every collation but a binary one compares some texts that differ as equal: without case, without
 * accents, or without the spaces at their end. A subject has at most 255 characters.
 */
export const TYPES: Readonly<Record<keyof Session | 'revocation', Column>> = {
  id: { type: 'varbinary', length: 64, required: true },
  subject: { type: 'varbinary', length: 1020, required: true },
  generation: { type: 'bigint', required: true },
  previous: { type: 'bigint', required: false },
  rotatedAt: { type: 'bigint', required: true },
  createdAt: { type: 'bigint', required: true },
  expiresAt: { type: 'bigint', required: true },
  idleExpiresAt: { type: 'bigint', required: true },
  authTime: { type: 'bigint', required: true },
  userAgent: { type: 'blob', length: 65_535, required: false },
  ip: { type: 'varbinary', length: 255, required: false },
  revokedAt: { type: 'bigint', required: false },
  reason: { type: 'varbinary', length: 32, required: false },
  revocation: { type: 'bigint', required: false }
}

export const NAMES = { ...COLUMNS, revocation: 'revocation' } as const

/** NULLs are equal in an index, so the sessions of a subject that are not revoked stand together, by age. */
export const INDEXES = [['subject', 'revoked_at', 'created_at', 'id'], ['expires_at'], ['revocation', 'id']] as const

export function typeOf (field: keyof typeof TYPES): string {
  const { type, length, required } = TYPES[field]
  return `${type}${type === 'varbinary' ? `(${length})` : ''}${required ? ' NOT NULL' : ''}`
}

export type Statements = ReturnType<typeof statementsOn>

export function statementsOn (table: string) {
  const name = table.split('.').map(part => `\`${part}\``).join('.') // it may be a reserved word
  return { name, ...tableStatements(name), ...sessionStatements(name), ...revocationStatements(name), ...ownerStatements(name) }
}

function tableStatements (name: string) {
  const fields = Object.keys(TYPES) as Array<keyof typeof TYPES> // Object.keys is typed string[]
  const lines = [
    ...fields.map(field => `${NAMES[field]} ${typeOf(field)}`),
    'PRIMARY KEY (id)',
    ...INDEXES.map(columns => `KEY by_${columns[0]} (${columns.join(', ')})`)
  ]
  const updated = Object.values(NAMES).filter(column => !UNCHANGED.includes(column)).map(column => `${column} = ${column}`).join(', ')
  return {
    createTable: `CREATE TABLE IF NOT EXISTS ${name} (\n  ${lines.join(',\n  ')}\n) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
    createIndex: INDEXES.map(columns => `CREATE INDEX by_${columns[0]} ON ${name} (${columns.join(', ')})`),
    // These statements match no session; their errors show which rights are missing.
    rights: {
      SELECT: `SELECT ${SESSION} FROM ${name} WHERE id = ''`,
      INSERT: `INSERT INTO ${name} (${SESSION}, revocation) SELECT ${SESSION}, revocation FROM ${name} WHERE id = ''`,
      UPDATE: `UPDATE ${name} SET ${updated} WHERE id = ''`,
      DELETE: `DELETE FROM ${name} WHERE id = ''`
    },
    server: 'SELECT version() AS version, @@autocommit AS autocommit, @@read_only OR @@innodb_read_only AS readonly, database() AS current, current_user() AS user',
    columns: `SELECT column_name AS name, data_type AS type, character_octet_length AS length, is_nullable AS nullable FROM information_schema.columns
      WHERE table_schema = coalesce($1, database()) AND table_name = $2`,
    indexes: `SELECT group_concat(column_name ORDER BY seq_in_index) AS columns, max(non_unique) AS repeats FROM information_schema.statistics
      WHERE table_schema = coalesce($1, database()) AND table_name = $2 GROUP BY index_name`,
    engine: 'SELECT engine FROM information_schema.tables WHERE table_schema = coalesce($1, database()) AND table_name = $2'
  }
}

const UNCHANGED: readonly string[] = ['id', 'subject', 'created_at', 'expires_at', 'ip']

function sessionStatements (name: string) {
  const rotation = 'generation = $3, previous = $4, rotated_at = $5, idle_expires_at = $6'
  const current = 'id = $1 AND generation = $2 AND revoked_at IS NULL'
  return {
    create: createSession(name),
    get: `SELECT ${SESSION} FROM ${name} WHERE id = $1`,
    // An UPDATE that returns its row, in one round trip: only MariaDB has RETURNING, and not for UPDATE.
    advance: `INSERT INTO ${name} (${SESSION}) SELECT ${SESSION} FROM ${name} AS old WHERE ${current} FOR UPDATE
      ON DUPLICATE KEY UPDATE ${rotation}, auth_time = coalesce($7, old.auth_time) RETURNING ${SESSION}`,
    // Its LAST_INSERT_ID is auth_time + 1: 0 if no row was found. Clients may count changed rows only, so their count does not matter.
    advanceWithoutReturning: `UPDATE ${name} SET ${rotation}, auth_time = last_insert_id(coalesce($7, auth_time) + 1) - 1 WHERE ${current}`,
    list: `SELECT ${SESSION} FROM ${name}
      WHERE subject = $1 AND revoked_at IS NULL AND created_at >= $2 AND (created_at > $2 OR id > $3) AND least(idle_expires_at, expires_at) > $4
      ORDER BY created_at, id LIMIT $5`,
    purge: `DELETE FROM ${name} WHERE expires_at < $1 ORDER BY expires_at LIMIT $2`,
    // Whatever the time zone of the connection.
    now: "SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) / 1000000 AS now"
  }
}

function revocationStatements (name: string) {
  const id = hex(COUNTER_ID)
  // The counter is locked last, so that a locked session delays no other revocation.
  const end = (counterId: string) => `LEFT JOIN ${name} AS counter ON counter.id = ${counterId}
      SET s.revoked_at = $2, s.reason = $3, s.revocation = last_insert_id(counter.revocation + 1), counter.revocation = counter.revocation + 1`
  return {
    revoke: `UPDATE ${name} AS s ${end(id)} WHERE s.id = $1 AND s.revoked_at IS NULL`,
    revokeAll: `UPDATE (
        SELECT id FROM ${name} WHERE subject = $1 AND revoked_at IS NULL AND NOT (id <=> $4) ORDER BY created_at, id LIMIT $5 FOR UPDATE
      ) AS batch JOIN ${name} AS s ON s.id = batch.id ${end(`if(s.id IS NULL, NULL, ${id})`)} WHERE s.revoked_at IS NULL`,
    addCounter: `INSERT IGNORE INTO ${name} (${OWN_COLUMNS}, revocation)
      SELECT ${ownRow(id)}, coalesce(max(revocation), 0) FROM ${name}`,
    // The counter and the new revocations, in one snapshot.
    readRevoked: `(SELECT id, revocation AS number FROM ${name} WHERE id = ${id}) UNION ALL (
        SELECT id, revocation FROM ${name} WHERE revocation >= $1 AND (revocation > $1 OR id > $2) AND id <> ${id} ORDER BY revocation, id LIMIT $3
      )`
  }
}

function ownerStatements (name: string) {
  const id = hex(OWNER_ID)
  return {
    readOwner: `SELECT user_agent AS owner FROM ${name} WHERE id = ${id}`,
    addOwner: `INSERT IGNORE INTO ${name} (${OWN_COLUMNS}, user_agent)
      VALUES (${ownRow(id)}, $1)`,
    replaceOwner: `UPDATE ${name} SET user_agent = $1 WHERE id = ${id} AND user_agent = $2`,
    removeOwner: `DELETE FROM ${name} WHERE id = '${OWNER_ID}';`
  }
}
