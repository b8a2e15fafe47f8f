// One of several processes of an app: sessions in a shared database, and a clock that the test sets.
// The first argument is the database. It sends its port to its parent, and then executes commands.
import Fastify from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { mysqlStore } from 'fastify-refresh-cookie/mysql'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { sqliteStore } from 'fastify-refresh-cookie/sqlite'

const { engine, connection, options } = JSON.parse(process.argv[2])
let now = options.now
const clock = () => now

/** The index of the last command, and whether it still takes effect. */
let last = { nth: 0, moment: 'after' }
let commands = 0

/** A command to the session store, at which this process may die. */
async function mortal (command) {
  const isLast = await begin()
  const answer = await command()
  return isLast ? await die() : answer
}

/** Counts a command; whether it is the last one. */
async function begin () {
  const isLast = ++commands === last.nth
  return isLast && last.moment === 'before' ? await die() : isLast
}

function die () {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

/** Connection of each engine: its store, and its disconnect function. */
const ENGINES = {
  async ioredis () {
    const { Redis } = await import('ioredis')
    const client = new Redis({ ...connection, enableOfflineQueue: false, maxRetriesPerRequest: 0 })
    client.on('error', () => {})
    const watched = Object.create(client, { evalsha: { value: (...args) => mortal(() => client.evalsha(...args)) } })
    return { store: redisStore(watched, { clock, prefix: options.prefix }), close: () => client.disconnect() }
  },

  async mysql () {
    const { default: mysql } = await import('mysql2/promise')
    const pool = mysql.createPool(connection)
    // A command begins with a connection of the pool.
    const getConnection = async () => {
      const isLast = await begin()
      const lent = await pool.getConnection()
      const query = async (...args) => {
        const answer = await lent.query(...args)
        return isLast ? await die() : answer
      }
      return Object.create(lent, { query: { value: query } })
    }
    return { store: mysqlStore(Object.create(pool, { getConnection: { value: getConnection } }), { clock, timeoutMs: 60_000, pollEveryMs: options.pollEveryMs }), close: () => pool.end() }
  },

  async sqlite () {
    const { default: Database } = await import('better-sqlite3')
    const db = new Database(connection.file, { timeout: 60_000 })
    return { store: sqliteStore(db, { clock }), close: () => db.close() }
  },

  async postgres () {
    const { default: pg } = await import('pg')
    const pool = new pg.Pool({ ...connection, statement_timeout: 60_000, query_timeout: 60_000, connectionTimeoutMillis: 60_000 })
    pool.on('error', () => {})
    const watch = db => Object.create(db, { query: { value: (...args) => mortal(() => db.query(...args)) } })
    const watched = Object.create(watch(pool), { connect: { value: async () => watch(await pool.connect()) } })
    return { store: postgresStore(watched, { clock }), close: () => pool.end() }
  }
}

const { store, close } = await ENGINES[engine]()
const app = Fastify()
app.addHook('onClose', close)
await app.register(refreshCookie, {
  secret: options.secret,
  store,
  clock,
  revocation: options.revocation,
  timeouts: options.timeouts,
  rateLimit: false,
  users: { findById: id => ({ id, username: id, passwordHash: null }) }
})
app.post('/enter', async ({ auth, body }) => await auth.login(body.subject))
app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({}))
const address = await app.listen({ host: '127.0.0.1', port: 0 })

/** Commands of the parent, with their results. */
const REQUESTS = {
  time (time) { now = time },
  last (command) {
    commands = 0
    last = command
  },
  commands: () => commands
}
process.on('message', ({ ask, value }) => process.send({ answer: REQUESTS[ask](value) ?? null }))
process.once('SIGTERM', async () => {
  // Browsers keep connections open, and Fastify would wait for them.
  setInterval(() => app.server.closeIdleConnections(), 100).unref()
  await app.close()
  process.disconnect()
})
process.send({ answer: Number(new URL(address).port) })
