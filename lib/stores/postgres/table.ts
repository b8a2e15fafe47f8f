import { hasCode, type RunStatement } from './database.js'
import { assertColumns, assertRights, GRANTED, schemaOf, type FoundColumn, type Statements } from './statements.js'

/** How the table of a store is named. */
export interface PostgresTableOptions {
  /** Its table, `'auth_sessions'` by default: a name of a-z, 0-9 and _, or `'schema.name'`. */
  readonly table?: string
}

/** The SQL that makes the table of a store and its indexes, for migrations. A TypeError for a name that is none. */
export function postgresSchema ({ table = DEFAULT_TABLE }: PostgresTableOptions = {}): string {
  return schemaOf(tableName(table, 'postgresSchema'))
}

/** What the table is called by default. */
export const DEFAULT_TABLE = 'auth_sessions'

const TABLE = /^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$/

/** The name, if it is one. */
export function tableName (table: unknown, caller: string): string {
  if (typeof table === 'string' && TABLE.test(table)) return table
  throw new TypeError(`${caller}: the option "table" is "${String(table)}": set it to a name of a-z, 0-9 and _ that is at most 63 characters long, or to "schema.name" of two such`)
}

/** Makes the table where it is missing, and checks it and the rights on it. A TypeError has the way out. */
export async function prepareTable (table: string, sql: Statements, run: RunStatement): Promise<void> {
  await makeTable(table, sql, run)
  const found = await run(sql.columns, [sql.name]) as FoundColumn[] // what that statement selects
  assertColumns(table, found)
  assertRights(sql.name, found)
  await makeIndexes(table, sql, run)
}

async function makeTable (table: string, sql: Statements, run: RunStatement): Promise<void> {
  try {
    await run(sql.createTable, [])
  } catch (cause) {
    if (hasCode(cause, [PROTOCOL_VIOLATION]) && /startup parameter/.test(cause.message)) throw refusedByPooler(cause)
    if (!hasCode(cause, MAY_NOT_MAKE)) throw cause
    const [row] = await run('SELECT quote_ident(current_user) AS role', []) as ReadonlyArray<{ role: string }>
    const schema = table.includes('.') ? sql.name.split('.')[0] : 'public'
    throw new TypeError(`postgresStore: the table "${table}" is missing and this user may not make it, or may not use its schema: as a user who may, run what postgresSchema({ table: '${table}' }) gives, and then: GRANT USAGE ON SCHEMA ${schema} TO ${row?.role}; GRANT ${GRANTED.join(', ')} ON ${sql.name} TO ${row?.role};`, { cause })
  }
}

async function makeIndexes (table: string, sql: Statements, run: RunStatement): Promise<void> {
  try {
    await run(sql.createIndexes, [])
  } catch (cause) {
    if (!hasCode(cause, MAY_NOT_MAKE)) throw cause
    throw new TypeError(`postgresStore: the table "${table}" lacks an index and this user may not make it: as its owner, run those of these that are missing: ${sql.indexes.join(' ')}`, { cause })
  }
}

/** What PgBouncer says of a setting that it cannot keep for each of its clients. */
function refusedByPooler (cause: Error): TypeError {
  return new TypeError("postgresStore: a pooler refuses \"statement_timeout\", or another setting that the pool sends at the start of each connection: leave it out of the pool's options and set it in the database, such as ALTER ROLE app SET statement_timeout = '5s'", { cause })
}

/** Errors of PostgreSQL: protocol_violation; insufficient_privilege and invalid_schema_name. */
const PROTOCOL_VIOLATION = '08P01'
const MAY_NOT_MAKE = ['42501', '3F000']
