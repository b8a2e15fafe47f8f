import { DEFAULT_TABLE, type Row, tableName } from '../sql/columns.js'
import { hasNumber, INDEX_EXISTS, NO_ACCESS, NOT_ALLOWED, READ_ONLY, type MysqlRunner } from './database.js'
import { INDEXES, NAMES, statementsOn, typeOf, TYPES, type Statements } from './statements.js'

/** The options of `mysqlSchema`. */
export interface MysqlTableOptions {
  /** The store's table, `'auth_sessions'` by default: a name of a-z, 0-9 and _, or `'database.name'`. */
  readonly table?: string
}

/** The SQL that creates a store's table and its indexes, for migrations. Throws a TypeError for an invalid name. */
export function mysqlSchema ({ table = DEFAULT_TABLE }: MysqlTableOptions = {}): string {
  return `${statementsOn(tableName(table, 'mysqlSchema')).createTable};\n`
}

/** Creates the table if it is missing, and checks the server, the table and the user's rights. Rejects with a TypeError if they do not fit. */
export async function prepareTable (table: string, sql: Statements, db: MysqlRunner): Promise<{ readonly isMariaDB: boolean }> {
  try {
    return await prepare(table, sql, db)
  } catch (cause) {
    if (hasNumber(cause, NO_ACCESS)) throw new TypeError('mysqlStore: the server refuses the user, the password or the database of the pool: correct its options', { cause })
    throw hasNumber(cause, READ_ONLY) ? readOnly(cause) : cause
  }
}

/** No TypeError: a server that is read-only during a failover should not stop the start of an app. */
function readOnly (cause?: Error): Error {
  return new Error('mysqlStore: the server is read-only, as a replica is: the store needs the primary', { cause })
}

async function prepare (table: string, sql: Statements, db: MysqlRunner): Promise<{ readonly isMariaDB: boolean }> {
  const [server = {}] = await db.rows(sql.server)
  if (server['autocommit'] !== '1') throw new TypeError('mysqlStore: autocommit is off, so nothing that the store writes would be committed: switch it on for its connections')
  if (server['readonly'] !== '0') throw readOnly()
  const [name = '', schema = null] = table.split('.').reverse()
  if (schema === null && server['current'] === null) throw new TypeError('mysqlStore: its connections have no database: set "database" in their options, or the option "table" to "database.name"')
  await createTable(table, sql, db, server)
  assertColumns(table, await db.rows(sql.columns, schema, name))
  assertEngine(table, await db.rows(sql.engine, schema, name))
  await createIndexes(table, sql, db, await db.rows(sql.indexes, schema, name))
  await assertRights(sql, db, server)
  await db.write(sql.addCounter)
  return { isMariaDB: /mariadb/i.test(String(server['version'])) }
}

/** A user without CREATE can use a table that was made for it. */
async function createTable (table: string, sql: Statements, db: MysqlRunner, server: Row): Promise<void> {
  try {
    await db.write(sql.createTable)
  } catch (cause) {
    if (!hasNumber(cause, NOT_ALLOWED)) throw cause
    const [name = '', schema = null] = table.split('.').reverse()
    if ((await db.rows(sql.columns, schema, name)).length > 0) return
    throw new TypeError(`mysqlStore: the table "${table}" is missing, and this user may not create it: as a user with this right, run the SQL of mysqlSchema({ table: '${table}' }), and then: ${grant(Object.keys(sql.rights), sql.name, server)}`, { cause })
  }
}

function assertColumns (table: string, found: readonly Row[]): void {
  for (const field of Object.keys(TYPES) as Array<keyof typeof TYPES>) { // Object.keys is typed string[]
    const [name, actual] = [NAMES[field], found.find(column => column['name'] === NAMES[field])]
    if (actual !== undefined && fits(actual, field)) continue
    const is = actual === undefined ? 'missing' : `${actual['type']}${actual['length'] === null ? '' : `(${actual['length']})`}${actual['nullable'] === 'YES' ? '' : ' NOT NULL'}`
    throw new TypeError(`mysqlStore: the column "${name}" of the table "${table}" is ${is}, but must be ${typeOf(field)}: alter it, or set the option "table" to an unused name`)
  }
}

function fits ({ type, length, nullable }: Row, field: keyof typeof TYPES): boolean {
  const wanted = TYPES[field]
  const isBinary = ['varbinary', 'blob', 'mediumblob', 'longblob'].includes(String(type))
  const fitsType = wanted.type === 'bigint' ? type === 'bigint' : isBinary && Number(length) >= Number(wanted.length)
  return fitsType && (wanted.required || nullable === 'YES')
}

function assertEngine (table: string, [found]: readonly Row[]): void {
  if (/^(myisam|aria|memory|csv|archive)$/i.test(String(found?.['engine']))) {
    throw new TypeError(`mysqlStore: the table "${table}" has the engine ${found?.['engine']}, which has no transactions: ALTER TABLE … ENGINE=InnoDB`)
  }
}

async function createIndexes (table: string, sql: Statements, db: MysqlRunner, found: readonly Row[]): Promise<void> {
  if (!found.some(({ columns, repeats }) => columns === 'id' && repeats === '0')) {
    throw new TypeError(`mysqlStore: the column "id" of the table "${table}" must be its primary key or have a unique index of its own: add it, or set the option "table" to an unused name`)
  }
  for (const [nth, columns] of INDEXES.entries()) {
    if (found.some(index => index['columns'] === columns.join(','))) continue
    const statement = String(sql.createIndex[nth])
    try {
      await db.write(statement)
    } catch (cause) {
      if (hasNumber(cause, INDEX_EXISTS)) continue // another process made it meanwhile
      if (!hasNumber(cause, NOT_ALLOWED)) throw cause
      throw new TypeError(`mysqlStore: the table "${table}" lacks an index, and this user may not create it: as its owner, run: ${statement};`, { cause })
    }
  }
}

async function assertRights (sql: Statements, db: MysqlRunner, server: Row): Promise<void> {
  const missing: string[] = []
  for (const [right, statement] of Object.entries(sql.rights)) {
    try {
      await db.write(statement)
    } catch (cause) {
      if (!hasNumber(cause, NOT_ALLOWED)) throw cause
      missing.push(right)
    }
  }
  if (missing.length > 0) throw new TypeError(`mysqlStore: the user lacks rights on the table: as an administrator, run: ${grant(missing, sql.name, server)}`)
}

function grant (rights: readonly string[], name: string, server: Row): string {
  const [user, host] = String(server['user']).split('@')
  return `GRANT ${rights.join(', ')} ON ${name.includes('.') ? name : `\`${server['current']}\`.${name}`} TO '${user}'@'${host}';`
}
