import { randomBytes } from 'node:crypto'
import { mock } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { memoryStore, type AuthEvent, type SessionStore, type StoreOwner } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { SECRET, START } from '../support/server.js'

/** A log that keeps the lines from a level on. */
function keptLog (above: number): { lines: Array<{ level: number, msg: string }>, stream: { write (line: string): void } } {
  const lines: Array<{ level: number, msg: string }> = []
  return {
    lines,
    stream: {
      write (line) {
        const entry = JSON.parse(line)
        if (entry.level > above) lines.push(entry)
      }
    }
  }
}

async function appOver (store: SessionStore, stream = keptLog(0).stream, options: object = {}): Promise<FastifyInstance> {
  const app = Fastify({ logger: { level: 'trace', stream } })
  await app.register(refreshCookie, { secret: SECRET, store, ...options })
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  return app
}

t.test('the store is opened once, before the first request', async t => {
  let opened = 0
  const app = await appOver({ ...memoryStore(), open: async () => { opened++ } })
  t.equal(opened, 0, 'not before the app has started')
  t.teardown(async () => { await app.close() })
  for (let i = 0; i < 2; i++) t.match(await app.inject({ method: 'POST', url: '/enter' }), { statusCode: 200 })
  t.equal(opened, 1)
})

t.test('methods of the store keep their `this`', async t => {
  /** Every method reads a private field, which throws without its `this`. */
  class Store implements SessionStore {
    opened = false
    readonly #sessions = memoryStore()
    async create (...args: Parameters<SessionStore['create']>) { await this.#sessions.create(...args) }
    async get (...args: Parameters<SessionStore['get']>) { return await this.#sessions.get(...args) }
    async advance (...args: Parameters<SessionStore['advance']>) { return await this.#sessions.advance(...args) }
    async revoke (...args: Parameters<SessionStore['revoke']>) { return await this.#sessions.revoke(...args) }
    async revokeAll (...args: Parameters<SessionStore['revokeAll']>) { return await this.#sessions.revokeAll(...args) }
    async list (subject: string) { return await this.#sessions.list?.(subject) ?? [] }
    async purgeExpired (before: number) { return await this.#sessions.purgeExpired?.(before) ?? 0 }
    async open (): Promise<void> { this.opened ||= this.#sessions !== undefined }
  }
  const store = new Store()
  let now = 1_800_000_000
  const app = await appOver(store, undefined, { clock: () => now })
  t.teardown(async () => { await app.close() })
  const enter = await app.inject({ method: 'POST', url: '/enter' })
  t.match(enter, { statusCode: 200 })
  now += 60
  const cookie = enter.cookies.map(({ name, value }) => `${name}=${value}`).join()
  t.match(await app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie } }), { statusCode: 200 })
  const [session] = await app.sessions.list('ada')
  t.match(session, { subject: 'ada', generation: 1 })
  t.equal(await app.sessions.revoke(String(session?.id)), true)
  t.equal(await app.sessions.revokeAll('ada'), 0)
  t.equal(await app.sessions.purgeExpired(), 0)
  t.equal(store.opened, true)
})

t.test('race: a login that is refused leaves no live session in a store whose create returns no promise', async t => {
  const store = memoryStore()
  let isDisabled = false
  const create = (session => {
    store.create(session)
    isDisabled = true
  }) as typeof store.create
  const app = await appOver({ ...store, create }, undefined, { users: { findById: () => ({ id: 'ada', username: 'ada', passwordHash: null, disabled: isDisabled }) } })
  t.teardown(async () => { await app.close() })
  t.match((await app.inject({ method: 'POST', url: '/enter' })).json(), { code: 'FST_AUTH_USER_REFUSED' })
  t.strictSame(await store.list('ada'), [])
})

t.test('a store that can never work stops the start', async t => {
  const wrong = new TypeError('the table "sessions" is somebody else\'s')
  const copied = Object.assign(new TypeError('the table "sessions" is somebody else\'s'), { row: '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW' })
  for (const error of [wrong, copied]) {
    const app = await appOver({ ...memoryStore(), open: async () => { throw error } })
    t.teardown(async () => { await app.close() })
    await t.rejects(async () => { await app.ready() }, { name: 'TypeError', message: wrong.message })
  }
})

t.test('a store that is temporarily unavailable does not stop the start, and is logged', async t => {
  for (const error of [new Error('connect ECONNREFUSED'), ...['fetch failed', 'terminated'].map(message => new TypeError(message, { cause: new Error('connect ECONNREFUSED') }))]) {
    const { lines, stream } = keptLog(30)
    const app = await appOver({ ...memoryStore(), open: async () => { throw error } }, stream)
    t.teardown(async () => { await app.close() })
    await app.ready()
    t.match(lines, exactly({ level: 40, code: 'FST_AUTH_WARN_STORE_UNAVAILABLE', msg: /^auth: the session store is unavailable at start/, err: { message: /connect ECONNREFUSED/ } }))
    t.match(await app.inject({ method: 'POST', url: '/enter' }), { statusCode: 200 })
  }
})

t.test('a store that cannot be claimed does not stop the start, but one of another app does', async t => {
  const { lines, stream } = keptLog(30)
  const app = await appOver({ ...memoryStore(), claim: async () => { throw new Error('connect ECONNREFUSED') } }, stream)
  t.teardown(async () => { await app.close() })
  await app.ready()
  t.match(lines, exactly({ level: 40, code: 'FST_AUTH_WARN_STORE_UNAVAILABLE', msg: /^auth: the session store is unavailable at start/, err: { message: 'connect ECONNREFUSED' } }))
  t.match(await app.inject({ method: 'POST', url: '/enter' }), { statusCode: 200 })

  const foreign = new TypeError('the table belongs to another app')
  const other = await appOver({ ...memoryStore(), claim: async () => { throw foreign } })
  t.teardown(async () => { await other.close() })
  await t.rejects(async () => { await other.ready() }, foreign)
})

t.test('a store that can never work stops the start, also if its error has the cause', async t => {
  const refused = new TypeError('the server refuses the user', { cause: new Error('password authentication failed') })
  const app = await appOver({ ...memoryStore(), open: async () => { throw refused } })
  t.teardown(async () => { await app.close() })
  await t.rejects(async () => { await app.ready() }, refused)
})

t.test('a store that hangs does not stop the start, however long the timeout', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { lines, stream } = keptLog(30)
  let ask = (): void => {}
  const asked = new Promise<void>(resolve => { ask = resolve })
  const open = async (): Promise<never> => {
    ask()
    return await new Promise(() => {})
  }
  const app = await appOver({ ...memoryStore(), open }, stream, { timeouts: { call: '60s', request: '60s' } })
  t.teardown(async () => { await app.close() })
  const ready = app.ready()
  await asked
  mock.timers.tick(4000)
  await ready
  t.match(lines, exactly({ level: 40, code: 'FST_AUTH_WARN_STORE_UNAVAILABLE', msg: /^auth: the session store is unavailable at start/ }))
})

const CLOCKS = [
  { here: START, there: START + 2.9, seconds: null },
  { here: START + 0.9, there: START - 2, seconds: null },
  { here: START, there: START + 3, seconds: -3 },
  { here: START, there: START - 3600, seconds: 3600 },
  { here: START, there: NaN, seconds: null }
]

t.test('clock skew: a difference to the store\'s clock is logged once, with its size', async t => {
  for (const { here, there, seconds } of CLOCKS) {
    let asked = 0
    const now = async () => {
      asked++
      return there
    }
    const { lines, stream } = keptLog(30)
    const app = await appOver({ ...memoryStore(), now }, stream, { clock: () => here })
    for (let i = 0; i < 2; i++) t.match(await app.inject({ method: 'POST', url: '/enter' }), { statusCode: 200 })
    t.match(lines, seconds === null ? exactly() : exactly({ level: 40, code: 'FST_AUTH_WARN_CLOCK', seconds }))
    t.equal(lines.length, seconds === null ? 0 : 1)
    t.equal(asked, 1)
    await app.close()
  }
})

t.test('clock skew: a store without a clock is accepted', async t => {
  for (const now of [async () => { throw new Error('NOPERM') }, () => { throw new Error('NOPERM') }]) {
    const { lines, stream } = keptLog(10)
    const app = await appOver({ ...memoryStore(), now }, stream)
    await app.ready()
    t.match(lines.filter(({ msg }) => msg.startsWith('auth:')), exactly({ level: 20, msg: 'auth: the time of the session store could not be read', err: { message: 'NOPERM' } }))
    await app.close()
  }
})

t.test('clock skew: a store that is unavailable is not asked for its time', async t => {
  const store = { ...memoryStore(), open: async () => { throw new Error('away') }, now: async () => t.fail('it was asked') }
  const app = await appOver(store as unknown as SessionStore) // fail gives a boolean
  await app.ready()
  await app.close()
})

/** An app whose subscription the test controls, with its events. */
async function following (t: Test): Promise<{ app: FastifyInstance, events: AuthEvent[], tell: (up: boolean) => void, subscriptions: () => number }> {
  const events: AuthEvent[] = []
  let tell = (_up: boolean): void => {}
  let subscriptions = 0
  const subscribe: NonNullable<SessionStore['subscribe']> = (_listener, connected) => {
    subscriptions++
    tell = up => { connected?.(up) }
    return async () => { subscriptions-- }
  }
  const app = await appOver({ ...memoryStore(), subscribe }, undefined, { revocation: 'immediate', onEvent (event: AuthEvent) { events.push(event) } })
  t.teardown(async () => { await app.close() })
  return { app, events, tell: up => tell(up), subscriptions: () => subscriptions }
}

/** Waits until all pending promises have settled. */
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('revocation: no request is served before the subscription is up or known to be down', async t => {
  for (const up of [true, false]) {
    const { app, events, tell, subscriptions } = await following(t)
    let served = false
    const answer = app.inject({ method: 'POST', url: '/enter' }).then(() => { served = true })
    while (subscriptions() === 0) await turn()
    await turn()
    t.equal(served, false)
    tell(up)
    await answer
    t.match(events.filter(({ type }) => type === 'revocation_feed'), up ? exactly() : exactly({ up }))
  }
})

t.test('revocation: a subscription that is not up within the timeout counts as down', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { app, events, tell, subscriptions } = await following(t)
  let isReady = false
  const ready = app.ready().then(() => { isReady = true })
  while (subscriptions() === 0) await turn()
  mock.timers.tick(1999)
  await turn()
  t.equal(isReady, false)
  mock.timers.tick(1)
  await ready
  t.match(events, exactly({ type: 'revocation_feed', up: false }))
  tell(true)
  t.match(events, exactly(...[false, true].map(up => ({ type: 'revocation_feed', up }))))
})

t.test('revocation: each loss and recovery of the subscription is one event', async t => {
  const { app, events, tell, subscriptions } = await following(t)
  const ready = app.ready()
  while (subscriptions() === 0) await turn()
  for (const up of [true, true, false, false, true, true, false]) tell(up)
  await ready
  t.match(events, exactly(...[false, true, false].map(up => ({ type: 'revocation_feed', up, requestId: null }))))
  t.equal(subscriptions(), 1)
  await app.close()
  t.equal(subscriptions(), 0)
})

t.test('an app that closes while it starts leaves no subscription behind', async t => {
  let subscriptions = 0
  const app = await appOver({ ...memoryStore(), subscribe: () => { subscriptions++; return () => { subscriptions-- } } }, undefined, { revocation: 'immediate' })
  await Promise.allSettled([app.ready(), app.close()])
  t.equal(subscriptions, 0)
})

t.test('a subscription that cannot be stopped does not keep the app from closing', async t => {
  for (const stop of [async () => { throw new Error('connect ECONNREFUSED') }, () => new Promise<void>(() => {})]) {
    const app = await appOver({ ...memoryStore(), subscribe: (_listener, onConnection) => { onConnection?.(true); return stop } }, undefined, { revocation: 'immediate', timeouts: { call: 1, request: 1 } })
    await app.ready()
    await t.resolves(app.close())
  }
})

t.test('a claim that throws after a change of the keys is logged without secrets', async t => {
  const { lines, stream } = keptLog(30)
  let claims = 0
  const secrets = [SECRET]
  const claim = () => {
    if (claims++ > 0) throw new Error('cannot write $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo')
    return Promise.resolve()
  }
  const app = await appOver({ ...memoryStore(), claim }, stream, { secret: () => [...secrets] })
  t.teardown(async () => { await app.close() })
  await app.ready()
  secrets.unshift('Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x')
  await app.reloadKeys()
  await new Promise(resolve => setImmediate(resolve))
  t.match(lines.filter(({ msg }) => /owner|claim|belongs|app/.test(msg)), exactly({ err: { message: 'cannot write [redacted]' } }))
})

t.test('a store that turns out to be of another app once it is reachable is logged with the way out', async t => {
  const { lines, stream } = keptLog(30)
  const app = await appOver({ ...memoryStore(), open: async () => { throw new Error('connect ECONNREFUSED') }, claim: async () => { throw new TypeError('the table belongs to another app') } }, stream)
  t.teardown(async () => { await app.close() })
  await app.ready()
  await new Promise(resolve => setImmediate(resolve))
  t.match(lines, exactly({ code: 'FST_AUTH_WARN_STORE_UNAVAILABLE' }, { code: 'FST_AUTH_WARN_STORE_REFUSED', err: { message: 'the table belongs to another app' } }))
})

t.test('the record of the owner has the ids of the last 20 keys only', async t => {
  const secrets = [SECRET]
  const claims: StoreOwner[] = []
  const app = await appOver({ ...memoryStore(), claim: async owner => { claims.push(owner) } }, undefined, { secret: () => secrets })
  t.teardown(async () => { await app.close() })
  await app.ready()
  for (let nth = 0; nth < 25; nth++) {
    secrets[0] = randomBytes(48).toString('base64')
    await app.reloadKeys()
  }
  await new Promise(resolve => setImmediate(resolve))
  t.equal(claims.at(-1)?.keyIds.length, 20)
  t.not(claims.at(-1)?.keyIds[0], claims.at(-2)?.keyIds[0], 'the newest of them')
  t.equal(claims.length, 26)
})

t.test('an app that closes before it has started leaves no subscription behind', async t => {
  let subscriptions = 0
  const subscribe = () => {
    subscriptions++
    return () => { subscriptions-- }
  }
  const app = await appOver({ ...memoryStore(), subscribe }, undefined, { revocation: 'immediate' })
  await app.close()
  t.equal(subscriptions, 0)
})

t.test('clock skew: the time of the store is compared with the middle of the call', async t => {
  let time = START
  const now = async () => { time += 6; return START + 3 }
  const { lines, stream } = keptLog(30)
  const app = await appOver({ ...memoryStore(), now }, stream, { clock: () => time })
  await app.ready()
  t.strictSame(lines, [])
  await app.close()
})
