import t from 'tap'
import { memoryStore } from '../../lib/stores/memory.js'
import { mysqlStore } from '../../lib/stores/mysql/index.js'
import { postgresStore } from '../../lib/stores/postgres/index.js'
import { redisStore } from '../../lib/stores/redis/index.js'
import { sqliteStore } from '../../lib/stores/sqlite/index.js'

const db = { query: async () => ({ rows: [], rowCount: 0 }) }
const client = { eval: async () => null, duplicate () { return client } }

/** How somebody without TypeScript would make each store. */
const STORES: Readonly<Record<string, (options: object) => unknown>> = {
  memoryStore: options => memoryStore(options),
  mysqlStore: options => mysqlStore({ query: async () => [], connection: {} } as never, options),
  postgresStore: options => postgresStore(db as never, options),
  redisStore: options => redisStore(client as never, options),
  sqliteStore: options => sqliteStore({ prepare () {}, exec () {} } as never, options)
}

for (const [name, make] of Object.entries(STORES)) {
  t.test(`${name} refuses unknown options and a wrong clock at start`, async t => {
    t.throws(() => make({ clok: () => 1 }), { name: 'TypeError', message: `${name}: unknown option "clok"; did you mean "clock"?` })
    t.throws(() => make({ clock: 1 }), { name: 'TypeError', message: `${name}: option "clock" is 1: it must be a function` })
    t.throws(() => make({ clock: () => Date.now() }), { name: 'TypeError', message: new RegExp(`^${name}: option "clock" .*seconds since the epoch`) })
  })
}
