import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type SessionStore } from '../../lib/core/session.js'
import { postgresStore, type PostgresDatabase } from '../../lib/stores/postgres.js'
import { listenOn } from '../../lib/stores/postgres-database.js'
import { type Revocation } from '../../lib/stores/revocation-feed.js'
import { fakeClock, START } from '../support/fake-clock.js'
import { poolOn, postgres } from '../support/postgres.js'
import { newSession } from '../support/session.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { told } from '../support/told.js'

/** A new store on a database, which is subscribed to, and what it is told. */
function listening (t: Test, db: PostgresDatabase, table = 'auth_sessions') {
  const store = postgresStore(db, { table, clock: fakeClock().now })
  const revocations = told<Revocation>()
  const connections = told<boolean>()
  const stop = subscribe(store)(revocations.tell, connections.tell)
  t.teardown(stop)
  return { store, revocations, connections, stop }
}

function subscribe ({ subscribe }: SessionStore): NonNullable<SessionStore['subscribe']> {
  if (subscribe === undefined) throw new Error('this store cannot be subscribed to')
  return subscribe
}

t.test('PGlite tells all stores on it', async t => {
  const db = await PGlite.create()
  const [here, there] = [listening(t, db), listening(t, db)]
  for (const { connections } of [here, there]) t.equal(await connections.next(), true)
  const session = newSession()
  await here.store.create(session)
  await here.store.revoke(session.id, 'logout')
  for (const { revocations } of [here, there]) t.same(await revocations.next(), { id: session.id })

  await there.stop()
  const next = newSession()
  await there.store.create(next)
  await there.store.revoke(next.id, 'logout')
  t.same(await here.revocations.next(), { id: next.id })
  await db.close()
  t.doesNotThrow(here.stop)
})

t.test('on a server', async t => {
  const connectionString = await postgres(t)
  if (connectionString === null) return
  const pool = poolOn(t, { connectionString })

  t.test('a store hears at once of what it ends itself, and others hear of it too', async t => {
    const [here, there] = [listening(t, pool), listening(t, poolOn(t, { connectionString }))]
    for (const { connections } of [here, there]) t.equal(await connections.next(), true)
    const [one, two] = [newSession(), newSession()]
    for (const session of [one, two]) await here.store.create(session)

    await here.store.revoke(one.id, 'logout')
    await here.store.revokeAll('ada', 'revoked', one.id)
    for (const { revocations } of [here, there]) {
      t.same(await revocations.next(), { id: one.id })
      t.same(await revocations.next(), { subject: 'ada', at: START, exceptId: one.id })
    }
  })

  t.test('what had ended is told once more here, where the answer may have been lost, and to nobody else', async t => {
    const [here, there] = [listening(t, pool), listening(t, poolOn(t, { connectionString }))]
    for (const { connections } of [here, there]) t.equal(await connections.next(), true)
    const session = newSession()
    await here.store.create(session)
    t.equal(await here.store.revoke('unknown', 'logout'), false)
    t.equal(await here.store.revokeAll('nobody', 'logout'), 0)
    await here.store.revoke(session.id, 'logout')
    t.equal(await here.store.revoke(session.id, 'logout'), false)
    t.equal(await here.store.revokeAll('ada', 'logout'), 0)
    const last = newSession()
    await here.store.create(last)
    await here.store.revoke(last.id, 'logout')
    for (const id of ['unknown', session.id, session.id, last.id]) {
      let told = await here.revocations.next()
      while ('subject' in told) told = await here.revocations.next()
      t.same(told, { id })
    }
    t.same(await there.revocations.next(), { id: session.id })
    t.same(await there.revocations.next(), { id: last.id })
  })

  t.test('a subscription that is cut comes back, and says both', async t => {
    const { connections, revocations } = listening(t, poolOn(t, { connectionString }))
    t.equal(await connections.next(), true)
    await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity ${LISTENING}`)
    t.equal(await connections.next(), false)
    t.equal(await connections.next(), true)
    const store = postgresStore(pool)
    const session = newSession()
    await store.create(session)
    await store.revoke(session.id, 'logout')
    t.same(await revocations.next(), { id: session.id })
  })

  t.test('a subscription asks whether its connection still lives', async t => {
    const open = listenOn(pool, '"auth_sessions_revoked"')?.(() => {})
    const over = new AbortController()
    t.teardown(() => over.abort())
    const probe = await open?.(over)
    await t.resolves(probe?.() ?? Promise.reject(new Error('no pool')))
    over.abort()
    await t.rejects(probe?.() ?? Promise.resolve())
  })

  t.test('a database that is away is tried again', async t => {
    const { connections } = listening(t, new pg.Pool({ host: '/nowhere' }))
    t.equal(await connections.next(), false)
  })

  t.test('a subscription takes no connection of the pool, and does not keep it from ending', async t => {
    const one = new pg.Pool({ connectionString, max: 1, statement_timeout: 60_000, query_timeout: 60_000, connectionTimeoutMillis: 60_000 })
    const { connections, store, stop } = listening(t, one)
    t.equal(await connections.next(), true)
    t.equal(await store.get('a'), null)
    await t.resolves(one.end())
    await stop()
    let rows: unknown[] = [0]
    while (rows.length > 0) rows = (await pool.query(`SELECT FROM pg_stat_activity ${LISTENING}`)).rows
    t.same(rows, [])
  })

  t.test('a subscription that ends keeps no process alive, also where its server is out of reach', async t => {
    const { hostname, port } = new URL(connectionString)
    const proxy = await tcpProxy(t, { host: hostname, port: Number(port || 5432) })
    const { connections, stop } = listening(t, poolOn(t, { connectionString: Object.assign(new URL(connectionString), { host: `127.0.0.1:${proxy.port}` }).href }))
    t.equal(await connections.next(), true)
    await proxy.hold()
    const sockets = (): number => process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length
    const before = sockets()
    await stop()
    t.equal(sockets(), before - 1)
  })

  t.test('stores of different tables do not hear each other, however long the names are', async t => {
    await pool.query('CREATE SCHEMA long')
    const tables = ['one', 'two', 'long.one', `long.${'t'.repeat(63)}`]
    const stores = tables.map(table => listening(t, pool, table))
    for (const { store, connections } of stores) {
      t.equal(await connections.next(), true)
      await store.open()
    }
    for (const { store } of stores) {
      const session = newSession()
      await store.create(session)
      await store.revoke(session.id, 'logout')
    }
    for (const { revocations, store } of stores) {
      const first = await revocations.next()
      t.ok('id' in first && await store.get(first.id) !== null)
      const last = newSession()
      await store.create(last)
      await store.revoke(last.id, 'logout')
      t.same(await revocations.next(), { id: last.id })
    }
  })

  t.test('a database that is asked through something else cannot be subscribed to', async t => {
    const client = new pg.Client({ connectionString })
    for (const db of [client, { query: async () => ({ rows: [] }) }]) t.notOk('subscribe' in postgresStore(db))
  })
})

const LISTENING = "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query IN ('LISTEN \"auth_sessions_revoked\"', 'SELECT 1')"
