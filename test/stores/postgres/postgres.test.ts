import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import t, { type Test } from 'tap'
import { postgresSchema, postgresStore, type PostgresDatabase } from '../../../lib/stores/postgres/index.js'
import { newTable } from '../../support/databases.js'
import { START } from '../../support/fake-clock.js'
import { poolOn, postgres } from '../../support/postgres.js'
import { newSession, ROTATION } from '../../support/session.js'
import { tcpProxy } from '../../support/tcp-proxy.js'
import { keepsTheContract } from '../../support/store-contract.js'
import { notifications } from '../../support/notifications.js'

const INDEXES = ['expires_at', 'id', 'subject, created_at, id COLLATE "C"']

/** A database that records each statement; the nth fails if `fail` returns an error for it. */
function watch (db: PostgresDatabase, fail: (nth: number) => Error | undefined = () => undefined) {
  const statements: Array<{ text: string, values: unknown[] }> = []
  return {
    statements,
    async query (text: string, values: unknown[]) {
      const error = fail(statements.push({ text, values }))
      if (error !== undefined) throw error
      return await db.query(text, values)
    }
  }
}

const messageOf = (error: unknown): string => (error as Error).message // of what was rejected

const failure = (code: string): Error => Object.assign(new Error('not this time'), { code })

t.test('PGlite keeps the contract', async t => {
  const db = await PGlite.create()
  t.teardown(() => db.close())
  keepsTheContract(t, options => postgresStore(db, { ...options, table: newTable() }))
})

t.test('on a server', async t => {
  const connectionString = await postgres(t)
  if (connectionString === null) return
  const pool = poolOn(t, { connectionString })

  /** A user without any right, with a pool, until `t` ends. */
  const limitedUser = async (t: Test) => {
    const role = `limited_${randomBytes(6).toString('hex')}`
    await pool.query(`CREATE ROLE ${role}`)
    t.teardown(() => pool.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`))
    return { role, pool: poolOn(t, { connectionString, options: `-c role=${role}` }) }
  }

  t.test('PostgreSQL keeps the contract', async t => {
    keepsTheContract(t, options => postgresStore(pool, { ...options, table: newTable() }))
  })

  t.test('PostgreSQL keeps the contract in its strictest isolation', async t => {
    const strict = poolOn(t, { connectionString, options: '-c default_transaction_isolation=serializable' })
    keepsTheContract(t, options => postgresStore(strict, { ...options, table: newTable() }))
  })

  t.test('a read-only server is refused', async t => {
    const table = newTable()
    await postgresStore(pool, { table }).open()
    const readers = poolOn(t, { connectionString, options: '-c default_transaction_read_only=on' })
    await t.rejects(postgresStore(readers, { table }).open(), { name: 'Error', message: /read-only.*primary/ })
  })

  t.test('a connection whose revocation failed is not used again', async t => {
    const [table, one] = [newTable(), poolOn(t, { connectionString, max: 1 })]
    const store = postgresStore(one, { table })
    await store.open()
    await pool.query(`DROP TABLE ${table}`)
    await t.rejects(store.revoke('a', 'logout'), { code: '42P01' })
    t.equal(one.totalCount, 0)
  })

  t.test('a connection that breaks during any call rejects it, and does not end the process', async t => {
    const { hostname, port } = new URL(connectionString)
    const proxy = await tcpProxy(t, { host: hostname, port: Number(port || 5432) })
    const far = poolOn(t, { connectionString: Object.assign(new URL(connectionString), { host: `127.0.0.1:${proxy.port}` }).href })
    const store = postgresStore(far, { table: newTable() })
    await store.open()
    const calls: Array<(id: string) => Promise<unknown>> = [
      id => store.revoke(id, 'reuse'), id => store.revokeAll(id, 'logout'), id => store.advance(id, 0, ROTATION), id => store.get(id), id => store.list(id), id => store.create(newSession({ id: `${id}2` }))
    ]
    for (const [nth, call] of calls.entries()) {
      for (const breaks of ['reset', 'dropReplies'] as const) {
        const id = `${breaks}${nth}`
        await store.create(newSession({ id, subject: id }))
        await proxy[breaks]()
        await t.rejects(call(id), Error)
        await proxy.pass()
        await t.resolves(store.get(id))
      }
    }
  })

  t.test('processes that start at once create the table once', async t => {
    const pools = [pool, poolOn(t, { connectionString })]
    for (let round = 0; round < 5; round++) {
      const table = newTable()
      const stores = [...pools, ...pools, ...pools].map(pool => postgresStore(pool, { table }))
      await t.resolves(Promise.all(stores.map(store => store.open())))
      t.same(await indexesOf(table), INDEXES)
    }
  })

  t.test('each method is one statement', async t => {
    const db = watch(pool)
    const store = postgresStore(db, { table: newTable() })
    await store.open()
    db.statements.length = 0
    const session = newSession()
    await store.create(session)
    await store.get(session.id)
    await store.advance(session.id, 0, ROTATION)
    await store.list('ada')
    await store.revoke(session.id, 'logout')
    await store.revokeAll('ada', 'logout')
    await store.purgeExpired(START)
    t.same(db.statements.map(({ text }) => text.split(' ', 1)[0]), ['INSERT', 'SELECT', 'UPDATE', 'SELECT', 'WITH', 'WITH', 'DELETE'])
  })

  t.test('no statement scans the whole table', async t => {
    const table = newTable()
    const db = watch(pool)
    const store = postgresStore(db, { table })
    await fill(store, table, 20_000)
    db.statements.length = 0
    await store.get('1')
    await store.advance('1', 0, ROTATION)
    await store.revoke('1', 'logout')
    await store.revokeAll('1', 'logout')
    await store.list('1')
    await store.purgeExpired(START)
    const indexes = ['pkey', 'pkey', 'pkey', 'subject_created_at_id_idx', 'subject_created_at_id_idx', 'expires_at_idx']
    for (const [nth, { text, values }] of db.statements.entries()) {
      const plan = await pool.query(`EXPLAIN ${text}`, values)
      const lines = plan.rows.map(row => row['QUERY PLAN']).join('\n')
      t.match(lines, `${table}_${indexes[nth]}`)
      t.notMatch(lines, 'Seq Scan')
    }
  })

  t.test('a rotation is a heap-only update, which writes to no index', async t => {
    const table = newTable()
    const store = postgresStore(pool, { table })
    const session = newSession()
    await store.create(session)
    const before = await columnsOf(table)
    await store.advance(session.id, 0, { ...ROTATION, authTime: START + 60 })
    const after = await columnsOf(table)
    const written = Object.keys(after).filter(column => after[column] !== before[column])
    t.same(written.sort(), ['auth_time', 'generation', 'idle_expires_at', 'previous', 'rotated_at'])
    t.same(await indexesOf(table), INDEXES)
  })

  t.test('concurrent revocations of one flood take different batches', async t => {
    const table = newTable()
    const store = postgresStore(pool, { table })
    await flood(store, table, 2000)
    const counts = await Promise.all([store.revokeAll('ada', 'revoked'), store.revokeAll('ada', 'logout')])
    t.same(counts, [1000, 1000])
    t.same(await store.list('ada'), [])
  })

  t.test('revocations leave no listener behind on a connection', async t => {
    const one = poolOn(t, { connectionString, max: 1 })
    const store = postgresStore(one, { table: newTable() })
    await store.open()
    const counts = []
    for (let nth = 0; nth < 2; nth++) {
      await store.revoke('nobody', 'logout')
      const client = await one.connect()
      counts.push(client.listenerCount('error'))
      client.release()
    }
    t.equal(counts[1], counts[0])
  })

  t.test('an index on a part of the ids does not make them unique', async t => {
    const table = newTable()
    await postgresStore(pool, { table }).open()
    await pool.query(`ALTER TABLE ${table} DROP CONSTRAINT ${table}_pkey`)
    await pool.query(`CREATE UNIQUE INDEX ON ${table} (id) WHERE generation = 0`)
    await t.rejects(postgresStore(pool, { table }).open(), { name: 'TypeError', message: /column "id"/ })
  })

  t.test('a revocation waits for a locked session, so that none survives', async t => {
    const table = newTable()
    const store = postgresStore(pool, { table })
    await flood(store, table, 2)
    const client = await pool.connect()
    await client.query('BEGIN')
    await client.query(`UPDATE ${table} SET generation = 1 WHERE id = 'flood-1'`)
    const ended = store.revokeAll('ada', 'revoked')
    let waiting = 0
    while (waiting === 0) {
      const { rows } = await pool.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
      waiting = rows.length
    }
    await client.query('COMMIT')
    client.release()
    t.equal(await ended, 2)
    t.match(await store.get('flood-1'), { generation: 1, reason: 'revoked' })
  })

  t.test('a batch of a flood is read by the index, even with stale statistics', async t => {
    const table = newTable()
    const db = watch(pool)
    const store = postgresStore(db, { table })
    await fill(store, table, 20_000)
    await pool.query(`INSERT INTO ${table} SELECT 'x' || n, n % 10000, 0, NULL, 0, 0, $1::bigint, 0, 0 FROM generate_series(1, 20000) n`, [START])
    await pool.query(`ANALYZE ${table}`)
    await flood(store, table, 20_000)
    db.statements.length = 0
    await store.list('ada', { limit: 100, after: { createdAt: START - 1, id: 'a' }, liveAt: START })
    await store.revokeAll('ada', 'revoked')
    for (const { text, values } of db.statements) {
      const plan = await pool.query(`EXPLAIN ${text}`, values)
      const lines = plan.rows.map(row => row['QUERY PLAN']).join('\n')
      t.match(lines, `Index Scan using ${table}_subject_created_at_id_idx`)
      t.notMatch(lines, /Seq Scan|Sort/)
    }
  })

  t.test('ids are ordered by code point, whatever the database’s collation', async t => {
    const table = newTable()
    const store = postgresStore(pool, { table })
    await store.open()
    await pool.query(`ALTER TABLE ${table} ALTER id TYPE text COLLATE "und-x-icu"`)
    for (const id of ['a', 'B', '_', 'b', '-']) await store.create(newSession({ id }))
    const [first, ...others] = (await store.list('ada')).map(({ id }) => id)
    t.same([first, ...others], ['-', 'B', '_', 'a', 'b'])
    t.same((await store.list('ada', { limit: 9, after: newSession({ id: 'B' }) })).map(({ id }) => id), ['_', 'a', 'b'])
  })

  t.test('a purge skips locked rows', async t => {
    const table = newTable()
    const store = postgresStore(pool, { table })
    await fill(store, table, 2)
    const client = await pool.connect()
    await client.query('BEGIN')
    await client.query(`SELECT FROM ${table} WHERE id = '1' FOR UPDATE`)
    t.equal(await store.purgeExpired(START + 10), 1)
    await client.query('ROLLBACK')
    client.release()
    t.equal(await store.purgeExpired(START + 10), 1)
  })

  t.test('failover: a lost connection rejects, and the next call gets a new one', async t => {
    const table = newTable()
    const store = postgresStore(pool, { table })
    await store.create(newSession({ id: 'a' }))
    const admin = new pg.Client({ connectionString })
    await admin.connect()
    await admin.query('BEGIN')
    await admin.query(`LOCK TABLE ${table}`)
    const waiting = t.rejects(store.get('a'), { code: '57P01' })
    await terminateOneThatWaits(admin)
    await waiting
    await admin.query('ROLLBACK')
    await admin.end()
    t.equal((await store.get('a'))?.id, 'a')
  })

  t.test('a foreign table is refused and not changed', async t => {
    const table = newTable()
    await pool.query(`CREATE TABLE ${table} (subject text, expires_at bigint)`)
    await t.rejects(postgresStore(pool, { table }).get('a'), { name: 'TypeError', message: /"id" .* is missing/ })
    t.same(await indexesOf(table), [])
  })

  t.test('a table made by hand is used, and gets its missing indexes', async t => {
    const table = newTable()
    await postgresStore(pool, { table }).open()
    await pool.query(`ALTER TABLE ${table} ALTER subject TYPE varchar, ALTER reason SET DEFAULT NULL, ADD COLUMN note text`)
    await pool.query(`ALTER TABLE ${table} DROP CONSTRAINT ${table}_pkey, ADD UNIQUE (id)`)
    await pool.query(`DROP INDEX ${table}_subject_created_at_id_idx, ${table}_expires_at_idx`)
    await pool.query(`CREATE INDEX by_hand ON ${table} (subject, created_at, id COLLATE "C") WHERE revoked_at IS NULL`)
    await pool.query(`CREATE INDEX ON ${table} (expires_at) WHERE generation = 0`)
    const store = postgresStore(pool, { table })
    await store.create(newSession({ id: 'a' }))
    t.equal((await store.list('ada')).length, 1)
    t.same(await indexesOf(table), ['expires_at', ...INDEXES])
  })

  t.test('least privilege: a user without CREATE is refused only if the table is missing', async t => {
    await pool.query('CREATE SCHEMA locked')
    const { role, pool: limited } = await limitedUser(t)
    const options = { table: 'locked.sessions' }
    const message = messageOf(await t.rejects(postgresStore(limited, options).open(), { name: 'TypeError', message: /"locked\.sessions"/, cause: { code: '42501' } }))
    await pool.query(postgresSchema(options))
    await pool.query(/GRANT USAGE.*/.exec(message)?.[0] ?? message)
    t.match(message, `TO ${role};`)
    const store = postgresStore(limited, options)
    const session = newSession()
    await store.create(session)
    t.equal((await store.advance(session.id, 0, ROTATION))?.generation, 1)
    t.equal(await store.revoke(session.id, 'logout'), true)
    t.equal(await store.revokeAll('ada', 'logout'), 0)
    t.equal(await store.purgeExpired(START + 10 ** 9), 1)
  })

  t.test('least privilege: a missing right is an error at start, with the SQL that grants it', async t => {
    const { role, pool: limited } = await limitedUser(t)
    const table = newTable()
    await postgresStore(pool, { table }).open()
    const grants = {
      'SELECT, INSERT, UPDATE, DELETE': '',
      'INSERT, UPDATE, DELETE': 'SELECT',
      UPDATE: 'SELECT, INSERT, DELETE, UPDATE (generation, previous, rotated_at, idle_expires_at, auth_time, revoked_at, reason)',
      DELETE: 'SELECT, INSERT, UPDATE (generation, previous, rotated_at, idle_expires_at, auth_time, revoked_at, reason, user_agent)'
    }
    for (const [lacking, granted] of Object.entries(grants)) {
      await pool.query(`REVOKE ALL ON ${table} FROM ${role}`)
      if (granted !== '') await pool.query(`GRANT ${granted} ON ${table} TO ${role}`)
      const store = postgresStore(limited, { table })
      const sql = `GRANT ${lacking} ON "${table}" TO ${role};`
      const message = messageOf(await t.rejects(store.open(), { name: 'TypeError' }))
      t.ok(message.endsWith(`run: ${sql}`), message)
      await pool.query(sql)
      await t.resolves(store.open())
    }
  })

  t.test('least privilege: without CREATE on the schema public, the error has the grants', async t => {
    const { role, pool: limited } = await limitedUser(t)
    const table = newTable()
    const message = messageOf(await t.rejects(postgresStore(limited, { table }).open(), { name: 'TypeError' }))
    t.match(message, `GRANT USAGE ON SCHEMA public TO ${role};`)
  })

  t.test('another failure to create an index is an error at start, and the next call tries again', async t => {
    let fails = true
    const failing: PostgresDatabase = {
      async query (text, values) {
        if (fails && text.includes('CREATE INDEX')) throw new Error('not this time')
        return await pool.query(text, values)
      }
    }
    const store = postgresStore(failing, { table: newTable() })
    await t.rejects(store.open(), { name: 'Error', message: 'not this time' })
    fails = false
    await t.resolves(store.open())
  })

  t.test('least privilege: an index that the user cannot create is an error with its SQL', async t => {
    const { role, pool: limited } = await limitedUser(t)
    const table = newTable()
    const [create, ...indexes] = postgresSchema({ table }).trim().split(';\n')
    await pool.query(`${create}; GRANT ALL ON ${table} TO ${role}`)
    const message = messageOf(await t.rejects(postgresStore(limited, { table }).open(), { name: 'TypeError', cause: { code: '42501' } }))
    t.ok(message.endsWith(indexes.join('; ')), message)
    await pool.query(indexes.join(';'))
    await t.resolves(postgresStore(limited, { table }).open())
  })

  t.test('a schema that is missing is refused', async t => {
    await t.rejects(postgresStore(pool, { table: 'nowhere.sessions' }).open(), { name: 'TypeError', message: /CREATE SCHEMA "nowhere"/, cause: { code: '3F000' } })
  })

  t.test('an unknown database, an unknown user and a wrong password are refused, and are no outage', async t => {
    for (const [name, wrong] of Object.entries({ pathname: '/nowhere', username: 'nobody' })) {
      const url = Object.assign(new URL(connectionString), { [name]: wrong })
      await t.rejects(postgresStore(poolOn(t, { connectionString: url.href })).open(), { name: 'TypeError', message: /refuses the user, the password or the database/, cause: { code: String } }, name)
    }
    const refused = { query: async () => { throw Object.assign(new Error('password authentication failed'), { code: '28P01' }) } }
    await t.rejects(postgresStore(refused).open(), { name: 'TypeError', cause: { code: '28P01' } })
  })

  t.test('first calls share one attempt to open, and after a failed one the next call tries again', async t => {
    const db = watch(pool, nth => nth === 1 ? failure('ECONNREFUSED') : undefined)
    const store = postgresStore(db, { table: newTable() })
    const first = await Promise.allSettled([store.get('a'), store.open(), store.purgeExpired(START)])
    t.same(first.map(({ status }) => status), ['rejected', 'rejected', 'rejected'])
    t.equal(db.statements.length, 1)

    t.same(await Promise.all([store.get('a'), store.get('b'), store.list('ada')]), [null, null, []])
    t.equal(db.statements.filter(({ text }) => text.includes('CREATE TABLE')).length, 2)
  })

  t.test('a revocation is undone by no transaction that the app has left open on a connection', async t => {
    const one = poolOn(t, { connectionString, max: 1 })
    const store = postgresStore(one, { table: newTable() })
    await store.create(newSession({ id: 'a', subject: 'ada' }))
    const revocations: ReadonlyArray<() => Promise<unknown>> = [() => store.revoke('a', 'logout'), () => store.revokeAll('ada', 'revoked')]
    for (const revoke of revocations) {
      const client = await one.connect()
      await client.query('BEGIN')
      client.release()
      await t.rejects(revoke(), { message: /released inside a transaction/ })
      t.match(await store.get('a'), { revokedAt: null }, 'on a new connection')
    }
    const failed = await one.connect()
    await failed.query('BEGIN')
    await failed.query('SELECT no_column').catch(() => {})
    failed.release()
    await t.rejects(store.revoke('a', 'logout'), { message: /released inside a transaction/ })
    t.equal(await store.revoke('a', 'logout'), true)
    t.equal(one.totalCount, 1)
  })

  t.test('a pool prepares the two statements of a refresh, once per connection', async t => {
    const one = poolOn(t, { connectionString, max: 1 })
    const table = newTable()
    const [store, other] = [postgresStore(one, { table }), postgresStore(one, { table: newTable() })]
    for (const id of ['a', 'b']) {
      await store.create(newSession({ id }))
      await store.get(id)
      await store.advance(id, 0, ROTATION)
      await other.get(id)
    }
    const { rows } = await one.query("SELECT split_part(statement, ' ', 1) AS verb FROM pg_prepared_statements ORDER BY 1")
    t.same(rows, [{ verb: 'SELECT' }, { verb: 'SELECT' }, { verb: 'UPDATE' }])
  })

  t.test('behind a pooler without prepared statements, queries still run', async t => {
    const one = poolOn(t, { connectionString, max: 1 })
    const store = postgresStore(one, { table: newTable() })
    await store.create(newSession({ id: 'a' }))
    t.equal((await store.get('a'))?.generation, 0)
    await one.query('DEALLOCATE ALL')
    t.equal((await store.get('a'))?.generation, 0)
    t.equal((await store.advance('a', 0, ROTATION))?.generation, 1)
    const { rows } = await one.query("SELECT FROM pg_prepared_statements WHERE statement LIKE 'UPDATE%'")
    t.equal(rows.length, 0)
  })

  t.test('a table that is altered while its statements are prepared changes nothing', async t => {
    const one = poolOn(t, { connectionString, max: 1 })
    const table = newTable()
    const store = postgresStore(one, { table })
    await store.create(newSession({ id: 'a' }))
    t.equal((await store.advance('a', 0, ROTATION))?.generation, 1)
    for (const change of ['ALTER ip TYPE varchar', 'ADD COLUMN tenant text', 'DROP COLUMN tenant']) {
      await one.query(`ALTER TABLE ${table} ${change}`)
      t.match(await store.get('a'), { generation: 1, ip: newSession().ip })
    }
    const { rows } = await one.query("SELECT FROM pg_prepared_statements WHERE statement LIKE 'UPDATE%'")
    t.equal(rows.length, 1)
  })

  t.test('another failure of a prepared statement is passed on', async t => {
    const one = poolOn(t, { connectionString, max: 1 })
    const table = newTable()
    const store = postgresStore(one, { table })
    t.equal(await store.get('a'), null)
    await one.query(`DROP TABLE ${table}`)
    await t.rejects(store.get('a'), { code: '42P01' })
  })

  t.test('a pool without timeouts causes a warning with the missing options', async t => {
    const lacking = async (config: pg.PoolConfig) => {
      const warned = notifications<Error>()
      process.once('warning', warned.notify)
      t.teardown(() => process.off('warning', warned.notify))
      await postgresStore(poolOn(t, { connectionString, ...config }), { table: newTable() }).open()
      return warned
    }
    const none = { statement_timeout: undefined, query_timeout: undefined, connectionTimeoutMillis: undefined }
    const all = { statement_timeout: 5000, query_timeout: 5000, connectionTimeoutMillis: 5000 }
    t.match(await (await lacking(none)).next(), { code: 'FST_AUTH_POSTGRES_TIMEOUT', message: /no statement_timeout and no query_timeout and no connectionTimeoutMillis, .*: 5000, or where a pooler refuses statement_timeout, ALTER ROLE app SET statement_timeout = '5s'$/ })
    for (const name of Object.keys(all)) {
      t.match(await (await lacking({ ...all, [name]: undefined })).next(), { message: new RegExp(`has no ${name}, `) })
    }

    const enough = await lacking({ ...all, statement_timeout: undefined, options: '-c statement_timeout=5s' })
    process.emitWarning('the end')
    t.match(await enough.next(), { message: 'the end' })
  })

  t.test('a serialization failure or deadlock is retried, at most twice', async t => {
    for (const code of ['40001', '40P01']) {
      const once = watch(pool, nth => nth === 4 ? failure(code) : undefined)
      t.equal(await postgresStore(once, { table: newTable() }).get('a'), null)
      const always = watch(pool, nth => nth >= 4 ? failure(code) : undefined)
      await t.rejects(postgresStore(always, { table: newTable() }).get('a'), { code })
      t.equal(always.statements.length, 6)
    }
  })

  t.test('no other failure is retried, since the statement may have run', async t => {
    for (const error of [failure('57P01'), failure('ECONNRESET'), new Error('no code'), Object.create(null)]) {
      const db = watch(pool, nth => nth === 4 ? error : undefined)
      await t.rejects(postgresStore(db, { table: newTable() }).get('a'))
      t.equal(db.statements.length, 4)
    }
  })

  /** Expired sessions 1 to `count`, each of a subject of its own. */
  async function fill (store: ReturnType<typeof postgresStore>, table: string, count: number): Promise<void> {
    await store.open()
    await pool.query(`INSERT INTO ${table} (id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time)
      SELECT n, n, 0, 0, 0, $1::bigint + n - 1, 0, 0 FROM generate_series(1, $2) n`, [START, count])
    await pool.query(`ANALYZE ${table}`)
  }

  /** Writes live sessions of ada, all of the same second, after the last statistics. */
  async function flood (store: ReturnType<typeof postgresStore>, table: string, count: number): Promise<void> {
    await store.open()
    await pool.query(`INSERT INTO ${table} (id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time)
      SELECT 'flood-' || n, 'ada', 0, $1::bigint, $1::bigint, $1::bigint + 600, $1::bigint + 600, $1::bigint FROM generate_series(1, $2) n`, [START, count])
  }

  async function indexesOf (table: string): Promise<string[]> {
    const { rows } = await pool.query('SELECT indexdef FROM pg_indexes WHERE tablename = $1', [table])
    return rows.map(({ indexdef }) => /\((.*?)\)/.exec(indexdef)?.[1] ?? indexdef).sort()
  }

  async function columnsOf (table: string): Promise<Record<string, unknown>> {
    return (await pool.query(`SELECT * FROM ${table}`)).rows[0]
  }

  async function terminateOneThatWaits (admin: pg.Client): Promise<void> {
    let terminated = 0
    while (terminated === 0) {
      const { rows } = await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`)
      terminated = rows.length
    }
  }
})

t.test('the types accept a Pool, a Client and a PGlite instance', async t => {
  const compiled = (pool: pg.Pool, client: pg.Client, pglite: PGlite) => [postgresStore(pool), postgresStore(client), postgresStore(pglite)]
  t.type(compiled, 'function')
})
