import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { type AppClaims } from '../../lib/tokens/claims.js'
import { type Session } from '../../lib/sessions/session.js'
import { type User } from '../../lib/accounts/user.js'
import { codeOf, core, GRACE, held, loggedIn, person, restore, robbed, rotate, rowOf, type Browser, type Core, type CoreOptions } from '../support/core.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { type Fault, FAULTS } from '../support/faulty-store.js'
import { settled } from '../support/settled.js'

const UNAVAILABLE = 'FST_AUTH_STORE_UNAVAILABLE'
const ENDED = 'FST_AUTH_SESSION_ENDED'
const REFUSED = 'FST_AUTH_USER_REFUSED'
const REUSED = 'FST_AUTH_REFRESH_TOKEN_REUSED'

mock.timers.enable({ apis: ['setTimeout'] })
t.teardown(() => mock.timers.reset())

type Prepare = (c: Core, ada: Browser) => Promise<void> | void

async function loseReply (c: Core, ada: Browser): Promise<void> {
  c.wait(GRACE)
  await ada.send()
}

/** The state in which the next refresh has this outcome. */
const SITUATIONS = {
  hold () {},
  rotate: (c: Core) => c.wait(GRACE),
  replay: loseReply,
  async recover (c: Core, ada: Browser) {
    await loseReply(c, ada)
    c.wait(GRACE)
  },
  async heal (c: Core, ada: Browser) {
    const row = await rowOf(c, ada)
    await rotate(c, ada)
    await restore(c, ada, row)
  }
} satisfies Record<string, Prepare>

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
        t.strictSame(stateOf(await rowOf(c, ada)), stateOf(await rowOf(clean.c, clean.ada)), `${title}: no step was lost or made twice`)
        await tab.refresh()
        t.equal(tab.cookie, ada.cookie, `${title}: every tab comes to the same cookie`)
      }
    }
  })
}

t.test('a recovery, which is counted, is not cut short by the deadline of the request', async t => {
  const { c, ada } = await start(SITUATIONS.recover)
  const context = c.context()
  let calls = 0
  const late = <T>(call: () => Promise<T> | T): Promise<T> => calls++ < 3 ? context.bounded(call) : Promise.reject(new Error('the deadline of the request has passed'))
  const bounded = Object.assign(late, { withNewDeadline: () => context.bounded.withNewDeadline() })
  const issued = await c.sessions.refresh([ada.cookie ?? ''], { ...context, bounded })
  t.ok(issued.refreshToken)
  t.match(c.events.at(-1), { type: 'refresh', outcome: 'recover' })
})

t.test('a store that fails or hangs while reuse ends the session', async t => {
  for (const nth of [0, 1, 2]) {
    for (const fault of FAULTS) {
      const { c, ada, thief } = await robbed()
      c.store.faults.push(...Array<null>(nth).fill(null), fault)
      t.equal(await settled(thief.refresh()), UNAVAILABLE)
      t.equal(await thief.refresh(), REUSED)
      t.ok(c.events.some(({ type }) => type === 'reuse'), `the theft is reported: call ${nth}, ${fault.moment}, ${fault.kind}`)
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
    const { c, ada } = await loggedIn()
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
    const { c, ada } = await loggedIn()
    const { cookie } = ada
    c.store.faults.push(fault)
    t.equal(await settled(ada.login('ada').catch(codeOf)), UNAVAILABLE)
    t.equal(ada.cookie, cookie)
    t.equal(await ada.refresh(), 'hold')
    t.ok(await ada.login('ada'), 'and the next login succeeds')
  }
})

t.test('a session that is written after its login was refused is revoked', async t => {
  let write = (): void => {}
  const c = core({
    store (clock) {
      const memory = memoryStore({ clock })
      return {
        ...memory,
        async create (session) {
          await new Promise<void>(resolve => { write = resolve })
          await memory.create(session)
        }
      }
    }
  })
  t.equal(await settled(c.browser().login('ada').catch(codeOf)), UNAVAILABLE)
  write()
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(await c.sessions.list('ada', c.context()), [])
})

t.test('a login whose reply is lost leaves the old session alive', async t => {
  const { c, ada } = await loggedIn()
  const { replaced } = await c.sessions.login('ada', c.context(), { replaces: [ada.cookie ?? ''] })
  t.equal(replaced, held(c, ada).sid)
  t.equal(await ada.refresh(), 'hold')
})

t.test('a store that fails or hangs while a replaced session ends: the first refresh of the new one ends it', async t => {
  for (const fault of FAULTS) {
    const { c, ada } = await loggedIn()
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
    const { c, ada } = await loggedIn()
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
    const { c, ada } = await loggedIn()
    const asks: Array<[ask: () => Promise<unknown>, attempts?: number]> = [
      [async () => await c.sessions.authenticate(ada.issued?.accessToken ?? '', c.context(), { strict: true })],
      [() => c.sessions.revoke('unknown', 'revoked', c.context())],
      [() => c.sessions.revokeAll('nobody', 'revoked', c.context()), 3]
    ]
    for (const [ask, attempts = 1] of asks) {
      c.store.faults.push(...Array<Fault>(attempts).fill(fault))
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
    const { c, ada } = await start(SITUATIONS.rotate, { findById: () => findById() })
    const row = await rowOf(c, ada)
    findById = fail
    t.equal(await settled(ada.refresh()), UNAVAILABLE, how)
    t.equal(await settled(ada.login('ada').catch(codeOf)), UNAVAILABLE)
    t.equal(await rowOf(c, ada), row)
    findById = () => person('ada')
    t.equal(await ada.refresh(), 'rotate')
  }
})

t.test('a failing claims callback leaves the session unchanged', async t => {
  for (const [how, fail] of FAILURES) await claimsFailing(t, how, fail, UNAVAILABLE)
})

t.test('invalid app claims leave the session unchanged', async t => {
  const circle: Record<string, unknown> = {}
  circle['circle'] = circle
  const unfit: unknown[] = [undefined, null, 'admin', 1, [], ['admin'], { big: 1n }, circle, { toJSON: () => 'admin' }]
  for (const claims of unfit) {
    await claimsFailing(t, typeof claims, () => claims as AppClaims, 'TypeError') // what an app without types may give
    const { c } = await loggedIn()
    const rows = (await c.sessions.list('ada', c.context())).length
    if (claims !== undefined) await t.rejects(c.sessions.login('ada', c.context(), { claims: claims as AppClaims }), TypeError) // the same
    t.equal((await c.sessions.list('ada', c.context())).length, rows)
  }
})

async function claimsFailing (t: Test, how: string, fail: () => AppClaims | Promise<AppClaims>, refusal: string): Promise<void> {
  const outcomeOf = async (call: Promise<unknown>): Promise<unknown> => await settled(call.catch(error => error instanceof TypeError ? 'TypeError' : codeOf(error)))
  let claims: () => AppClaims | Promise<AppClaims> = () => ({})
  const { c, ada } = await start(SITUATIONS.rotate, { appClaims: () => claims() })
  const row = await rowOf(c, ada)
  claims = fail
  t.equal(await outcomeOf(ada.refresh()), refusal, how)
  t.equal(await outcomeOf(ada.login('ada')), refusal)
  t.equal(await rowOf(c, ada), row)
  claims = () => ({ role: 'reader' })
  t.equal(await ada.refresh(), 'rotate')
  t.match(ada.issued?.claims, { role: 'reader' })
}

/** A logged-in and prepared browser; calls of the store are counted from here. */
async function start (prepare: Prepare, options?: CoreOptions): Promise<{ c: Core, ada: Browser }> {
  const { c, ada } = await loggedIn(options)
  await prepare(c, ada)
  c.store.calls.splice(0)
  return { c, ada }
}

/** The state of a session, without the values that differ per login. */
function stateOf (row: Session | null): object {
  return { ...row, id: null }
}
