import { type Session } from '../../sessions/session.js'
import { advanceReturning, COLUMNS, createSession, FIELDS, OWN_COLUMNS, ownerStatements, ownRow, SESSION } from '../sql/session-table.js'
import { COUNTER_ID } from '../sql/store.js'

/** The types of the columns. SQLite compares text byte by byte, unless a column has another collation. */
export const TYPES: Readonly<Record<keyof Session, string>> = {
  id: 'TEXT NOT NULL PRIMARY KEY',
  subject: 'TEXT NOT NULL',
  generation: 'INTEGER NOT NULL',
  previous: 'INTEGER',
  rotatedAt: 'INTEGER NOT NULL',
  createdAt: 'INTEGER NOT NULL',
  expiresAt: 'INTEGER NOT NULL',
  idleExpiresAt: 'INTEGER NOT NULL',
  authTime: 'INTEGER NOT NULL',
  userAgent: 'TEXT',
  ip: 'TEXT',
  revokedAt: 'INTEGER',
  reason: 'TEXT'
}

export type Statements = ReturnType<typeof statementsOn>

export function statementsOn (table: string) {
  const name = `"${table}"` // it may be a reserved word
  return { name, ...tableStatements(table, name), ...sessionStatements(name), ...revocationStatements(name), ...ownerStatements(name) }
}

function tableStatements (table: string, name: string) {
  const columns = FIELDS.map(field => `${COLUMNS[field]} ${TYPES[field]}`)
  return {
    schema: [
      `CREATE TABLE IF NOT EXISTS ${name} (\n  ${[...columns, 'revocation INTEGER'].join(',\n  ')}\n) STRICT;`,
      `CREATE INDEX IF NOT EXISTS "${table}_subject" ON ${name} (subject, created_at, id) WHERE revoked_at IS NULL;`,
      `CREATE INDEX IF NOT EXISTS "${table}_expires_at" ON ${name} (expires_at);`,
      `CREATE INDEX IF NOT EXISTS "${table}_revocation" ON ${name} (revocation, id) WHERE revocation IS NOT NULL;`
    ].join('\n'),
    columns: `SELECT name, upper(type) || iif("notnull", ' NOT NULL', '') || iif(pk, ' PRIMARY KEY', '') AS type FROM pragma_table_info('${table}')`,
    definition: `SELECT sql FROM sqlite_master WHERE name = '${table}'`
  }
}

function sessionStatements (name: string) {
  return {
    create: `${createSession(name)} RETURNING id`,
    get: `SELECT ${SESSION} FROM ${name} WHERE id = $1`,
    advance: advanceReturning(name, SESSION),
    list: `SELECT ${SESSION} FROM ${name}
      WHERE subject = $1 AND revoked_at IS NULL AND (created_at, id) > ($2, $3) AND min(idle_expires_at, expires_at) > $4
      ORDER BY created_at, id LIMIT $5`,
    purge: `DELETE FROM ${name} WHERE id IN (SELECT id FROM ${name} WHERE expires_at < $1 LIMIT $2) RETURNING id`,
    now: "SELECT (julianday('now') - 2440587.5) * 86400 AS now"
  }
}

function revocationStatements (name: string) {
  const counter = `(SELECT revocation FROM ${name} WHERE id = '${COUNTER_ID}')`
  const end = `UPDATE ${name} SET revoked_at = $2, reason = $3, revocation = ${counter} + 1`
  return {
    revoke: `${end} WHERE id = $1 AND revoked_at IS NULL RETURNING id`,
    revokeAll: `${end} WHERE id IN (
        SELECT id FROM ${name} WHERE subject = $1 AND revoked_at IS NULL AND id IS NOT $4 ORDER BY created_at, id LIMIT $5
      ) RETURNING id`,
    // Writers take turns, so the numbers become visible in their order.
    count: `UPDATE ${name} SET revocation = revocation + 1 WHERE id = '${COUNTER_ID}' RETURNING id`,
    addCounter: `INSERT INTO ${name} (${OWN_COLUMNS}, revocation)
      VALUES (${ownRow(`'${COUNTER_ID}'`)}, (SELECT coalesce(max(revocation), 0) FROM ${name}))
      ON CONFLICT DO NOTHING RETURNING id`,
    readCounter: `SELECT revocation AS newest FROM ${name} WHERE id = '${COUNTER_ID}'`,
    readRevoked: `SELECT id, revocation AS number FROM ${name}
      WHERE revocation IS NOT NULL AND (revocation, id) > ($1, $2) AND id <> '${COUNTER_ID}' ORDER BY revocation, id LIMIT $3`
  }
}
