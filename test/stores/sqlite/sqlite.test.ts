import type Database from 'better-sqlite3'
import t, { type Test } from 'tap'
import { sqliteSchema, sqliteStore, type SqliteDatabase } from '../../../lib/stores/sqlite/index.js'
import { newTable } from '../../support/databases.js'
import { START } from '../../support/fake-clock.js'
import { notifications } from '../../support/notifications.js'
import { newSession, ROTATION } from '../../support/session.js'
import { sqliteDatabase, sqliteFile } from '../../support/sqlite.js'
import { keepsTheContract } from '../../support/store-contract.js'

const contractOn = (t: Test, db: SqliteDatabase): void => keepsTheContract(t, options => sqliteStore(db, { ...options, table: newTable(), pollEveryMs: 10 }))

/** A database that fails as node:sqlite does, and that returns rows as arrays by default. */
function likeNodeSqlite (db: Database.Database) {
  const codes: Record<string, number> = { SQLITE_BUSY: 5, SQLITE_READONLY: 8, SQLITE_FULL: 13 }
  const failing = <T>(call: () => T): T => {
    try {
      return call()
    } catch (error) {
      const { code = '', message } = error as { code?: string, message: string }
      throw Object.assign(new Error(message), { code: 'ERR_SQLITE_ERROR', errcode: (codes[code] ?? 1) + 256 })
    }
  }
  return {
    get isTransaction () { return db.inTransaction },
    exec: (sql: string) => failing(() => db.exec(sql)),
    prepare (sql: string) {
      const statement = failing(() => db.prepare(sql))
      let asArrays = true
      return {
        setReturnArrays (enabled: boolean) { asArrays = enabled },
        all: (...values: unknown[]) => failing(() => statement.all(...values)).map(row => asArrays ? Object.values(Object(row)) : row)
      }
    }
  }
}

t.test('SQLite in memory keeps the contract', async t => contractOn(t, sqliteDatabase(t)))

t.test('SQLite in a file keeps the contract, with integers as bigints too', async t => {
  const db = sqliteDatabase(t, await sqliteFile(t))
  db.defaultSafeIntegers(true)
  contractOn(t, db)
})

t.test('a database like that of node:sqlite keeps the contract', async t => contractOn(t, likeNodeSqlite(sqliteDatabase(t))))

/** A driver that does not show an open transaction, such as node:sqlite before Node 22.16. */
const withoutState = (db: Database.Database): SqliteDatabase => ({ exec: sql => db.exec(sql), prepare: sql => db.prepare(sql) })

t.test('a driver that does not show an open transaction keeps the contract', async t => contractOn(t, withoutState(sqliteDatabase(t))))

t.test('a driver that does not show an open transaction: a call rejects while the app has one, and if the database fails', async t => {
  const db = sqliteDatabase(t)
  const store = sqliteStore(withoutState(db))
  await store.create(newSession({ id: 'a' }))
  db.exec('BEGIN')
  await t.rejects(store.revoke('a', 'logout'), { message: /open transaction/ })
  db.exec('ROLLBACK')
  t.equal(await store.revoke('a', 'logout'), true)
  db.close()
  await t.rejects(store.get('a'), { message: 'The database connection is not open' })
})

t.test('WAL is on, so a reader does not wait for a writer', async t => {
  const file = await sqliteFile(t)
  const [here, there] = [sqliteDatabase(t, file), sqliteDatabase(t, file, { timeout: 0 })]
  const store = sqliteStore(there)
  await store.create(newSession({ id: 'a' }))
  here.exec('BEGIN IMMEDIATE')
  t.equal((await store.get('a'))?.id, 'a')
  here.exec('ROLLBACK')
})

t.test('a write waits for another process, while other requests run', async t => {
  const file = await sqliteFile(t)
  for (const driver of [(db: Database.Database) => db, likeNodeSqlite]) {
    const [here, there] = [sqliteDatabase(t, file), sqliteDatabase(t, file, { timeout: 0 })]
    const store = sqliteStore(driver(there), { table: newTable() })
    for (const id of ['a', 'b']) await store.create(newSession({ id }))
    here.exec('BEGIN IMMEDIATE')
    const waiting = Promise.all([store.advance('a', 0, ROTATION), store.revoke('b', 'logout')])
    await new Promise(setImmediate) // other work of this process
    here.exec('ROLLBACK')
    const [advanced, revoked] = await waiting
    t.same([advanced?.generation, revoked], [1, true])
  }
})

t.test('the first call waits once for another process, if the connection has a busy_timeout', async t => {
  const file = await sqliteFile(t)
  const [here, there] = [sqliteDatabase(t, file), sqliteDatabase(t, file, { timeout: 1 })]
  here.exec('CREATE TABLE other (id TEXT); BEGIN IMMEDIATE; INSERT INTO other VALUES (1)')
  let tries = 0
  const store = sqliteStore({
    exec: sql => there.exec(sql),
    prepare (sql) {
      if (sql.includes('journal_mode')) tries++
      return there.prepare(sql)
    }
  })
  await t.rejects(store.open(), { code: 'SQLITE_BUSY' })
  t.equal(tries, 1)
  here.exec('ROLLBACK')
  await store.open()
})

t.test('a write that waited in vain rejects, as a failure', async t => {
  const file = await sqliteFile(t)
  for (const timeout of [0, 20]) {
    const [here, there] = [sqliteDatabase(t, file), sqliteDatabase(t, file, { timeout })]
    const store = sqliteStore(there, { table: newTable() })
    await store.create(newSession({ id: 'a' }))
    here.exec('BEGIN IMMEDIATE')
    const calls = [store.advance('a', 0, ROTATION), store.revoke('a', 'logout'), store.revokeAll('ada', 'logout'), store.purgeExpired(START), store.create(newSession())]
    for (const { reason } of await Promise.allSettled(calls) as PromiseRejectedResult[]) t.match(reason, { code: 'SQLITE_BUSY' })
    here.exec('ROLLBACK')
    t.match(await store.get('a'), { generation: 0, revokedAt: null })
  }
})

t.test('a transaction of the app on the connection refuses calls, since its rollback would undo them', async t => {
  for (const driver of [(db: Database.Database) => db, likeNodeSqlite]) {
    const db = sqliteDatabase(t)
    const store = sqliteStore(driver(db))
    await store.create(newSession({ id: 'a' }))
    db.exec('BEGIN')
    await t.rejects(store.advance('a', 0, ROTATION), { message: /open transaction.*a connection of its own/ })
    await t.rejects(store.revoke('a', 'logout'), { message: /open transaction/ })
    db.exec('ROLLBACK')
    t.match(await store.get('a'), { generation: 0, revokedAt: null })
  }
})

t.test('a revocation that cannot take its number changes nothing', async t => {
  for (const action of ['ABORT', 'ROLLBACK']) {
    const db = sqliteDatabase(t)
    const store = sqliteStore(db)
    await store.create(newSession({ id: 'a' }))
    db.exec(`CREATE TRIGGER fails BEFORE UPDATE ON auth_sessions WHEN new.id = ':revocations' BEGIN SELECT raise(${action}, 'not this time'); END`)
    await t.rejects(store.revoke('a', 'logout'), { message: 'not this time' })
    t.match(await store.get('a'), { revokedAt: null })
    t.equal(db.inTransaction, false)
    db.exec('DROP TRIGGER fails')
    t.equal(await store.revoke('a', 'logout'), true)
  }
})

t.test('a full disk rejects new sessions, and reads and rotations go on', async t => {
  const db = sqliteDatabase(t, await sqliteFile(t))
  const store = sqliteStore(db)
  await store.create(newSession({ id: 'a' }))
  db.pragma(`max_page_count = ${Number(db.pragma('page_count', { simple: true })) + 1}`)
  const large = () => newSession({ userAgent: 'x'.repeat(2000) })
  await t.rejects(async () => { for (let nth = 0; nth < 20; nth++) await store.create(large()) }, { code: 'SQLITE_FULL' })
  t.equal((await store.advance('a', 0, ROTATION))?.generation, 1)
  t.equal(await store.revoke('a', 'logout'), true)
  db.pragma('max_page_count = 1000000')
  await t.resolves(store.create(large()))
})

t.test('a read-only database is refused', async t => {
  const file = await sqliteFile(t)
  await sqliteStore(sqliteDatabase(t, file)).open()
  const db = sqliteDatabase(t, file, { readonly: true })
  for (const driver of [db, likeNodeSqlite(db)]) await t.rejects(sqliteStore(driver).open(), { name: 'TypeError', message: /read-only/ })
})

/** The timers of a poll keep no process alive, and there is no connection that would. */
const alive = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(alive))

t.test('no statement scans or sorts the whole table', async t => {
  const db = sqliteDatabase(t)
  const texts = new Map<string, number>()
  const store = sqliteStore({
    exec: sql => db.exec(sql),
    prepare (sql) {
      if (/^(SELECT|UPDATE|DELETE)/.test(sql)) texts.set(sql, sql.split('?').length - 1)
      return db.prepare(sql)
    }
  })
  await store.create(newSession({ id: 'a' }))
  await store.open()
  texts.clear()
  await store.get('a')
  await store.advance('a', 0, ROTATION)
  await store.list('ada')
  await store.revoke('a', 'logout')
  await store.revokeAll('ada', 'logout')
  await store.purgeExpired(START)
  const connected = notifications<boolean>()
  t.teardown(store.subscribe(() => {}, connected.notify))
  await connected.next()
  t.ok(texts.size >= 9)
  for (const [text, count] of texts) {
    const plan = db.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...Array.from({ length: count }, () => null)) as Array<{ detail: string }>
    t.notMatch(plan.map(({ detail }) => detail).join('; '), /SCAN (?!\(|CONSTANT)|TEMP B-TREE/, text)
  }
})

t.test('each statement is prepared once', async t => {
  const db = sqliteDatabase(t)
  const prepared: string[] = []
  const store = sqliteStore({ exec: sql => db.exec(sql), prepare (sql) { prepared.push(sql); return db.prepare(sql) } })
  for (const id of ['a', 'b']) {
    await store.create(newSession({ id }))
    await store.advance(id, 0, ROTATION)
    await store.revoke(id, 'logout')
  }
  t.same(prepared.length, new Set(prepared).size)
})

t.test('a foreign table is refused', async t => {
  const db = sqliteDatabase(t)
  db.exec('CREATE TABLE auth_sessions (subject TEXT, expires_at INTEGER)')
  await t.rejects(sqliteStore(db).get('a'), { name: 'TypeError', message: /"id" .* is missing/ })
})

t.test('a collation that would mix accounts is refused', async t => {
  const db = sqliteDatabase(t)
  db.exec(sqliteSchema().replace('subject TEXT', 'subject TEXT COLLATE NOCASE'))
  await t.rejects(sqliteStore(db).open(), { name: 'TypeError', message: /collation.*COLLATE/ })
})

t.test('another failure at the start is the error of SQLite, and the next call tries again', async t => {
  const db = sqliteDatabase(t)
  const errors = [Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR' }), { name: 'Odd' }]
  const store = sqliteStore({
    exec: sql => db.exec(sql),
    prepare (sql) {
      if (errors.length > 0 && sql.startsWith('INSERT')) throw errors.shift()
      return db.prepare(sql)
    }
  })
  await t.rejects(store.open(), { code: 'SQLITE_IOERR' })
  await t.rejects(store.open(), { name: 'Odd' })
  await t.resolves(store.open())
})

t.test('a revocation that ends no session has no number', async t => {
  const db = sqliteDatabase(t)
  await sqliteStore(db).revoke('nobody', 'logout')
  t.same(db.prepare("SELECT revocation FROM auth_sessions WHERE id = ':revocations'").get(), { revocation: 0 })
})

t.test('two apps: the first call after a failed start waits until the owner is known', async t => {
  const db = sqliteDatabase(t)
  await sqliteStore(db).claim({ name: 'shop', keyIds: ['a'] })
  let isAway = true
  const store = sqliteStore({ prepare: sql => db.prepare(sql), exec: sql => { if (isAway) throw new Error('away'); return db.exec(sql) } })
  await t.rejects(store.claim({ name: 'blog', keyIds: ['b'] }), { message: 'away' })
  isAway = false
  await t.rejects(store.create(newSession()), { name: 'TypeError', message: /belongs to another app/ })
})
