import t, { type Test } from 'tap'
import { type SessionStore } from '../../../lib/sessions/store.js'
import { START } from '../../support/fake-clock.js'
import { newTable } from '../../support/databases.js'
import { notifications } from '../../support/notifications.js'
import { newSession, ROTATION } from '../../support/session.js'
import { SQL_DATABASES, type SqlDatabase } from './databases.js'

/** The timers of a poll keep no process alive, and SQLite has no connection that would. */
const alive = setInterval(() => {}, 1000)
t.teardown(() => clearInterval(alive))

for (const [name, open] of Object.entries(SQL_DATABASES)) {
  t.test(name, async t => {
    const database = await open(t)
    if (database === null) return
    tested(t, database)
    if (database.polling !== undefined) polled(t, database, database.polling)
  })
}

function tested (t: Test, { newStore, watched, ending, run, series, schema, describe, qualified, misfits }: SqlDatabase): void {
  /** Sessions 1 to `count`. */
  async function fill (table: string, count: number, { subject, expiresAt }: Record<'subject' | 'expiresAt', string>): Promise<void> {
    await run(`INSERT INTO ${table} (id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time)
      SELECT n, ${subject}, 0, ${START}, ${START}, ${expiresAt}, ${expiresAt}, ${START} FROM ${series(count)}`)
  }

  t.test('subjects and ids that differ in a single byte are different', async t => {
    const store = newStore({ table: newTable() })
    const subjects = ['a', 'A', 'a ', ' a', 'ä', 'a\u0308', '7', '07', '7.0', '🦉', '🦊', 'x'.repeat(255), 'X'.repeat(255), `${'x'.repeat(254)} `, '李'.repeat(255)]
    for (const [nth, subject] of subjects.entries()) await store.create(newSession({ id: String(nth), subject }))
    for (const id of ['a', 'A', 'a ']) await store.create(newSession({ id, subject: `id ${id}` }))
    for (const [nth, subject] of subjects.entries()) t.same((await store.list(subject)).map(({ id }) => id), [String(nth)], subject)
    for (const id of ['a', 'A', 'a ']) t.equal((await store.get(id))?.subject, `id ${id}`)
  })

  t.test('a flood of sessions is revoked in batches, each committed', async t => {
    const table = newTable()
    const store = newStore({ table, clock: () => START })
    await store.open()
    await fill(table, 2500, { subject: "'ada'", expiresAt: `${START} + 600` })
    await store.create(newSession({ id: 'spared' }))
    const counts = []
    for (let call = 0; call < 4; call++) counts.push(await store.revokeAll('ada', 'revoked', 'spared'))
    t.same(counts, [1000, 1000, 500, 0])
    t.same((await store.list('ada')).map(({ id }) => id), ['spared'])
  })

  t.test('a purge deletes in batches and leaves live sessions', async t => {
    const table = newTable()
    const { store, statements } = watched({ table })
    await store.open()
    await fill(table, 2500, { subject: 'n', expiresAt: `${START} - n` })
    await store.create(newSession({ id: 'live' }))
    statements.length = 0
    t.equal(await store.purgeExpired(START), 2500)
    t.equal(statements.length, 3)
    t.equal((await store.get('live'))?.id, 'live')
  })

  t.test('a purge ends with its batch once the app closes', async t => {
    const table = newTable()
    const store = newStore({ table })
    await store.open()
    await fill(table, 2500, { subject: 'n', expiresAt: `${START} - n` })
    t.equal(await store.purgeExpired(START, AbortSignal.abort()), 1000)
    t.equal(await store.purgeExpired(START), 1500)
  })

  t.test('denial of service: other work runs between the batches of a purge and of revokeAll', async t => {
    const table = newTable()
    const store = newStore({ table })
    await store.open()
    for (const batches of [async () => await store.purgeExpired(START), async () => await store.revokeAll('ada', 'revoked')]) {
      await fill(table, 1500, { subject: "'ada'", expiresAt: `${START} - 1` })
      let isBetween = false
      setImmediate(() => { isBetween = true })
      t.ok(await batches() >= 1000)
      t.ok(isBetween)
    }
  })

  t.test('an ended client is an error, never an unknown session', async t => {
    const { store, end } = ending({ table: newTable() })
    await store.open()
    await end()
    await t.rejects(store.get('a'))
    await t.rejects(store.advance('a', 0, ROTATION))
    await t.rejects(store.revoke('a', 'logout'))
    await t.rejects(store.list('ada'))
    await t.rejects(store.purgeExpired(START))
  })

  t.test('a revocation is dated by the system clock by default', async t => {
    const store = newStore({ table: newTable() })
    await store.create(newSession({ id: 'a' }))
    await store.revoke('a', 'logout')
    t.ok(Number.isSafeInteger((await store.get('a'))?.revokedAt))
  })

  t.test('every allowed name creates a table', async t => {
    for (const table of ['a', '_', 'order', 'select', 't'.repeat(63), ...(qualified === undefined ? [] : [qualified])]) {
      await newStore({ table }).create(newSession({ id: 'a' }))
      t.equal((await newStore({ table }).get('a'))?.id, 'a', table)
    }
  })

  t.test('a table that does not fit is refused with the wrong column', async t => {
    for (const [column, sql] of misfits) {
      const table = newTable()
      for (const statement of sql(table)) await run(statement)
      await t.rejects(newStore({ table }).open(), { name: 'TypeError', message: new RegExp(`"${column}" of the table "${table}" is .*, but must be`) }, column)
    }
  })

  t.test('its schema creates the same table as the store', async t => {
    const [own, migrated] = [newTable(), newTable()]
    await newStore({ table: own }).open()
    await run(schema({ table: migrated }))
    t.same(await describe(migrated), await describe(own))
    t.match(schema(), /^CREATE TABLE (IF NOT EXISTS )?["`]auth_sessions["`] \(/)
    t.throws(() => schema({ table: 'a b' }), { name: 'TypeError', message: new RegExp(`^${schema.name}: the option "table"`) })
  })
}

function polled (t: Test, { newStore, run }: SqlDatabase, newPolling: (options: { readonly table: string }) => Required<SessionStore>): void {
  t.test('a revocation reaches the listeners of every process, with little delay', async t => {
    const table = newTable()
    const [here, there] = [newStore({ table }), newPolling({ table })]
    const [revoked, connections] = [notifications<object>(), notifications<boolean>()]
    t.teardown(there.subscribe(revoked.notify, connections.notify))
    t.equal(await connections.next(), true)
    for (const id of ['a', 'b', 'c', 'd']) await here.create(newSession({ id }))
    await here.revoke('d', 'logout')
    t.equal(await here.revokeAll('ada', 'revoked', 'b'), 2)
    for (const id of ['d', 'a', 'c']) t.same(await revoked.next(), { id })
  })

  t.test('a lost counter of revocations interrupts a subscription, and is made again', async t => {
    const table = newTable()
    const store = newPolling({ table })
    const [revoked, connections] = [notifications<object>(), notifications<boolean>()]
    t.teardown(store.subscribe(revoked.notify, connections.notify))
    t.equal(await connections.next(), true)
    for (const id of ['a', 'b']) await store.create(newSession({ id }))
    await run(`DELETE FROM ${table} WHERE id = ':revocations'`)
    t.equal(await store.revoke('a', 'logout'), true, 'a session ends all the same')
    t.equal(await connections.next(), false)
    t.equal(await connections.next(), true)
    t.equal(await store.revoke('b', 'logout'), true)
    t.same([await revoked.next(), await revoked.next()], [{ id: 'a' }, { id: 'b' }])
  })
}
