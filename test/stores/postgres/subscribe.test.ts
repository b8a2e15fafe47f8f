import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type Revocation, type SessionStore } from '../../../lib/sessions/store.js'
import { postgresStore, type PostgresDatabase, type PostgresStoreOptions } from '../../../lib/stores/postgres/index.js'
import { listenOn } from '../../../lib/stores/postgres/database.js'
import { exactly } from '../../support/exactly.js'
import { fakeClock, START } from '../../support/fake-clock.js'
import { pgBouncer } from '../../support/pgbouncer.js'
import { poolOn, postgres } from '../../support/postgres.js'
import { newSession } from '../../support/session.js'
import { tcpProxy } from '../../support/tcp-proxy.js'
import { notifications, withoutRepeats } from '../../support/notifications.js'

/** Subscribes a new store on a database, and collects its notifications. */
function listening (t: Test, db: PostgresDatabase, table = 'auth_sessions', options: PostgresStoreOptions = {}) {
  const store = postgresStore(db, { table, clock: fakeClock().now, ...options })
  const revocations = notifications<Revocation>()
  const connections = notifications<boolean>()
  const stop = subscribe(store)(revocations.notify, connections.notify)
  t.teardown(stop)
  return { store, revocations: { next: withoutRepeats(revocations.next) }, connections, stop }
}

function subscribe ({ subscribe }: SessionStore): NonNullable<SessionStore['subscribe']> {
  if (subscribe === undefined) throw new Error('this store cannot be subscribed to')
  return subscribe
}

t.test('a revocation reaches all stores on one PGlite', async t => {
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
  await t.resolves(async () => { await here.stop() })
})

t.test('on a server', async t => {
  const connectionString = await postgres(t)
  if (connectionString === null) return
  const pool = poolOn(t, { connectionString })

  t.test('a revocation reaches the listeners of every process', async t => {
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

  t.test('a revocation whose reply was lost reaches its own process as well as the others', async t => {
    let isLost = false
    const lossy = {
      async query (text: string, values?: unknown[]) {
        const result = await pool.query(text, values)
        if (isLost) throw new Error('the connection was lost')
        return result
      }
    }
    const [here, there] = [listening(t, lossy, 'auth_sessions', { listen: pool }), listening(t, pool)]
    for (const { connections } of [here, there]) t.equal(await connections.next(), true)
    const session = newSession()
    await here.store.create(session)
    isLost = true
    await t.rejects(here.store.revoke(session.id, 'logout'), { message: 'the connection was lost' })
    for (const { revocations } of [here, there]) t.same(await revocations.next(), { id: session.id })
  })

  t.test('a revocation that ends nothing notifies this process, in case an earlier reply was lost, and no other', async t => {
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
    for (const id of ['unknown', session.id, last.id]) {
      let revocation = await here.revocations.next()
      while ('subject' in revocation) revocation = await here.revocations.next()
      t.same(revocation, { id })
    }
    t.same(await there.revocations.next(), { id: session.id })
    t.same(await there.revocations.next(), { id: last.id })
  })

  t.test('failover: a subscription reconnects and reports both', async t => {
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

  t.test('a subscription pings its connection', async t => {
    const over = new AbortController()
    t.teardown(() => over.abort())
    const probe = await listenOn(pool)?.('a_channel', () => {}, over)
    await t.resolves(probe?.() ?? Promise.reject(new Error('no pool')))
    over.abort()
    await t.rejects(probe?.() ?? Promise.resolve())
  })

  t.test('failover: an unreachable database is retried', async t => {
    const { connections } = listening(t, new pg.Pool({ host: '/nowhere' }))
    t.equal(await connections.next(), false)
  })

  t.test('a subscription checks no connection out of the pool, which can end', async t => {
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

  t.test('a stopped subscription keeps no process alive, even if its server is unreachable', async t => {
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

  t.test('stores of different tables do not receive each other’s revocations, even with the longest names', async t => {
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

  t.test('tenants by search_path do not receive each other’s revocations', async t => {
    await pool.query('CREATE SCHEMA tenant_1; CREATE SCHEMA tenant_2')
    const tenants = [1, 2].map(nth => listening(t, poolOn(t, { connectionString, options: `-c search_path=tenant_${nth}` })))
    const [one, two] = tenants as [typeof tenants[0] & object, typeof tenants[0] & object] // there are two
    const another = listening(t, pool, 'tenant_1.auth_sessions')
    for (const { connections } of [...tenants, another]) t.equal(await connections.next(), true)
    for (const { store } of tenants) await store.create(newSession({ subject: '1' }))
    t.equal(await one.store.revokeAll('1', 'password_changed'), 1)
    t.same(await another.revocations.next(), { subject: '1', at: START }, 'the same table, by its full name')
    const last = newSession()
    await two.store.create(last)
    await two.store.revoke(last.id, 'logout')
    t.same(await two.revocations.next(), { id: last.id }, 'nothing came before it')
  })

  t.test('behind a pooler that drops LISTEN, immediate revocation is down, with a warning that names the option', async t => {
    const pooled = await pgBouncer(t, connectionString)
    if (pooled === null) return
    const config = { connectionString: pooled, statement_timeout: undefined }
    const warned = notifications<Error>()
    const onWarning = (warning: Error & { code?: string }): void => { if (warning.code === 'FST_AUTH_POSTGRES_LISTEN') warned.notify(warning) }
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    const { connections } = listening(t, poolOn(t, config))
    t.equal(await connections.next(), false)
    t.match((await warned.next()).message, /PgBouncer in transaction mode.*"listen"/)

    const there = listening(t, poolOn(t, config), 'auth_sessions', { listen: poolOn(t, { connectionString }) })
    const here = postgresStore(poolOn(t, config))
    t.equal(await there.connections.next(), true)
    const session = newSession()
    await here.create(session)
    await here.revoke(session.id, 'logout')
    t.same(await there.revocations.next(), { id: session.id })
  })

  t.test('a pooler that refuses statement_timeout is an error at start that says what to do', async t => {
    const pooled = await pgBouncer(t, connectionString)
    if (pooled === null) return
    const refused = postgresStore(poolOn(t, { connectionString: pooled, statement_timeout: 5000 }))
    await t.rejects(refused.open(), { name: 'TypeError', message: /pooler rejects "statement_timeout".*ALTER ROLE/ })
  })

  t.test('a listen option that cannot listen is refused', async t => {
    for (const listen of [null, 'postgresql://localhost/test', {}, new pg.Client({ connectionString })]) {
      // @ts-expect-error: for those who write JavaScript
      t.throws(() => postgresStore(pool, { listen }), { name: 'TypeError', message: /"listen"/ })
    }
  })

  t.test('a database with only a query method has no subscribe', async t => {
    const client = new pg.Client({ connectionString })
    const warned = t.capture(process, 'emitWarning')
    for (const db of [client, { query: async () => ({ rows: [] }) }]) t.notOk('subscribe' in postgresStore(db))
    t.match(warned().map(({ args }) => args), exactly([/pass a Pool of pg/, { code: 'FST_AUTH_POSTGRES_CLIENT' }]))
  })
})

const LISTENING = "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN revoked%'"
