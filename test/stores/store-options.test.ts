import t from 'tap'
import { memoryStore } from '../../lib/stores/memory.js'
import { mysqlStore } from '../../lib/stores/mysql/index.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore } from '../../lib/stores/redis/index.js'
import { sqliteStore } from '../../lib/stores/sqlite/index.js'

const queries: unknown[] = []

/** Records the statements that reach a database. */
const query = async (text: unknown) => {
  queries.push(text)
  return { rows: [], rowCount: 0 }
}

const client = { eval: async () => null, duplicate () { return client } }

interface Kind {
  /** Makes a store without type checks. */
  make (db: unknown, options?: object): unknown
  readonly db: unknown
  /** Anything but a database, and a pattern of what to pass instead. */
  readonly others: readonly unknown[]
  readonly advice: RegExp
}

const SQL_STORES: Readonly<Record<string, Kind>> = {
  mysqlStore: {
    make: (db, options) => mysqlStore(db as never, options),
    db: { query, connection: {} },
    others: ['mysql://localhost/test', { query () {} }, { getConnection () {}, query () {} }],
    advice: /mysql2/
  },
  postgresStore: {
    make: (db, options) => postgresStore(db as never, options),
    db: { query },
    others: ['postgres://localhost/test'],
    advice: /pass a Pool of pg/
  },
  sqliteStore: {
    make: (db, options) => sqliteStore(db as never, options),
    db: { prepare: query, exec: query },
    others: ['app.db', { prepare () {} }],
    advice: /better-sqlite3/
  }
}

const DATABASE_STORES: Readonly<Record<string, Kind>> = {
  ...SQL_STORES,
  redisStore: {
    make: (db, options) => redisStore(db as never, options),
    db: client,
    others: ['redis://localhost', { eval () {} }],
    advice: /ioredis/
  }
}

const STORES: Readonly<Record<string, Pick<Kind, 'make' | 'db'>>> = {
  ...DATABASE_STORES,
  memoryStore: { make: (_db, options) => memoryStore(options), db: undefined }
}

for (const [name, { make, db }] of Object.entries(STORES)) {
  t.test(`${name} refuses unknown options and a wrong clock at start`, async t => {
    t.throws(() => make(db, { clok: () => 1 }), { name: 'TypeError', message: `${name}: unknown option "clok"; did you mean "clock"?` })
    t.throws(() => make(db, { clock: 1 }), { name: 'TypeError', message: `${name}: option "clock" is 1: it must be a function` })
    t.throws(() => make(db, { clock: () => Date.now() }), { name: 'TypeError', message: new RegExp(`^${name}: option "clock" .*seconds since the epoch`) })
  })
}

for (const [name, { make, others, advice }] of Object.entries(DATABASE_STORES)) {
  t.test(`${name} refuses anything but a database`, async t => {
    for (const db of [undefined, null, {}, ...others]) t.throws(() => make(db), { name: 'TypeError', message: advice })
  })
}

const WRONG_TABLES = [
  '', 'Sessions', '1a', 'a b', 'a-b', 'a"b', 'a;b', "a'b", 'a`b', 'a.b.c', 'a.', '.a', 'ä', 'a\n', 'a'.repeat(64), '$1', 'a$b',
  null, 1, {}, ['a']
]

for (const [name, { make, db }] of Object.entries(SQL_STORES)) {
  t.test(`SQL injection: ${name} refuses an invalid table name, and sends no query`, async t => {
    const tables = name === 'sqliteStore' ? [...WRONG_TABLES, 'main.a'] : WRONG_TABLES
    for (const table of tables) t.throws(() => make(db, { table }), { name: 'TypeError', message: /"table"/ }, JSON.stringify(table))
    t.same(queries, [])
  })
}

t.test('the types refuse anything but a database, and a table name that is no string', async t => {
  // @ts-expect-error: a connection string is no pool
  t.throws(() => mysqlStore('mysql://localhost/test'), TypeError)
  // @ts-expect-error: a connection string is no pool
  t.throws(() => postgresStore('postgres://localhost/test'), TypeError)
  // @ts-expect-error: a connection string is no client
  t.throws(() => redisStore('redis://localhost'), TypeError)
  // @ts-expect-error: a path is no database
  t.throws(() => sqliteStore('app.db'), TypeError)
  // @ts-expect-error: a name is a string
  t.throws(() => postgresStore({ query }, { table: 1 }), TypeError)
})
