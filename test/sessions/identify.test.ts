import t from 'tap'
import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'
import { codeOf, core, GRACE, held, IDLE, person, rowOf, type Browser, type Core } from '../support/core.js'
import { exactly } from '../support/exactly.js'

const ENDED = 'FST_AUTH_SESSION_ENDED'
const EXPIRED = 'FST_AUTH_REFRESH_TOKEN_EXPIRED'
const INVALID = 'FST_AUTH_REFRESH_TOKEN_INVALID'
const REFUSED = 'FST_AUTH_USER_REFUSED'
const REUSED = 'FST_AUTH_REFRESH_TOKEN_REUSED'
const UNAVAILABLE = 'FST_AUTH_STORE_UNAVAILABLE'

/** Ada, logged in, with nothing in the lists of calls and events yet. */
async function ada (c: Core): Promise<Browser> {
  const browser = c.browser()
  await browser.login('ada')
  c.store.calls.length = c.events.length = 0
  return browser
}

/** Refreshes after the grace period, `times` times. */
async function rotate (c: Core, browser: Browser, times = 1): Promise<void> {
  for (let i = 0; i < times; i++) {
    c.wait(GRACE)
    await browser.refresh()
  }
  c.store.calls.length = c.events.length = 0
}

t.test('identify names the user and the session by one read, and writes nothing', async t => {
  const c = core({ appClaims: user => ({ role: `role of ${user.id}` }) })
  const browser = await ada(c)
  const row = await rowOf(c, browser)
  c.store.calls.length = 0
  for (let view = 0; view < 100; view++) {
    c.wait(GRACE)
    t.strictSame(await browser.identify(), { sub: 'ada', sid: row?.id, auth_time: row?.authTime, expiresAt: row?.expiresAt, claims: { role: 'role of ada' } })
  }
  t.strictSame(c.store.calls, Array(100).fill('get'))
  t.strictSame(c.events, [])
  t.strictSame(await rowOf(c, browser), row)
})

t.test('identify consumes no rate limit of refreshes', async t => {
  let consumed = 0
  const c = core({ limitRefresh: async () => { consumed++ } })
  const browser = await ada(c)
  await browser.identify()
  t.equal(consumed, 0)
  await browser.refresh()
  t.equal(consumed, 1)
})

t.test('forged, missing and expired tokens are refused without I/O', async t => {
  const c = core()
  const browser = await ada(c)
  const forged = c.browser()
  t.equal(await forged.identify(), 'FST_AUTH_REFRESH_TOKEN_MISSING')
  forged.cookie = `${browser.cookie}x`
  t.equal(await forged.identify(), INVALID)
  forged.cookie = c.tokens.seal('access', browser.issued?.claims)
  t.equal(await forged.identify(), INVALID)
  c.wait(IDLE - 1)
  t.match(await browser.identify(), { sub: 'ada' })
  c.store.calls.length = 0
  c.wait(1)
  t.equal(await browser.identify(), EXPIRED)
  t.strictSame(c.store.calls, [])
})

/** Policies, and whether the previous token is accepted within and after the grace period: always as by a refresh. */
const PREVIOUS: ReadonlyArray<readonly [policy: Partial<RotationPolicy>, young: boolean, old: boolean]> = [
  [{}, true, true],
  [{ recoverLostReply: false }, true, false],
  [{ grace: 0, recoverLostReply: false }, false, false],
  [{ rotation: 'never' }, true, true]
]

for (const [policy, young, old] of PREVIOUS) {
  t.test(`the previous token is accepted as by a refresh with ${JSON.stringify(policy)}`, async t => {
    for (const [wait, accepted] of [[0, young], [GRACE, old]] as const) {
      for (const verb of ['identify', 'refresh'] as const) {
        const c = core({ policy })
        const browser = await ada(c)
        const previous = browser.copy()
        c.wait(GRACE)
        const { sid } = held(c, browser)
        await c.store.advance(sid, 0, { generation: 1, previous: 0, rotatedAt: c.clock(), idleExpiresAt: c.clock() + IDLE })
        c.wait(wait)
        const answer = await previous[verb]()
        t.equal(answer !== REUSED, accepted, `${verb} after ${wait} s`)
        t.equal((await c.store.get(sid))?.reason ?? null, accepted ? null : 'reuse')
      }
    }
  })
}

t.test('the previous token is accepted until it was recovered three times', async t => {
  const c = core()
  const lost = await ada(c)
  for (let recoveries = 0; recoveries < 3; recoveries++) {
    await rotate(c, lost.copy())
    c.wait(GRACE)
    t.match(await lost.identify(), { sub: 'ada' }, `${recoveries} recoveries`)
  }
  await rotate(c, lost.copy())
  c.wait(GRACE)
  t.equal(await lost.identify(), REUSED)
})

t.test('reuse detection: a token that was replaced earlier ends the session, as by a refresh', async t => {
  const events = []
  for (const verb of ['identify', 'refresh'] as const) {
    const c = core()
    const browser = await ada(c)
    const thief = browser.copy()
    await rotate(c, browser, 2)
    t.equal(await thief[verb](), REUSED)
    events.push(c.events.map(event => ({ ...event, sessionId: null })))
    t.equal(await browser.identify(), REUSED, 'the owner is informed')
    t.equal(await browser.refresh(), REUSED)
  }
  t.match(events[0], exactly({ type: 'reuse', subject: 'ada', presented: 0, current: 2, loggedInFrom: { userAgent: 'Firefox', ip: '192.0.2.1' } }))
  t.strictSame(events[0], events[1], 'with the same event')
})

t.test('timing of a theft: no answer shows when the owner refreshes', async t => {
  for (const policy of [{}, { idle: 1000 }]) {
    const c = core({ policy })
    const owner = await ada(c)
    await rotate(c, owner)
    const thief = owner.copy()
    const before = JSON.stringify(await thief.identify())
    t.equal(JSON.stringify(await owner.identify()), before, 'owner and thief get one answer')
    await rotate(c, owner)
    t.equal(JSON.stringify(await thief.identify()), before, 'right after the owner\'s refresh')
    t.strictSame([c.store.calls, c.events], [['get'], []])
    c.wait(GRACE)
    t.equal(JSON.stringify(await thief.identify()), before, 'and after the grace period')
  }
})

t.test('the previous token is bound to the browser family with bindUserAgent', async t => {
  const c = core({ policy: { bindUserAgent: true } })
  const browser = await ada(c)
  const tokens = [String(browser.cookie)]
  t.match(await c.sessions.identify(tokens, c.context('curl/8')), { sub: 'ada' }, 'the current token is not')
  await rotate(c, browser)
  t.match(await c.sessions.identify(tokens, c.context()), { sub: 'ada' })
  t.equal(await c.sessions.identify(tokens, c.context('curl/8')).catch(codeOf), REUSED)
})

t.test('lost writes: a generation ahead of the row is no reuse, and is not written', async t => {
  const c = core()
  const browser = await ada(c)
  const lost = await rowOf(c, browser)
  await rotate(c, browser, 2)
  const { sid, gen } = held(c, browser)
  if (lost !== null) await c.store.advance(sid, gen, lost)
  c.store.calls.length = 0
  t.match(await browser.identify(), { sub: 'ada', expiresAt: lost?.expiresAt })
  t.strictSame(c.store.calls, ['get'])
  t.equal(await browser.copy().refresh(), 'heal')

  const retired = core()
  const late = await ada(retired)
  await rotate(retired, late)
  const row = held(retired, late)
  await retired.store.advance(row.sid, row.gen, { generation: 0, previous: null, rotatedAt: row.auth_time, idleExpiresAt: row.exp })
  retired.tokens.changeKey()
  t.equal(await late.identify(), REUSED, 'unless a refresh would treat it so: a retired key heals nothing')
})

t.test('a session that has ended is refused', async t => {
  const c = core()
  const browser = await ada(c)
  const page = browser.copy()
  await browser.logout()
  t.equal(await page.identify(), ENDED)

  const gone = core({ store: clock => ({ ...memoryStore({ clock }), get: async () => null }) })
  t.equal(await (await ada(gone)).identify(), ENDED)

  const old = core({ absolute: 1000 })
  const last = await ada(old)
  old.wait(1000)
  t.equal(await last.identify(), EXPIRED)
})

t.test('a page view does not extend a session', async t => {
  const c = core()
  const browser = await ada(c)
  for (let day = 0; day < 6; day++) {
    c.wait('1d')
    t.match(await browser.identify(), { sub: 'ada' })
  }
  c.wait('1d')
  t.equal(await browser.identify(), EXPIRED)
})

t.test('an unknown or disabled user is refused, and only a refresh ends the session', async t => {
  for (const disable of [(c: Core) => c.people.set('ada', person('ada', true)), (c: Core) => c.people.delete('ada')]) {
    const c = core()
    const browser = await ada(c)
    disable(c)
    t.equal(await browser.identify(), REFUSED)
    t.strictSame([c.store.calls, c.events], [['get'], []])
    t.match(await browser.identify({ user: false }), { sub: 'ada', claims: {} })
    c.people.set('ada', person('ada'))
    t.match(await browser.identify(), { sub: 'ada' }, 'an account that was disabled by mistake is not logged out by a page view')
    disable(c)
    t.equal(await browser.refresh(), REFUSED)
    t.equal(await browser.identify({ user: false }), ENDED)
  }
})

t.test('reuse is detected before the user is looked up', async t => {
  const c = core()
  const browser = await ada(c)
  const thief = browser.copy()
  await rotate(c, browser, 2)
  c.people.delete('ada')
  t.equal(await thief.identify(), REUSED)
})

t.test('without a user table there are no claims', async t => {
  const c = core({ users: false, appClaims: () => ({ role: 'admin' }) })
  const answer = await (await ada(c)).identify()
  t.strictSame(Object(answer).claims, {})
})

t.test('of several cookies the one is chosen that a refresh would choose', async t => {
  const c = core()
  const browser = await ada(c)
  const old = String(browser.cookie)
  await rotate(c, browser, 2)
  const other = c.browser()
  await other.login('bob')
  t.match(await c.sessions.identify([old, String(browser.cookie), 'tossed'], c.context()), { sub: 'ada' })
  t.equal(await c.sessions.identify([String(other.cookie), String(browser.cookie)], c.context()).catch(codeOf), INVALID)
})

t.test('without a store that keeps sessions the signature decides', async t => {
  const c = core({ store: () => statelessStore() })
  const browser = await ada(c)
  const old = browser.copy()
  await rotate(c, browser, 3)
  for (const one of [browser, old]) t.match(await one.identify(), { sub: 'ada', sid: held(c, one).sid, expiresAt: held(c, one).end })
  c.wait(IDLE)
  t.equal(await browser.identify(), EXPIRED)
})

t.test('if the store fails the answer is 503, and nothing is lost', async t => {
  const c = core()
  const browser = await ada(c)
  c.store.faults.push({ moment: 'before', kind: 'throw' })
  t.equal(await browser.identify(), UNAVAILABLE)
  t.match(await browser.identify(), { sub: 'ada' })

  const thief = browser.copy()
  await rotate(c, browser, 2)
  c.store.faults.push(null, { moment: 'before', kind: 'throw' })
  t.equal(await thief.identify(), UNAVAILABLE, 'a revocation that fails is no 401')
  t.equal(await thief.identify(), REUSED)
})

t.test('a key that another instance has loaded is loaded here too', async t => {
  const c = core()
  const browser = await ada(c)
  const sought: string[] = []
  c.tokens.seekKey = (kind, token) => {
    sought.push(kind)
    return token === browser.cookie ? Promise.resolve() : undefined
  }
  t.match(await browser.identify(), { sub: 'ada' })
  t.strictSame(sought, ['refresh'])
})
