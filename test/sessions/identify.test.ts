import t from 'tap'
import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'
import { codeOf, GRACE, held, IDLE, loggedIn, person, restore, robbed, rotate, rowOf, type Core } from '../support/core.js'
import { exactly } from '../support/exactly.js'

const ENDED = 'FST_AUTH_SESSION_ENDED'
const EXPIRED = 'FST_AUTH_REFRESH_TOKEN_EXPIRED'
const INVALID = 'FST_AUTH_REFRESH_TOKEN_INVALID'
const REFUSED = 'FST_AUTH_USER_REFUSED'
const REUSED = 'FST_AUTH_REFRESH_TOKEN_REUSED'
const UNAVAILABLE = 'FST_AUTH_STORE_UNAVAILABLE'

t.test('identify names the user and the session by one read, and writes nothing', async t => {
  const { c, ada } = await loggedIn({ appClaims: user => ({ role: `role of ${user.id}` }) })
  const row = await rowOf(c, ada)
  c.store.calls.length = 0
  for (let view = 0; view < 100; view++) {
    c.wait(GRACE)
    t.strictSame(await ada.identify(), { sub: 'ada', sid: row?.id, auth_time: row?.authTime, expiresAt: row?.expiresAt, claims: { role: 'role of ada' } })
  }
  t.strictSame(c.store.calls, Array(100).fill('get'))
  t.strictSame(c.events, [])
  t.strictSame(await rowOf(c, ada), row)
})

t.test('identify consumes no rate limit of refreshes', async t => {
  let consumed = 0
  const { ada } = await loggedIn({ limitRefresh: async () => { consumed++ } })
  await ada.identify()
  t.equal(consumed, 0)
  await ada.refresh()
  t.equal(consumed, 1)
})

t.test('forged, missing and expired tokens are refused without I/O', async t => {
  const { c, ada } = await loggedIn()
  const forged = c.browser()
  t.equal(await forged.identify(), 'FST_AUTH_REFRESH_TOKEN_MISSING')
  forged.cookie = `${ada.cookie}x`
  t.equal(await forged.identify(), INVALID)
  forged.cookie = c.tokens.seal('access', ada.issued?.claims)
  t.equal(await forged.identify(), INVALID)
  c.wait(IDLE - 1)
  t.match(await ada.identify(), { sub: 'ada' })
  c.store.calls.length = 0
  c.wait(1)
  t.equal(await ada.identify(), EXPIRED)
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
        const { c, ada } = await loggedIn({ policy })
        const previous = ada.copy()
        c.wait(GRACE)
        const { sid } = held(c, ada)
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
  const { c, ada: lost } = await loggedIn()
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
    const { c, ada, thief } = await robbed()
    t.equal(await thief[verb](), REUSED)
    events.push(c.events.map(event => ({ ...event, sessionId: null })))
    t.equal(await ada.identify(), REUSED, 'the owner is informed')
    t.equal(await ada.refresh(), REUSED)
  }
  t.match(events[0], exactly({ type: 'reuse', subject: 'ada', presented: 0, current: 2, loggedInFrom: { userAgent: 'Firefox', ip: '192.0.2.1' } }))
  t.strictSame(events[0], events[1], 'with the same event')
})

t.test('timing of a theft: no answer shows when the owner refreshes', async t => {
  for (const policy of [{}, { idle: 1000 }]) {
    const { c, ada: owner } = await loggedIn({ policy })
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
  const { c, ada } = await loggedIn({ policy: { bindUserAgent: true } })
  const tokens = [String(ada.cookie)]
  t.match(await c.sessions.identify(tokens, c.context('curl/8')), { sub: 'ada' }, 'the current token is not')
  await rotate(c, ada)
  t.match(await c.sessions.identify(tokens, c.context()), { sub: 'ada' })
  t.equal(await c.sessions.identify(tokens, c.context('curl/8')).catch(codeOf), REUSED)
})

t.test('lost writes: a generation ahead of the row is no reuse, and is not written', async t => {
  const { c, ada } = await loggedIn()
  const lost = await rowOf(c, ada)
  await rotate(c, ada, 2)
  await restore(c, ada, lost)
  c.store.calls.length = 0
  t.match(await ada.identify(), { sub: 'ada', expiresAt: lost?.expiresAt })
  t.strictSame(c.store.calls, ['get'])
  t.equal(await ada.copy().refresh(), 'heal')

  const { c: retired, ada: late } = await loggedIn()
  const first = await rowOf(retired, late)
  await rotate(retired, late)
  await restore(retired, late, first)
  retired.tokens.changeKey()
  t.equal(await late.identify(), REUSED, 'unless a refresh would treat it so: a retired key heals nothing')
})

t.test('a session that has ended is refused', async t => {
  const { ada } = await loggedIn()
  const page = ada.copy()
  await ada.logout()
  t.equal(await page.identify(), ENDED)

  const { ada: gone } = await loggedIn({ store: clock => ({ ...memoryStore({ clock }), get: async () => null }) })
  t.equal(await gone.identify(), ENDED)

  const { c: old, ada: last } = await loggedIn({ absolute: 1000 })
  old.wait(1000)
  t.equal(await last.identify(), EXPIRED)
})

t.test('a page view does not extend a session', async t => {
  const { c, ada } = await loggedIn()
  for (let day = 0; day < 6; day++) {
    c.wait('1d')
    t.match(await ada.identify(), { sub: 'ada' })
  }
  c.wait('1d')
  t.equal(await ada.identify(), EXPIRED)
})

t.test('an unknown or disabled user is refused, and only a refresh ends the session', async t => {
  for (const disable of [(c: Core) => c.people.set('ada', person('ada', true)), (c: Core) => c.people.delete('ada')]) {
    const { c, ada } = await loggedIn()
    disable(c)
    t.equal(await ada.identify(), REFUSED)
    t.strictSame([c.store.calls, c.events], [['get'], []])
    t.match(await ada.identify({ user: false }), { sub: 'ada', claims: {} })
    c.people.set('ada', person('ada'))
    t.match(await ada.identify(), { sub: 'ada' }, 'an account that was disabled by mistake is not logged out by a page view')
    disable(c)
    t.equal(await ada.refresh(), REFUSED)
    t.equal(await ada.identify({ user: false }), ENDED)
  }
})

t.test('reuse is detected before the user is looked up', async t => {
  const { c, thief } = await robbed()
  c.people.delete('ada')
  t.equal(await thief.identify(), REUSED)
})

t.test('without a user table there are no claims', async t => {
  const { ada } = await loggedIn({ users: false, appClaims: () => ({ role: 'admin' }) })
  const answer = await ada.identify()
  t.strictSame(Object(answer).claims, {})
})

t.test('of several cookies the one is chosen that a refresh would choose', async t => {
  const { c, ada } = await loggedIn()
  const old = String(ada.cookie)
  await rotate(c, ada, 2)
  const other = c.browser()
  await other.login('bob')
  t.match(await c.sessions.identify([old, String(ada.cookie), 'tossed'], c.context()), { sub: 'ada' })
  t.equal(await c.sessions.identify([String(other.cookie), String(ada.cookie)], c.context()).catch(codeOf), INVALID)
})

t.test('without a store that keeps sessions the signature decides', async t => {
  const { c, ada } = await loggedIn({ store: () => statelessStore() })
  const old = ada.copy()
  await rotate(c, ada, 3)
  for (const one of [ada, old]) t.match(await one.identify(), { sub: 'ada', sid: held(c, one).sid, expiresAt: held(c, one).end })
  c.wait(IDLE)
  t.equal(await ada.identify(), EXPIRED)
})

t.test('if the store fails the answer is 503, and nothing is lost', async t => {
  const { c, ada } = await loggedIn()
  c.store.faults.push({ moment: 'before', kind: 'throw' })
  t.equal(await ada.identify(), UNAVAILABLE)
  t.match(await ada.identify(), { sub: 'ada' })

  const thief = ada.copy()
  await rotate(c, ada, 2)
  c.store.faults.push(null, { moment: 'before', kind: 'throw' })
  t.equal(await thief.identify(), UNAVAILABLE, 'a revocation that fails is no 401')
  t.equal(await thief.identify(), REUSED)
})

t.test('a key that another instance has loaded is loaded here too', async t => {
  const { c, ada } = await loggedIn()
  const sought: string[] = []
  c.tokens.seekKey = (kind, token) => {
    sought.push(kind)
    return token === ada.cookie ? Promise.resolve() : undefined
  }
  t.match(await ada.identify(), { sub: 'ada' })
  t.strictSame(sought, ['refresh'])
})
