import t, { type Test } from 'tap'
import { redisStore } from '../../lib/stores/redis/index.js'
import { ENGINES, REDIS_CLIENTS, type Engine, type Fault } from '../support/engines.js'
import { ioredisOn, ownRedisServer } from '../support/redis.js'
import { server, sessionOf, testClock, type Answer, type Browser, type TestServer } from '../support/server.js'
import { tcpProxy } from '../support/tcp-proxy.js'

const UNAVAILABLE = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }

/** Faults of every server and its connection. */
const FAULTS: Readonly<Record<string, (engine: Engine) => Fault>> = {
  'connections are refused': ({ proxy }) => ({ inject: async () => { await proxy.refuse(); return proxy.pass } }),
  'connections are reset': ({ proxy }) => ({ inject: async () => { await proxy.reset(); return proxy.pass } }),
  'connections are half-open': ({ proxy }) => ({ inject: async () => { await proxy.hold(); return proxy.pass } }),
  'every call takes seconds': ({ proxy }) => ({ inject: async () => { await proxy.delay(1500); return proxy.pass } }),
  'the reply is lost after the commit': ({ proxy }) => ({ inject: async () => { await proxy.dropReplies(); return proxy.pass } }),
  'the server is killed and started again': ({ stop, start }) => ({ inject: async () => { await stop(); return start } })
}

t.jobs = 3 // they mostly wait

for (const [name, start] of Object.entries(ENGINES)) {
  t.test(name, { buffered: true }, async t => {
    const engine = await start(t)
    if (engine === null) return
    const clock = testClock()
    const s = await server(t, { clock, store: await engine.store(clock) }, {}, app => {
      app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({}))
    })
    const faults = { ...Object.fromEntries(Object.entries(FAULTS).map(([fault, of]) => [fault, of(engine)])), ...engine.own }
    for (const [fault, { inject, reads = false, revokes = false }] of Object.entries(faults)) {
      t.test(`${fault}: 503, nobody is logged out, and everything works afterwards`, async t => {
        const [ada, bob, carol] = [await signedUp(s, fault), await signedUp(s, `${fault}, too`), await signedUp(s, `${fault}, not at all`)]
        const [before, copy] = [ada.copy(), bob.copy()]
        clock.wait('30s')

        const repair = await inject()
        const stranger = s.browser()
        const [strict, logout, ...failed] = await Promise.all([ada.get('/strict'), bob.logout(), ada.refresh(), stranger.login(fault)])
        if (!reads) t.match(strict.json(), UNAVAILABLE)
        if (revokes) t.match(logout, { statusCode: 204 })
        for (const answer of revokes ? failed : [logout, ...failed]) isUnavailable(t, answer)
        t.equal(ada.cookie(), before.cookie())
        t.equal(bob.cookie(), revokes ? undefined : copy.cookie())
        t.equal(stranger.cookie(), undefined)
        t.match(await ada.get('/me'), { statusCode: 200 }, 'access tokens stay valid')
        if (reads) t.match(await served(() => ada.get('/strict')), { statusCode: 200 })
        await repair()

        t.match(await served(() => ada.refresh()), { statusCode: 200 })
        t.match(await s.store.get(sessionOf(ada)), { generation: 1 }, 'no rotation was lost or repeated')
        t.match(await served(() => before.refresh()), { statusCode: 200 })
        t.equal(before.cookie(), ada.cookie(), 'the previous cookie gets the same successor')
        t.match(await served(() => bob.logout()), { statusCode: 204 })
        t.match((await served(() => copy.refresh())).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
        t.match(await served(() => carol.refresh()), { statusCode: 200 })
        t.match(await served(() => stranger.login(fault)), { statusCode: 200 })
      })
    }
  })
}

for (const [name, start] of Object.entries(ENGINES)) {
  t.test(`restored backup: ${name} without a rotation heals, and other sessions notice nothing`, { buffered: true }, async t => {
    const engine = await start(t)
    if (engine === null) return
    const clock = testClock()
    const s = await server(t, { clock, store: await engine.store(clock) })
    const [ada, bob] = [await signedUp(s, 'ada'), await signedUp(s, 'bob')]
    await engine.stop()
    const restore = await engine.snapshot()
    await engine.start()

    clock.wait('30s')
    t.match(await served(() => ada.refresh()), { statusCode: 200 })
    t.match(await s.store.get(sessionOf(ada)), { generation: 1 })
    const thief = ada.copy()
    await engine.stop()
    await restore()
    await engine.start()

    t.match(await served(() => ada.refresh()), { statusCode: 200 })
    await heals(t, { ...s, clock }, { ada, thief, bob })
  })
}

for (const [name, connect] of Object.entries(REDIS_CLIENTS)) {
  t.test(`failover: ${name} without a rotation heals, and other sessions notice nothing`, { buffered: true }, async t => {
    const [primary, replica] = [await ownRedisServer(t, '--repl-diskless-sync-delay', '0'), await ownRedisServer(t)]
    if (primary === null || replica === null) return
    const promoted = await ioredisOn(t, replica.ioredis)
    const [replication, way] = [await tcpProxy(t, { path: primary.path }), await tcpProxy(t, { path: primary.path })]
    await promoted.replicaof('127.0.0.1', replication.port)
    const clock = testClock()
    const s = await server(t, { clock, store: redisStore(await connect(t, way.port), { clock }) })
    const [ada, bob] = [await signedUp(s, 'ada'), await signedUp(s, 'bob')]
    while (await promoted.dbsize() < 4) await new Promise(setImmediate) // two sessions and their users

    await replication.hold()
    clock.wait('30s')
    t.match(await served(() => ada.refresh()), { statusCode: 200 })
    const thief = ada.copy()
    await primary.stop()
    await promoted.replicaof('NO', 'ONE')
    await way.lead({ path: replica.path })

    t.match(await served(() => ada.refresh()), { statusCode: 200 })
    await heals(t, { ...s, clock }, { ada, thief, bob })
  })
}

for (const [name, connect] of Object.entries(REDIS_CLIENTS)) {
  t.test(`lost sessions: ${name} ends the dropped sessions without a reuse alarm, and the others stay`, { buffered: true }, async t => {
    const redis = await ownRedisServer(t)
    if (redis === null) return
    const proxy = await tcpProxy(t, { path: redis.path })
    const clock = testClock()
    const s = await server(t, { clock, store: redisStore(await connect(t, proxy.port), { clock }) })
    const [ada, bob] = [await signedUp(s, 'ada'), await signedUp(s, 'bob')]
    const admin = await ioredisOn(t, redis.ioredis)
    clock.wait('30s')
    await admin.del(`auth:s:${sessionOf(ada)}`) // as an eviction does
    t.match((await served(() => ada.refresh())).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
    t.match(await served(() => ada.logout()), { statusCode: 204 })
    t.match(await served(() => bob.refresh()), { statusCode: 200 })
    t.same(s.events.filter(({ type }) => type === 'reuse' || type === 'revoked'), [])
    t.match(await served(() => ada.login('ada')), { statusCode: 200 })
  })
}

/** Expectations for a session whose rotation the store has lost, and for all others. */
async function heals (t: Test, { clock, events, store }: TestServer, { ada, thief, bob }: Record<'ada' | 'thief' | 'bob', Browser>): Promise<void> {
  t.match(events.filter(({ type }) => type === 'refresh').at(-1), { outcome: 'heal', generation: 1 })
  t.match(await store.get(sessionOf(ada)), { generation: 1, previous: 0, revokedAt: null })
  t.match(await served(() => thief.refresh()), { statusCode: 200 }, 'the same cookie, still young')
  clock.wait('30s')
  for (const browser of [ada, bob]) t.match(await served(() => browser.refresh()), { statusCode: 200 })
  clock.wait('30s')
  t.match(await served(() => ada.refresh()), { statusCode: 200 })
  t.match((await served(() => thief.refresh())).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }, 'and reuse is still detected')
  t.match(await served(() => bob.refresh()), { statusCode: 200 })
}

async function signedUp ({ browser }: TestServer, username: string): Promise<Browser> {
  const person = browser()
  const { statusCode } = await person.signup(username)
  if (statusCode === 503) await served(() => person.login(username)) // the machine is busy, and the account is made
  return person
}

function isUnavailable (t: Test, answer: Answer): void {
  t.match(answer.json(), UNAVAILABLE)
  t.match(answer.headers, { 'retry-after': /^[2-5]$/, 'set-cookie': undefined, 'cache-control': 'no-store' })
}

/** The reply to a request that is retried while it is 503, as clients do. */
async function served (request: () => Promise<Answer>): Promise<Answer> {
  const end = performance.now() + 60_000
  let answer = await request()
  while (answer.statusCode === 503 && performance.now() < end) {
    await new Promise(resolve => setTimeout(resolve, 50))
    answer = await request()
  }
  return answer
}
