import { randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { type RefreshCookieOptions, type SessionStore } from '../../lib/index.js'
import { DATABASES, type Database, type DatabaseStore } from '../support/databases.js'

const newSecret = (): string => randomBytes(48).toString('base64')

/** An app as in the README; `enter` logs user 1 in. */
async function appOn (t: Test, store: SessionStore, options: RefreshCookieOptions): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(refreshCookie, { store, ...options })
  app.post('/enter', async ({ auth }) => await auth.login('1'))
  return app
}

async function starts (t: Test, store: SessionStore, options: RefreshCookieOptions): Promise<FastifyInstance> {
  const app = await appOn(t, store, options)
  await app.ready()
  return app
}

const refused = async (t: Test, store: SessionStore, options: RefreshCookieOptions): Promise<void> => {
  const app = await appOn(t, store, options)
  await t.rejects(async () => { await app.ready() }, { name: 'TypeError', message: /belongs to another app/ })
}

function twoApps (t: Test, { place, run }: Database): void {
  t.test('account confusion: two apps with the configuration of the README cannot share sessions: the second does not start', async t => {
    const newStore = place(t)
    const first = await starts(t, newStore(), { secret: newSecret() })
    await first.inject({ method: 'POST', url: '/enter' })
    await refused(t, newStore(), { secret: newSecret() })
    t.equal((await first.sessions.list('1')).length, 1)
  })

  t.test('instances of one app share sessions, also through a change of keys', async t => {
    const newStore = place(t)
    const [old, next] = [newSecret(), newSecret()]
    for (const secret of [old, [old, next], [next, old], old, [old, next], next]) await starts(t, newStore(), { secret })
    await refused(t, newStore(), { secret: old })
  })

  t.test('registrations with the same secret and store share sessions', async t => {
    const options = { secret: newSecret(), store: place(t)() }
    const app = await starts(t, options.store, options)
    await app.close()
    const both = await appOn(t, options.store, options)
    both.register(async native => {
      await native.register(refreshCookie, { ...options, prefix: '/native', refreshToken: { transport: 'body' } })
    })
    await t.resolves(async () => { await both.ready() })
  })

  t.test('key compromise: removing a leaked key at run time stops no instance', async t => {
    const newStore = place(t)
    let secret = newSecret()
    const running = await starts(t, newStore(), { secret: () => secret })
    secret = newSecret()
    await running.reloadKeys()
    t.equal((await running.inject({ method: 'POST', url: '/enter' })).statusCode, 200)
    await starts(t, newStore(), { secret })
  })

  t.test('key compromise: removing a leaked key at a restart stops no app with an appName', async t => {
    const newStore = place(t)
    await starts(t, newStore(), { secret: newSecret(), appName: 'shop' })
    await starts(t, newStore(), { secret: newSecret(), appName: 'shop' })
    await refused(t, newStore(), { secret: newSecret(), appName: 'blog' })
  })

  t.test('without an appName the command of the error fixes the start', async t => {
    const newStore = place(t)
    await starts(t, newStore(), { secret: newSecret() })
    const app = await appOn(t, newStore(), { secret: newSecret(), appName: 'shop' })
    const error = await t.rejects(async () => { await app.ready() }, { name: 'TypeError' })
    await run(/run once: (.*)$/.exec((error as Error).message)?.[1] ?? '')
    await starts(t, newStore(), { secret: newSecret(), appName: 'shop' })
  })

  t.test('an app that starts during an outage of a foreign store is refused afterwards', async t => {
    const newStore = place(t)
    await starts(t, newStore(), { secret: newSecret() })
    const store = newStore()
    const app = await appOn(t, { ...store, open: async () => { throw new Error('away') } }, { secret: newSecret() })
    await app.ready()
    t.equal((await app.inject({ method: 'POST', url: '/enter' })).statusCode, 503)
    await t.rejects(store.get('a'), { name: 'TypeError', message: /another app/ })
  })

  t.test('scripts that use the store directly are never refused', async t => {
    const newStore = place(t)
    await starts(t, newStore(), { secret: newSecret() })
    await t.resolves(newStore().revokeAll('1', 'revoked'))
  })
}

/** The store's own rows, which no method may return as a session. */
const OWN_ROWS = [':app', ':revocations']

async function hasNoSessions (t: Test, store: DatabaseStore, purged: number | undefined): Promise<void> {
  await starts(t, store, { secret: newSecret() })
  for (const id of OWN_ROWS) {
    t.same(await store.list(id), [])
    t.equal(await store.revoke(id, 'revoked'), false)
    t.equal(await store.revokeAll(id, 'revoked'), 0)
    t.equal(await store.advance(id, 0, { generation: 1, previous: 0, rotatedAt: 0, idleExpiresAt: 0 }), null)
  }
  t.equal(await store.purgeExpired?.(10_000_000_000), purged)
}

for (const [name, open] of Object.entries(DATABASES)) {
  t.test(`on one ${name}`, async t => {
    const database = await open(t)
    if (database === null) return
    twoApps(t, database)
    t.test('the records of the owner and of revocations are no sessions', async t => await hasNoSessions(t, database.place(t)(), name.startsWith('Redis') ? undefined : 0))
  })
}
