import { COLUMNS, DEFAULT_TABLE, FIELDS, tableName } from '../sql/columns.js'
import { hasResult, READONLY, type SqliteRunner } from './database.js'
import { statementsOn, TYPES, type Statements } from './statements.js'

/** The options of `sqliteSchema`. */
export interface SqliteTableOptions {
  /** The store's table, `'auth_sessions'` by default: a name of a-z, 0-9 and _. */
  readonly table?: string
}

/** The SQL that creates a store's table and its indexes, for migrations. Throws a TypeError for an invalid name. */
export function sqliteSchema ({ table = DEFAULT_TABLE }: SqliteTableOptions = {}): string {
  return `${statementsOn(tableName(table, 'sqliteSchema', 'without schema')).schema}\n`
}

/**
 * Creates the table and its indexes where they are missing, and checks its columns. Sets the journal mode WAL, with which
 * readers and a writer do not wait for each other. Throws a TypeError if the table or the database cannot be used.
 */
export function prepareTable (table: string, sql: Statements, db: SqliteRunner): void {
  db.readBusyTimeout()
  try {
    db.run('PRAGMA journal_mode = WAL')
    db.exec(sql.schema)
    db.run(sql.addCounter)
  } catch (cause) {
    if (hasResult(cause, READONLY)) throw new TypeError('sqliteStore: the database is read-only: open it, and its folder, for writing', { cause })
    assertColumns(table, sql, db) // an index on a column that is missing
    throw cause
  }
  assertColumns(table, sql, db)
}

function assertColumns (table: string, sql: Statements, db: SqliteRunner): void {
  const found = new Map(db.run(sql.columns).map(({ name, type }) => [name, type]))
  const wanted = [...FIELDS.map(field => [COLUMNS[field], TYPES[field]] as const), ['revocation', 'INTEGER'] as const]
  for (const [name, type] of wanted) {
    if (found.get(name) === type) continue
    throw new TypeError(`sqliteStore: the column "${name}" of the table "${table}" is ${found.get(name) ?? 'missing'}, but must be ${type}: alter it, or set the option "table" to an unused name`)
  }
  const [definition] = db.run(sql.definition)
  if (/\bcollate\b/i.test(String(definition?.['sql']))) {
    throw new TypeError(`sqliteStore: the table "${table}" has a column with a collation, which would mix ids or accounts that differ: make it without COLLATE, or set the option "table" to an unused name`)
  }
}
