import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { type AppClaims } from '../../lib/tokens/claims.js'
import { type Session } from '../../lib/sessions/session.js'
import { type User } from '../../lib/accounts/user.js'
import { codeOf, core, GRACE, held, person, type Browser, type Core } from '../support/core.js'
import { FAULTS } from '../support/faulty-store.js'

const UNAVAILABLE = 'FST_AUTH_STORE_UNAVAILABLE'
const ENDED = 'FST_AUTH_SESSION_ENDED'
const REFUSED = 'FST_AUTH_USER_REFUSED'
const REUSED = 'FST_AUTH_REFRESH_TOKEN_REUSED'

mock.timers.enable({ apis: ['setTimeout'] })
t.teardown(() => mock.timers.reset())

/** Waits for a call, and lets all its deadlines pass. */
async function settled<T> (call: Promise<T>): Promise<T> {
  const seen = { over: false }
  const stop = (): void => { seen.over = true }
  call.then(stop, stop)
  while (!seen.over) {
    await new Promise(resolve => setImmediate(resolve))
    mock.timers.tick(1000)
  }
  return await call
}

type Prepare = (c: Core, ada: Browser) => Promise<void> | void

async function loseReply (c: Core, ada: Browser): Promise<void> {
  c.wait(GRACE)
  await ada.send()
}

/** The state in which the next refresh has this outcome. */
const SITUATIONS: Record<string, Prepare> = {
  hold () {},
  rotate: c => c.wait(GRACE),
  replay: loseReply,
  async recover (c, ada) {
    await loseReply(c, ada)
    c.wait(GRACE)
  },
  async heal (c, ada) {
    const row = await rowOf(c)
    c.wait(GRACE)
    await ada.refresh()
    await c.store.advance(row.id, 1, row)
  }
}

for (const [outcome, prepare] of Object.entries(SITUATIONS)) {
  t.test(`a store that fails or hangs at any call of a refresh changes nothing in the end: ${outcome}`, async t => {
    const clean = await start(prepare)
    t.equal(await clean.ada.refresh(), outcome)
    const calls = [...clean.c.store.calls]

    for (const [nth, call] of calls.entries()) {
      for (const fault of FAULTS) {
        const { c, ada } = await start(prepare)
        const tab = ada.copy()
        c.store.faults.push(...calls.slice(0, nth).map(() => null), fault)

        const title = `${call} ${nth}, ${fault.moment}, ${fault.kind}`
        t.match(await settled(ada.send()), { outcome: UNAVAILABLE, issued: null }, title)
        t.ok(['hold', 'rotate', 'replay', 'recover', 'heal'].includes(await ada.refresh()), `${title}: the same cookie is good`)
        t.strictSame(stateOf(await rowOf(c)), stateOf(await rowOf(clean.c)), `${title}: no step was lost or made twice`)
        await tab.refresh()
        t.equal(tab.cookie, ada.cookie, `${title}: every tab comes to the same cookie`)
      }
    }
  })
}

t.test('a store that fails or hangs while reuse ends the session', async t => {
  for (const nth of [0, 1, 2]) {
    for (const fault of FAULTS) {
      const { c, ada } = await start(() => {})
      const thief = ada.copy()
      for (let i = 0; i < 2; i++) {
        c.wait(GRACE)
        await ada.refresh()
      }
      c.store.faults.push(...Array<null>(nth).fill(null), fault)
      t.equal(await settled(thief.refresh()), UNAVAILABLE)
      t.equal(await thief.refresh(), REUSED)
      t.equal(await ada.refresh(), REUSED)
    }
  }
})

t.test('a store that fails or hangs while a refused user loses the session', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await start(c => { c.people.set('ada', person('ada', true)) })
    c.store.faults.push(fault)
    t.equal(await settled(ada.refresh()), UNAVAILABLE)
    t.equal(await ada.refresh(), REFUSED)
    c.people.set('ada', person('ada'))
    t.equal(await ada.refresh(), ENDED)
  }
})

t.test('a store that fails or hangs at logout keeps the cookie, and a retry ends the session', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await start(() => {})
    const copy = ada.copy()
    c.store.faults.push(fault)
    t.equal(await settled(ada.logout()), UNAVAILABLE)
    t.equal(ada.cookie, copy.cookie)
    t.equal(await ada.logout(), 'ok')
    t.equal(await copy.refresh(), ENDED)
  }
})

t.test('a store that fails or hangs at login creates no session, and the old one stays', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await start(() => {})
    const { cookie } = ada
    c.store.faults.push(fault)
    t.equal(await settled(ada.login('ada').catch(codeOf)), UNAVAILABLE)
    t.equal(ada.cookie, cookie)
    t.equal(await ada.refresh(), 'hold')
    t.ok(await ada.login('ada'), 'and the next login succeeds')
  }
})

t.test('a login whose reply is lost leaves the old session alive', async t => {
  const { c, ada } = await start(() => {})
  const { replaced } = await c.sessions.login('ada', c.context(), { replaces: [ada.cookie ?? ''] })
  t.equal(replaced, held(c, ada).sid)
  t.equal(await ada.refresh(), 'hold')
})

t.test('a store that fails or hangs while a replaced session ends: the first refresh of the new one ends it', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await start(() => {})
    const before = ada.copy()
    c.store.faults.push(null, fault)
    await settled(ada.login('ada'))
    t.equal(await before.refresh(), fault.moment === 'after' ? ENDED : 'hold')
    c.store.faults.push(fault)
    t.equal(await settled(ada.refresh()), UNAVAILABLE)
    t.equal(await ada.refresh(), 'hold')
    t.equal(await before.refresh(), ENDED)
    c.wait(GRACE)
    t.equal(await ada.refresh(), 'rotate')
    t.equal(held(c, ada).replaces, undefined, 'and no later one retries it')
  }
})

t.test('a logout of the new session ends the replaced one too', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await start(() => {})
    const before = ada.copy()
    c.store.faults.push(null, { ...fault, moment: 'before' })
    await settled(ada.login('ada'))
    c.store.faults.push(null, fault)
    t.equal(await settled(ada.logout().catch(codeOf)), UNAVAILABLE)
    await ada.logout()
    t.equal(await before.refresh(), ENDED)
  }
})

t.test('a store that fails or hangs in a strict check, or while sessions are listed or revoked', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await start(() => {})
    const asks: Array<() => Promise<unknown>> = [
      async () => await c.sessions.authenticate(ada.issued?.accessToken ?? '', c.context(), { strict: true }),
      () => c.sessions.revoke('unknown', 'revoked', c.context()),
      () => c.sessions.revokeAll('nobody', 'revoked', c.context())
    ]
    for (const ask of asks) {
      c.store.faults.push(fault)
      t.equal(await settled(ask().catch(codeOf)), UNAVAILABLE)
      t.ok(await ask().then(() => true))
    }
  }
})

/** App callbacks that fail. */
const FAILURES: Array<[how: string, call: () => never | Promise<never>]> = [
  ['throws', () => { throw new Error('password=hunter2') }],
  ['rejects', async () => { throw new Error('password=hunter2') }],
  ['hangs', () => new Promise<never>(() => {})]
]

t.test('a failing users.findById leaves the session unchanged', async t => {
  for (const [how, fail] of FAILURES) {
    let findById: () => User | Promise<User> = () => person('ada')
    const { c, ada } = await start(SITUATIONS['rotate'], core({ findById: () => findById() }))
    const row = await rowOf(c)
    findById = fail
    t.equal(await settled(ada.refresh()), UNAVAILABLE, how)
    t.equal(await settled(ada.login('ada').catch(codeOf)), UNAVAILABLE)
    t.equal(await rowOf(c), row)
    findById = () => person('ada')
    t.equal(await ada.refresh(), 'rotate')
  }
})

t.test('a failing claims callback leaves the session unchanged', async t => {
  for (const [how, fail] of FAILURES) await claimsFailing(t, how, fail)
})

t.test('invalid app claims leave the session unchanged', async t => {
  const circle: Record<string, unknown> = {}
  circle['circle'] = circle
  const unfit: unknown[] = [undefined, null, 'admin', 1, [], ['admin'], { big: 1n }, circle, { toJSON: () => 'admin' }]
  for (const claims of unfit) {
    await claimsFailing(t, typeof claims, () => claims as AppClaims) // what an app without types may give
    const { c } = await start(() => {})
    const rows = (await c.sessions.list('ada', c.context())).length
    if (claims !== undefined) await t.rejects(c.sessions.login('ada', c.context(), { claims: claims as AppClaims }), TypeError) // the same
    t.equal((await c.sessions.list('ada', c.context())).length, rows)
  }
})

async function claimsFailing (t: Test, how: string, fail: () => AppClaims | Promise<AppClaims>): Promise<void> {
  let claims: () => AppClaims | Promise<AppClaims> = () => ({})
  const { c, ada } = await start(SITUATIONS['rotate'], core({ appClaims: () => claims() }))
  const row = await rowOf(c)
  claims = fail
  t.equal(await settled(ada.refresh()), UNAVAILABLE, how)
  t.equal(await settled(ada.login('ada').catch(codeOf)), UNAVAILABLE)
  t.equal(await rowOf(c), row)
  claims = () => ({ role: 'reader' })
  t.equal(await ada.refresh(), 'rotate')
  t.match(ada.issued?.claims, { role: 'reader' })
}

/** A logged-in and prepared browser; calls of the store are counted from here. */
async function start (prepare: Prepare = () => {}, c = core()): Promise<{ c: Core, ada: Browser }> {
  const ada = c.browser()
  await ada.login('ada')
  await prepare(c, ada)
  c.store.calls.splice(0)
  return { c, ada }
}

/** The only session of Ada. */
async function rowOf (c: Core): Promise<Session> {
  const [session] = await c.sessions.list('ada', c.context())
  if (session === undefined) throw new Error('Ada has no session')
  return session
}

/** The state of a session, without the values that differ per login. */
function stateOf ({ id, ...state }: Session): Omit<Session, 'id'> {
  return state
}
