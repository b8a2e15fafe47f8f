import { DEFAULT_TABLE, tableName } from '../sql/columns.js'
import { hasCode, type RunStatement } from './database.js'
import { assertColumns, assertRights, GRANTED, schemaOf, type FoundColumn, type Statements } from './statements.js'

/** The options of `postgresSchema`. */
export interface PostgresTableOptions {
  /** The store's table, `'auth_sessions'` by default: a name of a-z, 0-9 and _, or `'schema.name'`. */
  readonly table?: string
}

/** The SQL that creates a store's table and its indexes, for migrations. Throws a TypeError for an invalid name. */
export function postgresSchema ({ table = DEFAULT_TABLE }: PostgresTableOptions = {}): string {
  return schemaOf(tableName(table, 'postgresSchema'))
}

/** Creates the table if it is missing, and checks its columns and the user's rights. */
export async function prepareTable (table: string, sql: Statements, run: RunStatement): Promise<void> {
  await createTable(table, sql, run)
  const found = await run(sql.columns, [sql.name]) as FoundColumn[] // the columns of that statement
  assertColumns(table, found)
  assertRights(sql.name, found)
  await createIndexes(table, sql, run)
}

async function createTable (table: string, sql: Statements, run: RunStatement): Promise<void> {
  try {
    await run(sql.createTable, [])
  } catch (cause) {
    if (hasCode(cause, NO_ACCESS)) throw new TypeError('postgresStore: the server refuses the user, the password or the database of the pool: correct its connection string', { cause })
    if (hasCode(cause, [PROTOCOL_VIOLATION]) && /startup parameter/.test(cause.message)) throw refusedByPooler(cause)
    if (!hasCode(cause, NOT_ALLOWED)) throw cause
    const [row] = await run('SELECT quote_ident(current_user) AS role', []) as ReadonlyArray<{ role: string }>
    const schema = table.includes('.') ? sql.name.split('.')[0] : 'public'
    throw new TypeError(`postgresStore: the table "${table}" is missing, and this user may not create it or may not use its schema: as a user with these rights, run the SQL of postgresSchema({ table: '${table}' }), and then: GRANT USAGE ON SCHEMA ${schema} TO ${row?.role}; GRANT ${GRANTED.join(', ')} ON ${sql.name} TO ${row?.role};`, { cause })
  }
}

async function createIndexes (table: string, sql: Statements, run: RunStatement): Promise<void> {
  try {
    await run(sql.createIndexes, [])
  } catch (cause) {
    if (!hasCode(cause, NOT_ALLOWED)) throw cause
    throw new TypeError(`postgresStore: the table "${table}" lacks an index, and this user may not create it: as the owner of the table, run the statements for the missing indexes: ${sql.indexes.join(' ')}`, { cause })
  }
}

/** PgBouncer rejects settings that it cannot keep per client. */
function refusedByPooler (cause: Error): TypeError {
  return new TypeError("postgresStore: a pooler rejects \"statement_timeout\", or another setting that the pool sends with each new connection: leave it out of the pool's options and set it in the database, such as ALTER ROLE app SET statement_timeout = '5s'", { cause })
}

/**
 * Errors of PostgreSQL: invalid_authorization_specification, invalid_password and invalid_catalog_name; protocol_violation;
 * insufficient_privilege and invalid_schema_name.
 */
const NO_ACCESS = ['28000', '28P01', '3D000']
const PROTOCOL_VIOLATION = '08P01'
const NOT_ALLOWED = ['42501', '3F000']
