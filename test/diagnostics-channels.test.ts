import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { memoryStore, statelessStore, type AuthEventMessage, type AuthOperation } from '../lib/index.js'
import { HashingQueue } from '../lib/accounts/hashing-queue.js'
import { isObserved, observe, observedStore } from '../lib/diagnostics-channels.js'
import { forged } from './tokens/forge.js'
import { loggedIn, PASSWORD, server, sessionOf, START } from './support/server.js'
import { newSession } from './support/session.js'

interface Seen {
  /** Each operation at its start, as kind and name. */
  readonly started: string[]
  /** Each operation at its end, as kind, name and outcome. */
  readonly ended: string[]
  readonly events: AuthEventMessage[]
  readonly messages: unknown[]
}

/** Subscribes to all channels until the test ends. */
function watch (t: Test): Seen {
  const seen: Seen = { started: [], ended: [], events: [], messages: [] }
  const follow = (name: string, add: (message: unknown) => void): void => {
    const listener = (message: unknown): void => {
      seen.messages.push(message)
      add(message)
    }
    subscribe(`fastify-refresh-cookie:${name}`, listener)
    t.teardown(() => { unsubscribe(`fastify-refresh-cookie:${name}`, listener) })
  }
  follow('start', message => {
    const { kind, name, seconds, outcome } = message as AuthOperation
    t.strictSame([seconds, outcome], [undefined, undefined])
    seen.started.push(`${kind} ${name}`)
  })
  follow('end', message => {
    const { kind, name, seconds, outcome } = message as AuthOperation
    t.ok(Number(seconds) >= 0)
    seen.ended.push(`${kind} ${name} ${outcome}`)
  })
  follow('event', message => { seen.events.push(message as AuthEventMessage) })
  return seen
}

t.test('metrics: a login, its password work and its store call have a start and an end', async t => {
  const s = await server(t)
  await s.browser().signup('ada')
  const seen = watch(t)
  await s.browser().login('ada')
  t.strictSame(seen.started, ['route login', 'password work', 'store create', 'store list'])
  t.strictSame([...seen.ended].sort(), ['password work ok', 'route login ok', 'store create ok', 'store list ok'])
  t.strictSame(seen.events, [{ type: 'login' }])
})

t.test('metrics: a HEAD request is an operation as a GET is', async t => {
  const s = await loggedIn(t)
  const seen = watch(t)
  await s.ada.send({ method: 'HEAD', url: '/auth/sessions' })
  t.strictSame(seen.started, ['route listSessions', 'store get', 'store list'])
})

t.test('metrics: a refusal has its code as outcome, of the operation and of the event', async t => {
  const s = await loggedIn(t)
  const seen = watch(t)
  await s.app.inject({ method: 'POST', url: '/auth/refresh' })
  t.strictSame(seen.ended, ['route refresh FST_AUTH_REFRESH_TOKEN_MISSING'])
  t.strictSame(seen.events, [{ type: 'refresh_refused', code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }])
})

t.test('metrics: a failure of the store is its own operation', async t => {
  const s = await loggedIn(t)
  const seen = watch(t)
  s.store.faults.push({ moment: 'before', kind: 'throw' })
  s.wait(60)
  await s.ada.refresh()
  t.strictSame(seen.ended, ['store advance failed', 'route refresh FST_AUTH_STORE_UNAVAILABLE'])
  t.strictSame(seen.events, [{ type: 'store_unavailable' }])
})

t.test('metrics: an access token is an operation only where the store is asked', async t => {
  const s = await loggedIn(t, {}, {}, app => { app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({})) })
  const seen = watch(t)
  await s.ada.get('/me')
  t.strictSame(seen.ended, [])
  await s.ada.get('/strict')
  t.strictSame(seen.ended, ['store get ok', 'authenticate request ok'])
})

t.test('metrics: events have what tells them apart, and those that the log leaves out are counted too', async t => {
  const s = await loggedIn(t)
  const seen = watch(t)
  for (let nth = 0; nth < 30; nth++) await s.app.inject('/me')
  t.equal(seen.events.splice(0).length, 30)
  await s.ada.refresh()
  await s.app.sessions.revoke(sessionOf(s.ada))
  t.strictSame(seen.events, [{ type: 'refresh', outcome: 'hold' }, { type: 'revoked', reason: 'revoked' }])
})

t.test('metrics: a rate limit and the revocation feed are events with what they are about', async t => {
  const s = await server(t, { rateLimit: { perAddress: { max: 1, per: '15m' } } })
  const seen = watch(t)
  for (let nth = 0; nth < 2; nth++) await s.browser().login('nobody')
  t.strictSame(seen.events, [{ type: 'login_failed' }, { type: 'throttled', what: 'address' }])

  const memory = memoryStore()
  let connection: ((up: boolean) => void) | undefined
  const watched = await server(t, {
    revocation: 'immediate',
    store: {
      ...observedStore(memory),
      subscribe (_listener, onConnection = () => {}) {
        connection = onConnection
        onConnection(true)
        return () => {}
      }
    }
  })
  seen.events.length = 0
  connection?.(false)
  t.strictSame(seen.events, [{ type: 'revocation_feed', up: false }])
  await watched.app.close()
})

t.test('metrics: the wait for a turn to hash is an operation, so those under way are the queue', async t => {
  const queue = new HashingQueue({ concurrency: 1, waiting: 1, maxWait: 5 })
  const seen = watch(t)
  let finish = (): void => {}
  const first = queue.run('a', async () => await new Promise<void>(resolve => { finish = resolve }))
  const second = queue.run('b', () => { throw new Error('no memory') })
  const third = queue.run('c', () => {})
  await t.rejects(third, { code: 'FST_AUTH_BUSY' })
  t.strictSame(seen.started, ['password work', 'password wait', 'password wait'])
  t.strictSame(seen.ended, ['password wait FST_AUTH_BUSY'])
  finish()
  await first
  await t.rejects(second, { message: 'no memory' })
  t.strictSame([...seen.ended].sort(), ['password wait FST_AUTH_BUSY', 'password wait ok', 'password work failed', 'password work ok'])
})

t.test('metrics: each method of a store passes its arguments on, observed or not', async t => {
  const store = observedStore(memoryStore({ clock: () => START }))
  const use = async (): Promise<unknown[]> => {
    const session = newSession()
    await store.create(session)
    return [
      (await store.get(session.id))?.subject,
      await store.advance(session.id, 7, session),
      (await store.list?.(session.subject))?.length,
      await store.revokeAll(session.subject, 'logout', session.id),
      await store.revoke(session.id, 'logout'),
      await store.purgeExpired?.(Number.MAX_SAFE_INTEGER)
    ]
  }
  const unobserved = await use()
  const seen = watch(t)
  t.strictSame(await use(), unobserved)
  t.strictSame(seen.started, ['create', 'get', 'advance', 'list', 'revokeAll', 'revoke', 'purgeExpired'].map(name => `store ${name}`))
  t.strictSame(Object.keys(observedStore(statelessStore())), ['create', 'get', 'advance', 'revoke', 'revokeAll'], 'and adds none that the store lacks')
})

t.test('secrecy: no message has a token, a password or anything else of a user', async t => {
  const s = await loggedIn(t)
  const seen = watch(t)
  const tokens = [s.ada.accessToken, s.ada.cookie()]
  await s.ada.login('ada')
  await s.ada.refresh()
  await s.browser().login('eve@example.com')
  await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: `__Host-Http-refresh=${forged('refresh', { header: { kid: 'foreign' } })}` } })
  await s.ada.logout()
  const text = inspect(seen.messages, { depth: null, showHidden: true })
  t.ok(seen.messages.length > 10)
  for (const secret of [...tokens, s.ada.accessToken, PASSWORD, 'ada', 'eve', '127.0.0.1', 'Mozilla', 'ey']) t.notOk(secret !== null && secret !== undefined && text.includes(secret), secret ?? '')
})

t.test('metrics: nothing is observed without a subscriber', async t => {
  t.equal(isObserved(), false)
})

t.test('an operation without a promise ends at once, with its outcome', t => {
  const seen = watch(t)
  t.equal(observe('password', 'work', () => 7), 7)
  t.throws(() => observe('password', 'work', () => { throw new Error('broken') }), { message: 'broken' })
  t.strictSame(seen.ended, ['password work ok', 'password work failed'])
  t.end()
})

t.test('a query builder runs its query once, and its failure is the outcome', async t => {
  const seen = watch(t)
  let runs = 0
  const query = {
    then (_resolve: (row: null) => void, reject: (error: Error) => void) {
      runs++
      reject(new Error('the table is gone'))
    }
  }
  await t.rejects(async () => await observe('store', 'get', () => query as unknown as Promise<null>), { message: 'the table is gone' })
  t.equal(runs, 1)
  t.strictSame(seen.ended, ['store get failed'])
})
