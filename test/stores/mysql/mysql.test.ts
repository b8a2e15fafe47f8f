import { randomBytes } from 'node:crypto'
import callbacks from 'mysql2'
import mysql, { type Pool, type PoolOptions } from 'mysql2/promise'
import t, { type Test } from 'tap'
import { MysqlRunner } from '../../../lib/stores/mysql/database.js'
import { mysqlSchema, mysqlStore } from '../../../lib/stores/mysql/index.js'
import { newTable } from '../../support/databases.js'
import { START } from '../../support/fake-clock.js'
import { mysqlDatabase, poolAt } from '../../support/mysql.js'
import { notifications } from '../../support/notifications.js'
import { newSession, ROTATION } from '../../support/session.js'
import { keepsTheContract } from '../../support/store-contract.js'

/** Options of the stores that keep the contract. */
const whole = () => ({ table: newTable(), pollEveryMs: 20, timeoutMs: 60_000 })

/** A pool whose statements are recorded, and replaced where `change` returns a result or throws. */
function watch (pool: Pool, change: (sql: string, nth: number) => unknown = () => undefined) {
  const statements: string[] = []
  const getConnection = async () => {
    const connection = await pool.getConnection()
    const query = async (options: { readonly sql: string }) => change(options.sql, statements.push(options.sql)) ?? await connection.query(options as never)
    return Object.create(connection, { query: { value: query } })
  }
  return { pool: Object.create(pool, { getConnection: { value: getConnection } }) as Pool, statements }
}

const failure = (errno: number): Error => Object.assign(new Error('not this time'), numbered(errno))

/** A pattern of the errors with a number. */
const numbered = (errno: number) => ({ errno }) as unknown as Error // the type of patterns has no numbers

/** A server with the version of MySQL, which has no RETURNING. */
const asMysql8 = (pool: Pool): Pool => watch(pool, sql => {
  return sql.startsWith('SELECT version()') ? [[{ version: '8.0.36', autocommit: '1', readonly: '0', current: 'test', user: 'root@localhost' }]] : undefined
}).pool

/** Options of an app that change how values are written and read. */
const UNUSUAL: PoolOptions = {
  supportBigNumbers: true,
  bigNumberStrings: true,
  dateStrings: true,
  timezone: '-11:00',
  rowsAsArray: true,
  namedPlaceholders: true,
  charset: 'latin1_swedish_ci',
  flags: ['-FOUND_ROWS'],
  typeCast: (field, next) => field.type === 'LONGLONG' ? field.string() === '1' : next()
}

t.test('on a server', async t => {
  const place = await mysqlDatabase(t)
  if (place === null) return
  const pool = poolAt(t, { ...place })

  t.test('each refusal of a connection says what to correct', async t => {
    for (const errno of [1044, 1045, 1049, 1698]) {
      const { pool: refused } = watch(pool, () => { throw failure(errno) })
      await t.rejects(mysqlStore(refused, { table: newTable() }).open(), { name: 'TypeError', message: /refuses the user, the password or the database/ }, String(errno))
    }
  })

  /** A pool whose connections run a statement first. */
  const poolWith = (t: Test, first: string, options: PoolOptions = {}): Pool => {
    const other = poolAt(t, { ...place, ...options })
    other.on('connection', connection => { connection.query(first) })
    return other
  }

  /** Locks a session until the returned function is called. */
  const lock = async (table: string, id: string): Promise<() => Promise<void>> => {
    const connection = await mysql.createConnection({ ...place })
    await connection.query('BEGIN')
    await connection.query(`SELECT * FROM ${table} WHERE id = '${id}' FOR UPDATE`)
    return async () => {
      await connection.query('ROLLBACK')
      await connection.end()
    }
  }

  /** Waits until so many transactions wait for a lock. */
  const untilWaiting = async (count = 1): Promise<void> => {
    let waiting = -1
    while (waiting !== count) {
      const [rows] = await pool.query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'") as unknown as [[{ Value: string }]]
      waiting = Number(rows[0].Value)
    }
  }

  t.test('a promise pool keeps the contract', async t => keepsTheContract(t, options => mysqlStore(pool, { ...options, ...whole() })))

  t.test('MySQL 8, without RETURNING, keeps the contract', async t => keepsTheContract(t, options => mysqlStore(asMysql8(pool), { ...options, ...whole() })))

  t.test('a callback pool with every unusual option keeps the contract, in an unusual sql_mode without strictness', async t => {
    const other = callbacks.createPool({ ...place, ...UNUSUAL } as callbacks.PoolOptions)
    other.on('connection', connection => { connection.query("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT', time_zone = '-11:00'") })
    t.teardown(() => other.promise().end())
    keepsTheContract(t, options => mysqlStore(other, { ...options, ...whole() }))
  })

  t.test('the same options work without RETURNING', async t => {
    const table = newTable()
    const store = mysqlStore(asMysql8(poolAt(t, { ...place, ...UNUSUAL })), { table })
    const session = newSession()
    await store.create(session)
    const change = { generation: 0, previous: null, rotatedAt: session.rotatedAt, idleExpiresAt: session.idleExpiresAt }
    for (let call = 0; call < 2; call++) t.match(await store.advance(session.id, 0, change), { ...session, ...change }, 'an advance that changes nothing')
    t.equal((await store.advance(session.id, 0, { ...change, authTime: START + 9 }))?.authTime, START + 9)
    t.equal(await store.advance(session.id, 1, change), null)
    await pool.query(`DELETE FROM ${table} WHERE id = '${session.id}'`)
    t.equal(await store.advance(session.id, 0, change), null)
  })

  t.test('race: without RETURNING, a rotation returns the session as it wrote it, though it was revoked before it is read', async t => {
    const table = newTable()
    const other = mysqlStore(pool, { table })
    await other.create(newSession({ id: 'a' }))
    let isRevoking = false
    const reading = watch(asMysql8(pool))
    const store = mysqlStore(Object.create(reading.pool, { getConnection: { value: revokesBeforeReading } }) as Pool, { table })
    await store.open()
    reading.statements.length = 0
    isRevoking = true
    t.match(await store.advance('a', 0, ROTATION), { ...ROTATION, revokedAt: null, reason: null })
    t.equal(reading.statements.length, 2)
    t.match(await other.get('a'), { ...ROTATION, reason: 'logout' })

    async function revokesBeforeReading () {
      if (isRevoking && reading.statements.length === 1) await other.revoke('a', 'logout')
      return await reading.pool.getConnection()
    }
  })

  t.test('single connections work, of both interfaces', async t => {
    const promises = await mysql.createConnection({ ...place })
    const callback = callbacks.createConnection({ ...place })
    t.teardown(() => Promise.all([promises.end(), callback.promise().end()]))
    for (const connection of [promises, callback]) {
      const store = mysqlStore(connection, { table: newTable() })
      await store.create(newSession({ id: 'a' }))
      t.equal((await store.advance('a', 0, ROTATION))?.generation, 1)
      t.equal(await store.revoke('a', 'logout'), true)
    }
  })

  t.test('a text that its column would cut off is an error, even without the strict mode', async t => {
    const store = mysqlStore(poolWith(t, "SET sql_mode = ''"), { table: newTable() })
    for (const over of [{ id: 'x'.repeat(65) }, { subject: 'x'.repeat(1021) }, { userAgent: 'é'.repeat(32_768) }, { ip: 'x'.repeat(256) }]) {
      await t.rejects(store.create(newSession(over)), { name: 'RangeError', message: /longer than its column/ })
    }
    await t.rejects(store.create(newSession({ createdAt: 0.5 })), { name: 'TypeError' })
  })

  t.test('round trips: one for each method, and two for a rotation without RETURNING', async t => {
    for (const [rotation, open] of [[1, (pool: Pool) => pool], [2, asMysql8]] as const) {
      const watched = watch(open(pool))
      const store = mysqlStore(watched.pool, { table: newTable() })
      await store.open()
      const count = async (call: () => Promise<unknown>): Promise<number> => {
        watched.statements.length = 0
        await call()
        return watched.statements.length
      }
      t.equal(await count(() => store.create(newSession({ id: 'a' }))), 1)
      t.equal(await count(() => store.get('a')), 1)
      t.equal(await count(() => store.advance('a', 0, ROTATION)), rotation)
      t.equal(await count(() => store.advance('a', 0, ROTATION)), 1)
      t.equal(await count(() => store.list('ada')), 1)
      t.equal(await count(() => store.revoke('a', 'logout')), 1)
      t.equal(await count(() => store.revokeAll('ada', 'logout')), 1)
      t.equal(await count(() => store.purgeExpired(START)), 1)
    }
  })

  t.test('no statement scans the whole table', async t => {
    const table = newTable()
    const watched = watch(pool)
    const store = mysqlStore(watched.pool, { table })
    await store.open()
    await pool.query(`INSERT INTO ${table} (id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time)
      SELECT seq, seq % 5000, 0, 0, 0, ${START} + seq, ${START} + seq, 0 FROM seq_1_to_10000`)
    await pool.query(`ANALYZE TABLE ${table}`)
    watched.statements.length = 0
    await store.get('1')
    await store.list('1', { limit: 10, after: { createdAt: 0, id: '1' }, liveAt: 0 })
    await store.revoke('1', 'logout')
    await store.revokeAll('1', 'logout')
    await store.purgeExpired(START + 10)
    const connected = notifications<boolean>()
    const stop = store.subscribe(() => {}, connected.notify)
    t.equal(await connected.next(), true)
    await stop()
    t.ok(watched.statements.length >= 6)
    for (const statement of watched.statements) {
      const [rows] = await pool.query(`EXPLAIN ${statement}`) as unknown as [Array<{ type: string | null, table: string, key: string | null, Extra: string | null }>]
      for (const { type, table, Extra } of rows) {
        if (!table?.startsWith('<derived')) t.notMatch(`${type} ${Extra}`, /^ALL|^index |filesort/, `${table} in ${statement}`)
      }
    }
  })

  t.test('a list stays in the index after many logouts', async t => {
    const table = newTable()
    const store = mysqlStore(pool, { table })
    await store.open()
    await pool.query(`INSERT INTO ${table} (id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time, revoked_at)
      SELECT seq, 'ada', 0, 0, 0, ${START + 99}, ${START + 99}, 0, 1 FROM seq_1_to_2000`)
    await store.create(newSession({ id: 'live' }))
    await pool.query('FLUSH STATUS')
    t.same((await store.list('ada')).map(({ id }) => id), ['live'])
  })

  t.test('a deadlock with another transaction is retried', async t => {
    const table = newTable()
    const watched = watch(pool)
    const store = mysqlStore(watched.pool, { table })
    for (const id of ['a', 'b']) await store.create(newSession({ id }))
    const others = Array.from({ length: 20 }, (_, nth) => `bob-${nth}`)
    for (const id of others) await store.create(newSession({ id, subject: 'bob' }))
    const other = await mysql.createConnection({ ...place })
    t.teardown(() => other.end())
    await other.query('BEGIN')
    for (const id of ['b', ...others]) await other.query(`UPDATE ${table} SET user_agent = 'x' WHERE id = '${id}'`) // so many rows that the server rolls back the store's transaction
    const before = watched.statements.length
    const ended = store.revokeAll('ada', 'revoked') // locks a, and waits for b
    await untilWaiting()
    await other.query(`UPDATE ${table} SET user_agent = 'x' WHERE id = 'a'`)
    await other.query('COMMIT')
    t.equal(await ended, 2)
    t.ok(watched.statements.length > before + 1, 'it ran again')
    t.match(await store.get('a'), { userAgent: 'x', reason: 'revoked' })
  })

  t.test('logouts and revocations of one user at once all succeed', async t => {
    const table = newTable()
    const store = mysqlStore(pool, { table, timeoutMs: 60_000 })
    const ids = Array.from({ length: 60 }, (_, nth) => `s${nth}`)
    await Promise.all(ids.map(id => store.create(newSession({ id }))))
    const ended = await Promise.all([...ids.map(async id => Number(await store.revoke(id, 'logout'))), ...ids.slice(0, 5).map(() => store.revokeAll('ada', 'revoked'))])
    t.equal(ended.reduce((sum, count) => sum + count, 0), 60)
    t.same(await store.list('ada'), [])
  })

  t.test('deadlocks are retried, at most four times, and nothing else is', async t => {
    for (const errno of [1213, 1020]) {
      const once = watch(pool, (sql, nth) => { if (sql.includes("id = X'61'") && nth % 2 === 0) throw failure(errno) })
      t.equal(await mysqlStore(once.pool, { table: 'retried' }).get('a'), null)
    }
    for (const [errno, attempts] of [[1213, 5], [1205, 1], [1317, 1]] as const) {
      const always = watch(pool, sql => { if (sql.includes("id = X'61'")) throw failure(errno) })
      await t.rejects(mysqlStore(always.pool, { table: 'retried' }).revoke('a', 'logout'), numbered(errno))
      t.equal(always.statements.filter(sql => sql.includes("id = X'61'")).length, attempts)
    }
  })

  t.test('a lock wait timeout is a failure, never an unknown session', async t => {
    const table = newTable()
    const store = mysqlStore(poolWith(t, 'SET innodb_lock_wait_timeout = 1'), { table })
    await store.create(newSession({ id: 'a' }))
    const unlock = await lock(table, 'a')
    await Promise.all([
      t.rejects(store.advance('a', 0, ROTATION), numbered(1205)),
      t.rejects(store.revoke('a', 'logout'), numbered(1205)),
      t.rejects(store.revokeAll('ada', 'logout'), numbered(1205))
    ])
    await unlock()
    t.match(await store.get('a'), { generation: 0, revokedAt: null })
  })

  t.test('replay: a statement whose caller gave up does not run later', async t => {
    const table = newTable()
    const store = mysqlStore(poolAt(t, { ...place, connectionLimit: 2 }), { table, timeoutMs: 300 })
    await store.create(newSession({ id: 'a' }))
    const unlock = await lock(table, 'a')
    await Promise.all([
      t.rejects(store.advance('a', 0, ROTATION), { message: /did not answer within 300 ms/ }),
      t.rejects(store.revoke('a', 'logout'), { message: /did not answer/ }),
      t.rejects(store.revokeAll('ada', 'logout'), { message: /did not answer/ }) // has waited for a connection
    ])
    await untilWaiting(0)
    await unlock()
    t.match(await store.get('a'), { generation: 0, revokedAt: null })
  })

  t.test('replay: a call that waited in vain for a connection of the pool does not run later', async t => {
    const small = poolAt(t, { ...place, connectionLimit: 1 })
    const table = newTable()
    const store = mysqlStore(small, { table, timeoutMs: 200 })
    await store.create(newSession({ id: 'a' }))
    const lent = await small.getConnection()
    await t.rejects(store.revoke('a', 'logout'), { message: /did not answer/ })
    lent.release()
    t.match(await store.get('a'), { revokedAt: null })
  })

  t.test('a connection without a thread id is closed all the same', async t => {
    const { pool: silent } = watch(pool, sql => sql.includes("X'61'") ? new Promise(() => {}) : undefined)
    const anonymous = Object.create(silent, {
      getConnection: { value: async () => Object.create(await silent.getConnection(), { threadId: { value: null } }) }
    })
    await t.rejects(mysqlStore(anonymous, { table: newTable(), timeoutMs: 200 }).get('a'), { message: /did not answer/ })
  })

  t.test('a server that does not answer to KILL either is an error in time', async t => {
    const { pool: silent } = watch(pool, sql => /X'61'|^KILL/.test(sql) ? new Promise(() => {}) : undefined)
    const store = mysqlStore(silent, { table: newTable(), timeoutMs: 200 })
    await t.rejects(store.get('a'), { message: /did not answer/ })
    await t.rejects(store.get('a'), { message: /did not answer/ })
  })

  t.test('failover: a lost connection rejects, and the next call gets a new one', async t => {
    const table = newTable()
    const store = mysqlStore(pool, { table })
    await store.create(newSession({ id: 'a' }))
    const unlock = await lock(table, 'a')
    const waiting = t.rejects(store.advance('a', 0, ROTATION), { code: 'PROTOCOL_CONNECTION_LOST' })
    await untilWaiting()
    const [[row]] = await pool.query("SELECT id FROM information_schema.processlist WHERE command = 'Query' AND info LIKE 'INSERT%FOR UPDATE%'") as unknown as [[{ id: number }]]
    await pool.query(`KILL ${row.id}`)
    await waiting
    await unlock()
    t.equal((await store.advance('a', 0, ROTATION))?.generation, 1)
  })

  t.test('a read-only server is refused, and so are writes once it became one', async t => {
    const table = newTable()
    const store = mysqlStore(pool, { table })
    await store.create(newSession({ id: 'a' }))
    await pool.query('SET GLOBAL read_only = 1')
    await t.rejects(mysqlStore(pool, { table }).open(), { name: 'Error', message: /read-only.*primary/ })
    await pool.query('SET GLOBAL read_only = 0')
    await t.resolves(mysqlStore(pool, { table }).open())
    const readers = poolWith(t, 'SET SESSION TRANSACTION READ ONLY')
    await t.rejects(mysqlStore(readers, { table }).open(), { name: 'Error', message: /read-only.*primary/, cause: { errno: 1792 } })
    const later = watch(pool, sql => { if (sql.includes("id = X'61'")) throw failure(1290) })
    await t.rejects(mysqlStore(later.pool, { table }).revoke('a', 'logout'), numbered(1290))
  })

  t.test('an unknown database, an unknown user and a wrong password are refused, and are no outage', async t => {
    for (const wrong of [{ database: 'nowhere' }, { user: 'nobody' }, { password: 'wrong' }]) {
      await t.rejects(mysqlStore(poolAt(t, { ...place, ...wrong })).open(), { name: 'TypeError', message: /refuses the user, the password or the database/, cause: { errno: Number } }, Object.keys(wrong).join())
    }
  })

  t.test('autocommit that is off is refused', async t => {
    await t.rejects(mysqlStore(poolWith(t, 'SET autocommit = 0')).open(), { name: 'TypeError', message: /autocommit is off/ })
  })

  t.test('a connection that the app released inside a transaction is closed, and what it wrote is an error', async t => {
    const small = poolAt(t, { ...place, connectionLimit: 1 })
    const store = mysqlStore(small, { table: newTable() })
    await store.open()
    for (const sql of ['START TRANSACTION', 'SET autocommit = 0']) {
      const released = await small.getConnection()
      await released.query(sql)
      released.release()
      const session = newSession()
      await t.rejects(store.create(session), { message: /inside a transaction/ }, sql)
      t.equal(await store.get(session.id), null, 'nothing is left of it')
      await store.create(session)
      t.match(await store.get(session.id), { id: session.id })
    }
    const single = await mysql.createConnection({ ...place })
    t.teardown(() => single.end())
    const onSingle = mysqlStore(single, { table: newTable() })
    await onSingle.open()
    await single.beginTransaction()
    await t.rejects(onSingle.create(newSession()), { message: /inside a transaction/ })
  })

  t.test('connections without a database need the full name of the table', async t => {
    const { database, ...server } = place
    const nowhere = poolAt(t, server)
    await t.rejects(mysqlStore(nowhere).open(), { name: 'TypeError', message: /no database.*"database\.name"/ })
    const table = newTable()
    const store = mysqlStore(nowhere, { table: `${database}.${table}` })
    await store.create(newSession({ id: 'a' }))
    t.equal((await mysqlStore(pool, { table }).get('a'))?.id, 'a')
  })

  t.test('processes that start at once create the table once', async t => {
    for (let round = 0; round < 3; round++) {
      const table = newTable()
      await t.resolves(Promise.all(Array.from({ length: 6 }, () => mysqlStore(pool, { table, timeoutMs: 60_000 }).open())))
    }
  })

  t.test('a revocation that commits late is not missed', async t => {
    const table = newTable()
    const [here, there] = [mysqlStore(pool, { table }), mysqlStore(poolAt(t, { ...place }), { table, pollEveryMs: 20 })]
    for (const id of ['a', 'b']) await here.create(newSession({ id }))
    const [revoked, connections] = [notifications<object>(), notifications<boolean>()]
    t.teardown(there.subscribe(revoked.notify, connections.notify))
    t.equal(await connections.next(), true)
    const late = await mysql.createConnection({ ...place })
    await late.query('BEGIN')
    const revocation = watch(pool)
    await mysqlStore(revocation.pool, { table }).revoke('unknown', 'logout')
    await late.query(String(revocation.statements.at(-1)).replace(/X'[0-9a-f]*' AND s\.revoked_at/, "'a' AND s.revoked_at")) // takes the next number
    const later = here.revoke('b', 'logout')
    await untilWaiting()
    await late.query('COMMIT')
    await late.end()
    t.equal(await later, true)
    t.same([await revoked.next(), await revoked.next()], [{ id: 'a' }, { id: 'b' }])
  })

  t.test('a table whose ids may repeat is refused', async t => {
    const table = newTable()
    await pool.query(mysqlSchema({ table }))
    await pool.query(`ALTER TABLE ${table} DROP PRIMARY KEY, ADD UNIQUE (id, subject)`)
    await t.rejects(mysqlStore(pool, { table }).open(), { name: 'TypeError', message: new RegExp(`"id".*"${table}"`) })
  })

  t.test('a table without transactions is refused', async t => {
    const table = newTable()
    await pool.query(mysqlSchema({ table }).replace(/ENGINE=.*;/, 'ENGINE=Aria'))
    await t.rejects(mysqlStore(pool, { table }).open(), { name: 'TypeError', message: /engine Aria/i })
  })

  t.test('a table made by hand is used, and gets its missing indexes', async t => {
    const table = newTable()
    await pool.query(mysqlSchema({ table }))
    await pool.query(`ALTER TABLE ${table} DROP INDEX by_subject, DROP INDEX by_expires_at, MODIFY user_agent longblob, ADD COLUMN note text, DROP PRIMARY KEY, ADD UNIQUE (id)`)
    const store = mysqlStore(pool, { table })
    await store.create(newSession({ id: 'a' }))
    const [rows] = await pool.query(`SHOW INDEX FROM ${table}`) as unknown as [Array<{ Key_name: string }>]
    t.same([...new Set(rows.map(row => row.Key_name))].sort(), ['by_expires_at', 'by_revocation', 'by_subject', 'id'])
  })

  t.test('an index that another process made meanwhile is no error, and any other failure is', async t => {
    for (const [errno, outcome] of [[1061, 'resolves'], [1030, 'rejects']] as const) {
      const table = newTable()
      await pool.query(mysqlSchema({ table }).replace(/,\n {2}KEY by_subject[^\n]*\)(?=,)/, ''))
      const watched = watch(pool, sql => { if (sql.startsWith('CREATE INDEX')) throw failure(errno) })
      await t[outcome](mysqlStore(watched.pool, { table }).open())
      t.equal(watched.statements.filter(sql => sql.startsWith('CREATE INDEX')).length, 1)
    }
  })

  /** A user without any right, with a pool, until `t` ends. */
  const limitedUser = async (t: Test) => {
    const user = `limited_${randomBytes(6).toString('hex')}`
    await pool.query(`CREATE USER ${user}@'%' IDENTIFIED BY 'secret'`)
    t.teardown(() => pool.query(`DROP USER ${user}@'%'`))
    return { user, grant: (rights: string, table: string) => pool.query(`GRANT ${rights} ON ${place.database}.${table} TO ${user}@'%'`), limited: poolAt(t, { ...place, user, password: 'secret' }) }
  }

  t.test('least privilege: a user without CREATE is refused only if the table is missing', async t => {
    const { user, grant, limited } = await limitedUser(t)
    const table = newTable()
    await grant('SELECT', 'retried')
    const error = await t.rejects(mysqlStore(limited, { table }).open(), { name: 'TypeError', cause: { errno: 1142 } })
    await pool.query(mysqlSchema({ table }))
    const sql = /GRANT .*;$/.exec((error as Error).message)?.[0] ?? ''
    t.equal(sql, `GRANT SELECT, INSERT, UPDATE, DELETE ON \`${place.database}\`.\`${table}\` TO '${user}'@'%';`)
    await pool.query(sql)
    const store = mysqlStore(limited, { table })
    const session = newSession()
    await store.create(session)
    t.equal((await store.advance(session.id, 0, ROTATION))?.generation, 1)
    t.equal(await store.revoke(session.id, 'logout'), true)
    t.equal(await store.revokeAll('ada', 'logout'), 0)
    t.equal(await store.purgeExpired(START + 10 ** 9), 1)
  })

  t.test('least privilege: a missing right is an error at start, with the SQL that grants it', async t => {
    const { user, grant, limited } = await limitedUser(t)
    const table = newTable()
    await pool.query(mysqlSchema({ table }))
    for (const [granted, missing] of [['SELECT', 'INSERT, UPDATE, DELETE'], ['SELECT, INSERT, UPDATE (generation)', 'UPDATE, DELETE'], ['UPDATE', 'DELETE']] as const) {
      await grant(granted, table)
      await t.rejects(mysqlStore(limited, { table: `${place.database}.${table}` }).open(), { name: 'TypeError', message: new RegExp(`GRANT ${missing} ON .* TO '${user}'`) })
    }
    await grant('DELETE', table)
    await t.resolves(mysqlStore(limited, { table }).open())
  })

  t.test('least privilege: an index that the user cannot create is an error with its SQL', async t => {
    const { grant, limited } = await limitedUser(t)
    const table = newTable()
    await pool.query(mysqlSchema({ table }))
    await pool.query(`DROP INDEX by_expires_at ON ${table}`)
    await grant('SELECT, INSERT, UPDATE, DELETE', table)
    const error = await t.rejects(mysqlStore(limited, { table }).open(), { name: 'TypeError', cause: { errno: 1142 } })
    await pool.query(/CREATE INDEX.*;$/.exec((error as Error).message)?.[0] ?? '')
    await t.resolves(mysqlStore(limited, { table }).open())
  })

  t.test('another failure of a right’s check is passed on', async t => {
    const failing = watch(pool, sql => { if (sql.startsWith('DELETE')) throw failure(1030) })
    await t.rejects(mysqlStore(failing.pool, { table: newTable() }).open(), numbered(1030))
    const noTable = watch(pool, sql => { if (sql.startsWith('CREATE TABLE')) throw failure(1030) })
    await t.rejects(mysqlStore(noTable.pool, { table: newTable() }).open(), numbered(1030))
  })
})

t.test('an unreachable server is an error', async t => {
  await t.rejects(mysqlStore(poolAt(t, { host: '127.0.0.1', port: 1 })).get('a'), { code: 'ECONNREFUSED' })
})

t.test('the types accept pools and connections of both interfaces', async t => {
  const compiled = (a: Pool, b: mysql.Connection, c: callbacks.Pool, d: callbacks.Connection) => [mysqlStore(a), mysqlStore(b), mysqlStore(c), mysqlStore(d)]
  t.type(compiled, 'function')
})

t.test('a connection on which KILL fails does not go back to the pool', async t => {
  const ended: string[] = []
  let nth = 0
  const pool = {
    pool: {},
    query: async () => {},
    async getConnection () {
      const name = String(++nth)
      const query = name === '1' ? () => new Promise(() => {}) : async () => { throw new Error('lost') }
      return { threadId: 7, query, release: () => ended.push(`${name} released`), destroy: () => ended.push(`${name} destroyed`) }
    }
  }
  await t.rejects(new MysqlRunner(pool, 100).rows('SELECT 1'), { message: /within 100 ms/ })
  await new Promise(setImmediate)
  t.same(ended, ['1 destroyed', '2 destroyed'])
})
