import t from 'tap'
import { AuthError } from '../../lib/errors.js'
import { Revocations } from '../../lib/sessions/revocations.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { ABSOLUTE, ACCESS, core, GRACE, held, IDLE, loggedIn, person, robbed, rotate, rowOf, type Core } from '../support/core.js'
import { exactly } from '../support/exactly.js'

const ENDED = 'FST_AUTH_SESSION_ENDED'
const EXPIRED = 'FST_AUTH_REFRESH_TOKEN_EXPIRED'
const INVALID = 'FST_AUTH_REFRESH_TOKEN_INVALID'
const REFUSED = 'FST_AUTH_USER_REFUSED'
const REUSED = 'FST_AUTH_REFRESH_TOKEN_REUSED'

t.test('login', async t => {
  t.test('starts a session at generation 0 and issues both tokens', async t => {
    const c = core()
    const ada = c.browser()
    const { claims, expiresIn, accessToken, refreshToken } = await ada.login('ada')
    t.match(claims, { sub: 'ada', sid: held(c, ada).sid, iat: c.clock(), auth_time: c.clock(), exp: c.clock() + ACCESS })
    t.equal(expiresIn, ACCESS)
    t.same(c.sessions.authenticate(accessToken, c.context()), claims)
    t.equal(refreshToken?.maxAge, IDLE)
    t.match(await rowOf(c, ada), { subject: 'ada', generation: 0, previous: null, userAgent: 'Firefox', ip: '192.0.2.1', expiresAt: c.clock() + ABSOLUTE })
    t.strictSame(c.events, [{ type: 'login', subject: 'ada', sessionId: claims.sid }])
  })

  t.test('starts a new session each time', async t => {
    const c = core()
    const [first, second] = [await c.browser().login('ada'), await c.browser().login('ada')]
    t.not(first.claims.sid, second.claims.sid)
  })

  t.test('keeps the idle expiry within the absolute one', async t => {
    const { refreshToken } = await core({ absolute: 3600 }).browser().login('ada')
    t.equal(refreshToken?.maxAge, 3600)
  })

  t.test('refuses an impossible subject', async t => {
    const c = core({ users: false })
    for (const subject of ['', 'a'.repeat(256), 'a\0b', '\uD800']) {
      await t.rejects(c.sessions.login(subject, c.context()), { name: 'TypeError', message: /^login: the subject / })
    }
    t.strictSame(c.store.calls, [])
  })

  t.test('refuses an unknown or disabled user without a trace', async t => {
    const c = core()
    c.people.set('bob', person('bob', true))
    for (const subject of ['nobody', 'bob']) await t.rejects(c.sessions.login(subject, c.context()), { code: REFUSED })
    t.strictSame(c.store.calls, [])
    t.strictSame(c.events, [])
  })

  t.test('refuses a user who is disabled while the session is written', async t => {
    for (const after of [undefined, person('ada', true)]) {
      const people = [person('ada'), after]
      const c = core({ findById: () => people.shift() })
      await t.rejects(c.sessions.login('ada', c.context()), { code: REFUSED })
      t.strictSame([people, c.store.calls, c.events], [[], ['create', 'revoke'], []])
    }
  })

  t.test('does not load a user again', async t => {
    const c = core()
    await c.sessions.login('eve', c.context(), { user: person('eve') })
    t.strictSame(c.store.calls, ['create'])
  })

  t.test('works without users', async t => {
    const c = core({ users: false })
    const eve = c.browser()
    await eve.login('eve')
    c.wait(GRACE)
    t.equal(await eve.refresh(), 'rotate')
  })

  t.test('merges app claims and claims of the login, which win', async t => {
    const c = core({ appClaims: async ({ username }) => ({ name: username, role: 'reader', sub: 'root' }) })
    const ada = c.browser()
    t.match((await ada.login('ada', { claims: { role: 'writer' } })).claims, { sub: 'ada', name: 'ada', role: 'writer' })
    await ada.refresh()
    t.match(ada.issued?.claims, { sub: 'ada', name: 'ada', role: 'reader' })
  })

  t.test('remember: false ends the cookie with the browser, whatever the outcome of a refresh', async t => {
    const c = core()
    const ada = c.browser()
    t.equal((await ada.login('ada', { remember: false })).refreshToken?.maxAge, null)
    const lost = ada.copy()
    for (const [wait, browser, outcome] of [[GRACE, ada, 'rotate'], [0, lost.copy(), 'replay'], [GRACE, lost.copy(), 'recover']] as const) {
      c.wait(wait)
      t.equal(await browser.refresh(), outcome)
      t.equal(browser.issued?.refreshToken?.maxAge, null, outcome)
      t.equal(held(c, browser).remember, false)
    }
  })

  t.test('ends the session that this browser had', async t => {
    const { c, ada } = await loggedIn()
    const before = ada.copy()
    await ada.login('ada')
    t.equal(await before.refresh(), ENDED)
    t.equal(await ada.refresh(), 'hold')
    t.match(c.events, exactly({ type: 'login' }, { type: 'revoked', reason: 'superseded' }, { type: 'refresh' }))
  })

  t.test('ends it even if its token has expired', async t => {
    const { c, ada } = await loggedIn({ policy: { idle: 100 } })
    const { sid } = held(c, ada)
    c.wait(101)
    await ada.login('ada')
    t.match(await c.store.get(sid), { reason: 'superseded' })
  })

  t.test('session fixation: leaves the session of another user alone, who may have planted the cookie', async t => {
    const c = core()
    const bob = c.browser()
    await bob.login('bob')
    const ada = bob.copy()
    await ada.login('ada')
    t.equal(await bob.refresh(), 'hold')
  })

  t.test('ignores an invalid token of the old session', async t => {
    const c = core()
    const ada = c.browser()
    const { accessToken } = await ada.login('ada')
    for (const replaces of ['', 'garbage', accessToken, ada.cookie?.replace('ada', 'bob') ?? '']) await ada.login('ada', { replaces: [replaces] })
    t.strictSame(c.events.map(({ type }) => type), Array(5).fill('login'))
  })
})

t.test('refresh', async t => {
  t.test('of a young token holds it: a new access token, no cookie, no write', async t => {
    const { c, ada } = await loggedIn()
    const row = await rowOf(c, ada)
    c.wait(GRACE - 1)
    const answer = await ada.send()
    t.match(answer, { outcome: 'hold', issued: { refreshToken: null, expiresIn: ACCESS, claims: { iat: c.clock() } } })
    t.equal(await rowOf(c, ada), row)
  })

  t.test('of an old token rotates it and extends the idle expiry, never the absolute one', async t => {
    const { c, ada } = await loggedIn()
    const { end } = held(c, ada)
    c.wait(GRACE)
    t.equal(await ada.refresh(), 'rotate')
    t.match(held(c, ada), { gen: 1, iat: c.clock(), exp: c.clock() + IDLE, end })
    t.equal(ada.issued?.refreshToken?.maxAge, IDLE)
    t.match(await rowOf(c, ada), { generation: 1, previous: 0, rotatedAt: c.clock() })
  })

  t.test('of the previous token returns the current one and writes nothing', async t => {
    const { c, ada } = await loggedIn()
    const tabs = [ada.copy(), ada.copy()]
    c.wait(GRACE)
    await ada.refresh()
    const row = await rowOf(c, ada)
    c.wait(GRACE - 1)
    for (const tab of tabs) {
      t.equal(await tab.refresh(), 'replay')
      t.equal(tab.cookie, ada.cookie)
      t.equal(tab.issued?.refreshToken?.maxAge, IDLE - GRACE + 1, 'as long as the current one')
    }
    t.equal(await rowOf(c, ada), row)
  })

  t.test('recovers a lost reply at any time, and the lost token is invalid', async t => {
    const { c, ada } = await loggedIn()
    c.wait(GRACE)
    const lost = await ada.send()
    const thief = c.browser()
    thief.receive(lost)
    c.wait('1d')
    t.equal(await ada.refresh(), 'recover')
    t.match(await rowOf(c, ada), { generation: 2, previous: 0 })
    t.equal(await thief.refresh(), REUSED)
  })

  t.test('recovers again if that reply is lost too', async t => {
    const { c, ada } = await loggedIn()
    for (const outcome of ['rotate', 'recover', 'recover', 'recover'] as const) {
      c.wait(GRACE)
      t.equal((await ada.send()).outcome, outcome)
    }
    t.equal(await ada.refresh(), 'replay')
    c.wait(GRACE)
    t.equal(await ada.refresh(), 'rotate')
  })

  t.test('token theft: a stolen token ends only its session, for attacker and owner', async t => {
    const { c, ada, thief } = await robbed()
    const phone = c.browser()
    await phone.login('ada')
    t.equal(await thief.refresh(), REUSED)
    t.equal(await ada.refresh(), REUSED)
    t.equal(await thief.refresh(), REUSED)
    t.equal(await phone.refresh(), 'hold')
  })

  t.test('reuse detection: reuse is reported once, with both generations and the session', async t => {
    const { c, ada, thief } = await robbed()
    await thief.refresh()
    await thief.refresh()
    t.strictSame(c.events, [{
      type: 'reuse', subject: 'ada', sessionId: held(c, ada).sid, presented: 0, current: 2, loggedInFrom: { userAgent: 'Firefox', ip: '192.0.2.1' }
    }])
  })

  t.test('race: parallel refreshes with one stolen token report reuse once', async t => {
    const { c, thief } = await robbed()
    t.strictSame(await Promise.all(Array.from({ length: 5 }, () => thief.copy().refresh())), Array(5).fill(REUSED))
    t.equal(c.events.filter(event => event.type === 'reuse').length, 1)
  })

  t.test('reuse detection: reuse is reported if the store fails, also after it has ended the session', async t => {
    for (const [moment, reports] of [['after', 1], ['before', 2]] as const) {
      const { c, thief } = await robbed()
      c.store.faults.push({ moment, kind: 'throw', call: 'revoke' })
      t.equal(await thief.refresh(), 'FST_AUTH_STORE_UNAVAILABLE')
      for (let i = 0; i < 2; i++) t.equal(await thief.refresh(), REUSED)
      t.equal(c.events.filter(event => event.type === 'reuse').length, reports, moment)
    }
  })

  t.test('reports its outcome', async t => {
    const { c, ada } = await loggedIn()
    const sessionId = held(c, ada).sid
    await ada.refresh()
    c.wait(GRACE)
    await ada.refresh()
    t.strictSame(c.events, [
      { type: 'refresh', subject: 'ada', sessionId, outcome: 'hold', generation: 0 },
      { type: 'refresh', subject: 'ada', sessionId, outcome: 'rotate', generation: 1 }
    ])
  })

  t.test('reuse detection: detects a first token after 500 rotations', async t => {
    const { c, ada } = await loggedIn()
    const thief = ada.copy()
    await rotate(c, ada, 500)
    t.equal(held(c, ada).gen, 500)
    t.equal(await thief.refresh(), REUSED)
  })

  t.test('ends exactly at the idle expiry', async t => {
    for (const [time, outcome] of [[IDLE - 1, 'rotate'], [IDLE, EXPIRED], [IDLE + 1, EXPIRED]] as const) {
      const { c, ada } = await loggedIn()
      c.wait(time)
      t.equal(await ada.refresh(), outcome, `${time}`)
    }
  })

  t.test('ends exactly at the absolute expiry, however active', async t => {
    const { c, ada } = await loggedIn({ absolute: 10_000, policy: { idle: 1000 } })
    for (let time = 0; time < 9500; time += 500) {
      c.wait(500)
      t.equal(await ada.refresh(), 'rotate')
    }
    c.wait(499)
    t.equal(await ada.refresh(), 'rotate')
    t.match(ada.issued, { expiresIn: 1, refreshToken: { maxAge: 1 } })
    c.wait(1)
    t.equal(await ada.refresh(), EXPIRED)
  })

  t.test('uses one time for all checks, so an expiry during a store call gives no expired cookie', async t => {
    for (const [absolute, idle] of [[1000, 1000], [1000, 500]] as const) {
      const { c, ada } = await loggedIn({ absolute, policy: { idle } })
      const { advance } = c.store
      c.store.advance = async (...step) => {
        c.wait(5)
        return await advance(...step)
      }
      c.wait(idle - 1)
      t.equal(await ada.refresh(), 'rotate')
      t.equal(ada.issued?.refreshToken?.maxAge, Math.min(idle, absolute - idle + 1))
      t.ok((ada.issued?.expiresIn ?? 0) > 0)
    }
  })

  t.test('truncates fractions of the clock', async t => {
    const c = core()
    const ada = c.browser()
    c.wait(0.9)
    await ada.login('ada')
    t.equal(held(c, ada).iat, Math.floor(c.clock()))
    c.wait(GRACE - 0.1)
    t.equal(await ada.refresh(), 'rotate')
    t.equal(held(c, ada).iat, Math.floor(c.clock()))
  })

  t.test('clock skew: continues if the clock was set back', async t => {
    const { c, ada } = await loggedIn()
    c.wait(GRACE)
    const late = ada.copy()
    await ada.refresh()
    c.wait(-1000)
    t.equal(await ada.refresh(), 'hold')
    t.equal(await late.refresh(), 'replay')
  })

  t.test('of a session that the store does not know is no reuse', async t => {
    const { c, ada } = await loggedIn()
    ada.cookie = c.tokens.seal('refresh', { ...held(c, ada), sid: 'unknown' })
    for (const time of [0, GRACE]) {
      c.wait(time)
      t.equal(await ada.refresh(), ENDED)
    }
    t.notOk(c.events.some(event => event.type === 'reuse'))
  })

  t.test('loads the user, and ends the session of a deleted or disabled one', async t => {
    for (const gone of [true, false]) {
      const { c, ada } = await loggedIn()
      if (gone) c.people.delete('ada')
      else c.people.set('ada', person('ada', true))
      t.equal(await ada.refresh(), REFUSED)
      t.equal(await ada.refresh(), REFUSED, 'and again')
      c.people.set('ada', person('ada'))
      t.equal(await ada.refresh(), ENDED)
      t.match(c.events, exactly({ type: 'revoked', subject: 'ada', sessionId: held(c, ada).sid, reason: 'user_refused' }))
    }
  })

  t.test('costs one round trip to rotate and one to hold', async t => {
    const { c, ada } = await loggedIn()
    const calls = async (): Promise<string[]> => {
      await ada.refresh()
      return c.store.calls.splice(0)
    }
    c.store.calls.splice(0)
    t.strictSame(await calls(), ['get'])
    c.wait(GRACE)
    t.strictSame(await calls(), ['advance'])
    t.strictSame(await calls(), ['get'])
  })

  t.test('denial of service: a forged token reaches neither store nor user table', async t => {
    const c = core()
    const ada = c.browser()
    const { accessToken } = await ada.login('ada')
    const token = ada.cookie ?? ''
    c.store.calls.splice(0)
    c.people.clear()
    const flipped = Array.from(token, (_, i) => token.slice(0, i) + String.fromCharCode(token.charCodeAt(i) ^ 1) + token.slice(i + 1))
    for (const forged of [...flipped, '', 'garbage', accessToken, token.slice(1), token + ' ', c.tokens.seal('refresh', { ...held(c, ada), gen: -1 })]) {
      await t.rejects(c.sessions.refresh([forged], c.context()), { code: INVALID })
      await c.sessions.logout([forged], c.context())
    }
    t.strictSame(c.store.calls, [])
  })

  t.test('denial of service: an expired token reaches neither store nor user table', async t => {
    const { c, ada } = await loggedIn()
    c.people.clear()
    c.wait(IDLE)
    t.equal(await ada.refresh(), EXPIRED)
    t.strictSame(c.store.calls, [])
  })
})

t.test('rate limit of refreshes', async t => {
  t.test('is checked after the signature', async t => {
    const asked: string[] = []
    const { c, ada } = await loggedIn({ limitRefresh: async ({ sub }) => { asked.push(sub) } })
    t.equal(await ada.refresh(), 'hold')
    await t.rejects(c.sessions.refresh(['garbage'], c.context()), { code: INVALID })
    t.strictSame(asked, ['ada'])
  })

  t.test('refuses before the user table is asked and anything is written', async t => {
    const { c, ada } = await loggedIn({ limitRefresh: async () => { throw new AuthError('FST_AUTH_TOO_MANY_ATTEMPTS') } })
    c.people.clear()
    t.equal(await ada.refresh(), 'FST_AUTH_TOO_MANY_ATTEMPTS')
    t.strictSame(c.store.calls, ['get'])
  })
})

t.test('key rotation: a retired key verifies until its tokens are rotated', async t => {
  const { c, ada } = await loggedIn()
  c.tokens.changeKey()
  t.equal(await ada.refresh(), 'hold')
  c.wait(GRACE)
  t.equal(await ada.refresh(), 'rotate')
  t.equal(c.tokens.verifyRefresh(ada.cookie ?? '')?.signedByCurrentKey, true)
})

t.test('authenticate', async t => {
  t.test('returns the claims of an access token without I/O', async t => {
    const c = core()
    const { accessToken, claims } = await c.browser().login('ada')
    c.store.calls.splice(0)
    t.same(c.sessions.authenticate(accessToken, c.context()), claims)
    c.wait(ACCESS - 1)
    t.same(c.sessions.authenticate(accessToken, c.context()), claims)
    c.wait(1)
    t.throws(() => c.sessions.authenticate(accessToken, c.context()), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
    t.strictSame(c.store.calls, [])
  })

  t.test('refuses everything else', async t => {
    const c = core()
    const ada = c.browser()
    const { accessToken } = await ada.login('ada')
    for (const token of ['', 'garbage', accessToken + ' ', ada.cookie ?? '', c.tokens.seal('access', { sub: 'ada' })]) {
      t.throws(() => c.sessions.authenticate(token, c.context()), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
    }
  })

  t.test('strict: asks whether the session has ended', async t => {
    const c = core()
    const ada = c.browser()
    const { accessToken, claims } = await ada.login('ada')
    t.same(await c.sessions.authenticate(accessToken, c.context(), { strict: true }), claims)
    await c.sessions.assertUnrevoked(claims, c.context())
    await ada.logout()
    for (const ask of [() => c.sessions.authenticate(accessToken, c.context(), { strict: true }), () => c.sessions.assertUnrevoked(claims, c.context())]) await t.rejects(async () => await ask(), { code: ENDED })
    t.same(c.sessions.authenticate(accessToken, c.context()), claims, 'which only the store knows')
  })

  t.test('strict: refuses a session that the store does not know', async t => {
    const c = core()
    const { accessToken } = await c.browser().login('ada')
    c.store.get = async () => null
    await t.rejects(async () => await c.sessions.authenticate(accessToken, c.context(), { strict: true }), { code: ENDED })
  })

  t.test('key rotation: waits for a key that another instance has loaded', async t => {
    const c = core()
    const { accessToken, claims } = await c.browser().login('ada')
    const { verifyAccess } = c.tokens
    for (const [read, code] of [[async () => { c.tokens.verifyAccess = verifyAccess }, null], [async () => { throw new Error('away') }, 'FST_AUTH_ACCESS_TOKEN_INVALID']] as const) {
      c.tokens.verifyAccess = () => { throw new AuthError('FST_AUTH_ACCESS_TOKEN_INVALID') }
      c.tokens.seekKey = read
      const pending = c.sessions.authenticate(accessToken, c.context())
      t.type(pending, Promise)
      if (code === null) t.same(await pending, claims)
      else await t.rejects(Promise.resolve(pending), { code })
    }
  })
})

t.test('immediate revocation', async t => {
  /** The session service with a set of revocations, whose subscription came up this many seconds before the login. */
  async function start (ago: number) {
    let clock = (): number => 0
    const revocations = new Revocations({ clock: () => clock(), retain: ACCESS, skew: 5 })
    const c = core({ revocations })
    clock = c.clock
    c.store.subscribe?.(revocations.listener)
    revocations.connected(true)
    c.wait(ago)
    const ada = c.browser()
    const { accessToken, claims } = await ada.login('ada')
    c.store.calls.splice(0)
    return { c, ada, accessToken, claims, revocations }
  }

  t.test('refuses access tokens of a revoked session without asking the store', async t => {
    const { c, ada, accessToken, claims } = await start(100)
    t.same(c.sessions.authenticate(accessToken, c.context()), claims)
    t.strictSame(c.store.calls, [])
    await ada.logout()
    for (const strict of [false, true]) t.throws(() => c.sessions.authenticate(accessToken, c.context(), { strict }), { code: ENDED })
  })

  t.test('asks the store once about an unknown session', async t => {
    const { c, accessToken, claims } = await start(0)
    t.same(await c.sessions.authenticate(accessToken, c.context()), claims)
    t.same(c.sessions.authenticate(accessToken, c.context()), claims, 'not a promise')
    t.strictSame(c.store.calls, ['get'])
  })

  t.test('refuses a session that the store reports as ended', async t => {
    const { c, accessToken } = await start(0)
    c.store.get = async () => null
    await t.rejects(async () => await c.sessions.authenticate(accessToken, c.context()), { code: ENDED })
  })

  t.test('fail open: accepts during a store outage, unless the set is full', async t => {
    const { c, accessToken, claims, revocations } = await start(0)
    c.store.faults.push({ moment: 'before', kind: 'throw' }, { moment: 'before', kind: 'throw' })
    t.same(await c.sessions.authenticate(accessToken, c.context()), claims)
    t.match(c.events.at(-1), { type: 'store_unavailable' })
    revocations.refusesUnknown = () => true
    await t.rejects(async () => await c.sessions.authenticate(accessToken, c.context()), { code: 'FST_AUTH_STORE_UNAVAILABLE' }, 'and the store is asked again')
  })
})

t.test('lockout: the holder of a refresh token', async t => {
  t.test('is the user of the chosen token, while it is valid', async t => {
    const { c, ada } = await loggedIn()
    const bob = c.browser()
    const { accessToken } = await bob.login('bob')
    const cookies = [ada.cookie ?? '', bob.cookie ?? '']
    t.match(c.sessions.claimsOf(cookies.slice(0, 1)), { sub: 'ada', sid: held(c, ada).sid })
    for (const tokens of [[''], ['garbage'], [accessToken], cookies]) t.equal(c.sessions.claimsOf(tokens), null)
    c.wait(IDLE)
    t.equal(c.sessions.claimsOf(cookies.slice(0, 1)), null, 'not of an expired one')
  })

  t.test('has a live session with the current or the previous token, and a stale one is reuse', async t => {
    const { c, ada } = await loggedIn()
    const hasLiveSession = async (cookie: string | null | undefined): Promise<boolean> => await c.sessions.hasLiveSession([cookie ?? ''], c.context())
    const first = ada.cookie
    t.equal(await hasLiveSession('garbage'), false)
    for (const live of [true, true, false]) {
      t.equal(await hasLiveSession(first), live)
      c.wait(GRACE)
      if (live) await ada.refresh()
    }
    t.match(c.events.at(-1), { type: 'reuse' })
    t.equal(await hasLiveSession(ada.cookie), false)
    c.store.faults.push({ moment: 'before', kind: 'throw' })
    await t.rejects(hasLiveSession(ada.cookie), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
  })
})

t.test('logout', async t => {
  t.test('ends the session for every copy of the token, once', async t => {
    const { c, ada } = await loggedIn()
    const copy = ada.copy()
    t.equal(await ada.logout(), 'ok')
    t.equal(await copy.refresh(), ENDED)
    t.equal(await copy.logout(), 'ok')
    t.match(c.events, exactly({ type: 'logout', subject: 'ada', sessionId: ada.issued?.claims.sid }))
  })

  t.test('accepts a token of any generation', async t => {
    const { c, ada } = await loggedIn()
    const oldest = ada.copy()
    await rotate(c, ada, 3)
    t.equal(await oldest.logout(), 'ok')
    t.equal(await ada.refresh(), ENDED)
    t.notOk(c.events.some(event => event.type === 'reuse'))
  })

  t.test('accepts an expired token and one of a retired key', async t => {
    for (const spoil of [(c: Core) => c.wait(ABSOLUTE + 1), (c: Core) => c.tokens.changeKey()]) {
      const { c, ada } = await loggedIn()
      const { sid } = held(c, ada)
      spoil(c)
      t.equal(await ada.logout(), 'ok')
      t.match(await c.store.get(sid), { reason: 'logout' })
    }
  })

  t.test('reuse detection: a logout keeps the reason, and leaves other sessions alone', async t => {
    const { c, ada, thief } = await robbed()
    const phone = c.browser()
    await phone.login('ada')
    await thief.refresh()
    t.equal(await thief.logout(), 'ok')
    t.equal(await ada.refresh(), REUSED)
    t.equal(await phone.refresh(), 'hold')
  })
})

t.test('administration', async t => {
  t.test('lists the live sessions of a subject, oldest first', async t => {
    const c = core()
    const [first, second, third, bob] = [c.browser(), c.browser(), c.browser(), c.browser()]
    for (const browser of [first, second, third]) {
      await browser.login('ada')
      c.wait(1)
    }
    await bob.login('bob')
    await second.logout()
    t.strictSame((await c.sessions.list('ada', c.context())).map(({ id }) => id), [held(c, first).sid, held(c, third).sid])
    c.wait(IDLE - 3)
    t.strictSame((await c.sessions.list('ada', c.context())).map(({ id }) => id), [held(c, third).sid], 'none past its expiry')
    t.strictSame(await c.sessions.list('nobody', c.context()), [])
  })

  t.test('revokes a live session of the subject only', async t => {
    const { c, ada } = await loggedIn()
    const { sid } = held(c, ada)
    t.notOk(await c.sessions.revoke('unknown', 'revoked', c.context()))
    c.store.calls.splice(0)
    t.notOk(await c.sessions.revoke('no id', 'revoked', c.context()))
    t.notOk(await c.sessions.revoke('challenge-a', 'revoked', c.context()), 'which would use the challenge up')
    t.strictSame(c.store.calls, [], 'for which no store is asked')
    t.notOk(await c.sessions.revoke(sid, 'revoked', c.context(), 'bob'))
    t.equal(await ada.refresh(), 'hold')
    t.ok(await c.sessions.revoke(sid, 'revoked', c.context(), 'ada'))
    t.notOk(await c.sessions.revoke(sid, 'revoked', c.context()))
    t.equal(await ada.refresh(), ENDED)
    t.strictSame(c.events.filter(event => event.type === 'revoked'), [{ type: 'revoked', subject: 'ada', sessionId: sid, reason: 'revoked' }])
  })

  t.test('revokes sessions past the idle expiry, which an access token may renew, and none past the absolute expiry', async t => {
    for (const [after, ends] of [[IDLE, true], [ABSOLUTE, false]] as const) {
      const { c, ada } = await loggedIn()
      const { sid } = held(c, ada)
      c.wait(after)
      t.equal(await c.sessions.revoke(sid, 'revoked', c.context()), ends)
    }
  })

  t.test('revokes all sessions of a subject, or all but one', async t => {
    const c = core()
    const [ada, phone, bob] = [c.browser(), c.browser(), c.browser()]
    await ada.login('ada')
    await phone.login('ada')
    await bob.login('bob')
    t.equal(await c.sessions.revokeAll('ada', 'password_changed', c.context(), held(c, ada).sid), 1)
    t.equal(await phone.refresh(), ENDED)
    t.equal(await ada.refresh(), 'hold')
    t.equal(await c.sessions.revokeAll('ada', 'revoked', c.context()), 1)
    t.equal(await c.sessions.revokeAll('ada', 'revoked', c.context()), 0)
    t.equal(await ada.refresh(), ENDED)
    t.equal(await bob.refresh(), 'hold')
    t.strictSame(c.events.filter(event => event.type === 'revoked').map(({ subject, sessionId, reason }) => [subject, sessionId, reason]), [
      ['ada', null, 'password_changed'],
      ['ada', null, 'revoked']
    ])
  })

  t.test('denial of service: revokes a flood of sessions in batches, longer than the deadline of a request', async t => {
    let time = 0
    t.intercept(performance, 'now', { value: () => time })
    const c = core({
      store (clock) {
        const memory = memoryStore({ clock })
        return {
          ...memory,
          async revokeAll (subject, reason, exceptId) {
            const others = (await memory.list(subject)).filter(({ id }) => id !== exceptId).slice(0, 2)
            for (const { id } of others) await memory.revoke(id, reason)
            time += 1900
            return others.length
          }
        }
      }
    })
    const ada = c.browser()
    await ada.login('ada')
    for (let nth = 0; nth < 7; nth++) await c.browser().login('ada')
    t.equal(await c.sessions.revokeAll('ada', 'revoked', c.context(), held(c, ada).sid), 7)
    t.equal(c.store.calls.filter(call => call === 'revokeAll').length, 5)
    t.equal(await ada.refresh(), 'hold')
    t.match(c.events.filter(({ type }) => type === 'revoked'), exactly({ sessionId: null, reason: 'revoked' }), 'one event for all')

    for (let nth = 0; nth < 7; nth++) await c.browser().login('ada')
    const fault = { moment: 'before', kind: 'throw', call: 'revokeAll' } as const
    c.store.faults.push(null, fault, fault, null, fault, fault, fault)
    await t.rejects(c.sessions.revokeAll('ada', 'revoked', c.context()), { code: 'FST_AUTH_STORE_UNAVAILABLE', message: /^Some of the sessions may not have ended/ }, 'after three attempts')
    t.equal(c.events.filter(({ type }) => type === 'revoked').length, 2, 'sessions that ended before a failure stay ended, and are reported')
    t.equal(c.events.filter(({ type }) => type === 'store_unavailable').length, 1, 'attempts that failed before a success are reported, since no refusal is')
    t.equal((await c.sessions.list('ada', c.context())).length, 4)
    t.equal(await c.sessions.revokeAll('ada', 'revoked', c.context()), 4, 'and the next call continues there')
  })

  t.test('a store whose revokeAll gives no number is a TypeError, and no endless loop', async t => {
    const { c } = await loggedIn()
    c.store.revokeAll = (async () => {}) as never
    await t.rejects(c.sessions.revokeAll('ada', 'revoked', c.context()), { name: 'TypeError', message: /"revokeAll" of the store must resolve to the number/ })
  })

  t.test('purges rows one access-token lifetime after their expiry, so the last access token is still refused', async t => {
    const c = core({ absolute: IDLE })
    await c.browser().login('ada')
    for (const [time, purged] of [[IDLE + ACCESS - 1, 0], [1, 0], [1, 1], [1, 0]] as const) {
      c.wait(time)
      t.equal(await c.sessions.purgeExpired(), purged)
    }
  })
})
