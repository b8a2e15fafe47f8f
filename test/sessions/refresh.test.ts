import t from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'
import { core, GRACE, held, IDLE, loggedIn, person, restore, rotate, rowOf, type Browser, type Core } from '../support/core.js'

const BUSY = 'FST_AUTH_BUSY'
const ENDED = 'FST_AUTH_SESSION_ENDED'
const EXPIRED = 'FST_AUTH_REFRESH_TOKEN_EXPIRED'
const REUSED = 'FST_AUTH_REFRESH_TOKEN_REUSED'

t.test('race: concurrent refreshes', async t => {
  t.test('of one token advance one generation and get the same cookie', async t => {
    const { c, ada } = await loggedIn()
    c.wait(GRACE)
    const answers = await Promise.all(Array.from({ length: 100 }, () => ada.send()))
    t.equal(answers.filter(({ outcome }) => outcome === 'rotate').length, 1)
    t.equal(answers.filter(({ outcome }) => outcome === 'replay').length, 99)
    t.equal(new Set(answers.map(({ issued }) => issued?.refreshToken?.value)).size, 1)
    t.match(await rowOf(c, ada), { generation: 1 })
  })

  t.test('retry a lost compare-and-set three times, then are busy', async t => {
    for (const [losses, outcome] of [[0, 'rotate'], [3, 'rotate'], [4, BUSY]] as const) {
      const { c, ada } = await loggedIn({ store: clock => losing(memoryStore({ clock }), losses) })
      c.wait(GRACE)
      t.equal(await ada.refresh(), outcome, `${losses} losses`)
      t.equal(await ada.refresh(), losses < 4 ? 'hold' : 'rotate', 'and nothing is lost')
    }
  })

  t.test('count a heal among the three retries', async t => {
    for (const [losses, outcome] of [[2, 'heal'], [3, BUSY]] as const) {
      const { c, ada } = await ahead()
      c.store.advance = losing({ ...c.store }, losses).advance
      t.equal(await ada.refresh(), outcome, `${losses} losses`)
      t.equal(await ada.refresh(), 'hold')
    }
  })

  t.test('race: a logout wins against a refresh in progress', async t => {
    const { c, ada } = await loggedIn()
    c.wait(GRACE)
    const [, answer] = await Promise.all([c.sessions.logout([ada.cookie ?? ''], c.context()), ada.send()])
    ada.receive(answer)
    t.equal(await ada.refresh(), ENDED)
  })
})

t.test('heal after lost writes', async t => {
  t.test('with a young token: held and sent again', async t => {
    const { c, ada } = await ahead()
    const { cookie } = ada
    t.equal(await ada.refresh(), 'heal')
    t.equal(ada.issued?.refreshToken?.value, cookie)
    t.match(await rowOf(c, ada), { generation: 2, previous: 1, rotatedAt: held(c, ada).iat })
    t.equal(await ada.refresh(), 'hold')
  })

  t.test('with an old token: rotated', async t => {
    const { c, ada } = await ahead()
    c.wait(GRACE)
    t.equal(await ada.refresh(), 'heal')
    t.match(held(c, ada), { gen: 3, iat: c.clock() })
    t.match(await rowOf(c, ada), { generation: 3, previous: 2 })
  })

  t.test('other tabs get the same token again', async t => {
    const { c, ada } = await ahead()
    const tab = c.browser()
    tab.cookie = c.tokens.seal('refresh', { ...held(c, ada), gen: 1, iat: held(c, ada).iat - GRACE })
    await ada.refresh()
    t.equal(await tab.refresh(), 'replay')
    t.equal(tab.cookie, ada.cookie)
  })

  t.test('token theft: after a restored backup a replaced token heals once, and the owner\'s next refresh detects it', async t => {
    for (const first of ['thief', 'owner'] as const) {
      const { c, ada } = await loggedIn()
      const backup = await rowOf(c, ada)
      await rotate(c, ada)
      const thief = ada.copy()
      await rotate(c, ada, 2)
      await restore(c, ada, backup)
      c.wait(GRACE)
      const [one, two] = first === 'thief' ? [thief, ada] : [ada, thief]
      t.equal(await one.refresh(), 'heal', `the ${first} first`)
      t.equal(await two.refresh(), REUSED)
      t.equal(await one.refresh(), REUSED)
    }
  })

  t.test('never extends the expiry beyond that of the token', async t => {
    const { c, ada } = await ahead()
    const { exp, end } = held(c, ada)
    c.wait(10)
    await ada.refresh()
    t.match(await rowOf(c, ada), { idleExpiresAt: exp, expiresAt: end })
  })

  t.test('is refused for a retired key', async t => {
    const { c, ada } = await ahead()
    c.tokens.changeKey()
    t.equal(await ada.refresh(), REUSED)
  })

  t.test('is refused for a token that is older than the row', async t => {
    const { c, ada } = await ahead()
    ada.cookie = c.tokens.seal('refresh', { ...held(c, ada), iat: held(c, ada).iat - 2 * GRACE - 1 })
    t.equal(await ada.refresh(), REUSED)
  })

  t.test('with a store that never settles is busy', async t => {
    const { c, ada } = await ahead()
    const { get, advance } = c.store
    const lost = await rowOf(c, ada)
    c.store.get = c.store.advance = async () => lost
    t.equal(await ada.refresh(), BUSY)
    Object.assign(c.store, { get, advance })
    t.equal(await ada.refresh(), 'heal')
  })
})

t.test('rotation never', async t => {
  const never = { policy: { rotation: 'never' } } as const

  t.test('answers hold, and the expiry stays as the login set it', async t => {
    const { c, ada } = await loggedIn(never)
    for (let i = 0; i < 6; i++) {
      c.wait('1d')
      t.equal(await ada.refresh(), 'hold')
    }
    t.strictSame(new Set(c.store.calls), new Set(['get']))
    c.wait('1d')
    t.equal(await ada.refresh(), EXPIRED)
  })

  t.test('ends the session that the login replaced at no refresh, as each would repeat it, but at the logout', async t => {
    const { c, ada } = await loggedIn(never)
    const before = held(c, ada).sid
    c.store.faults.push({ moment: 'before', kind: 'throw', call: 'revoke' }) // the call after the reply is lost
    await ada.login('ada')
    c.store.calls.length = 0
    for (let i = 0; i < 3; i++) t.equal(await ada.refresh(), 'hold')
    t.strictSame(c.store.calls, ['get', 'get', 'get'])
    t.equal(await ada.logout(), 'ok')
    t.match(await c.store.get(before), { reason: 'superseded' })
  })

  t.test('tokens from before the change still converge', async t => {
    const { c, ada } = await loggedIn(never)
    const { sid } = held(c, ada)
    c.wait(GRACE)
    await c.store.advance(sid, 0, { generation: 1, previous: 0, rotatedAt: c.clock(), idleExpiresAt: c.clock() + IDLE })
    const late = ada.copy()
    t.equal(await ada.refresh(), 'replay')
    t.equal(await ada.refresh(), 'hold')
    c.wait(GRACE)
    t.equal(await late.refresh(), 'recover')
    t.equal(await ada.refresh(), REUSED)
  })
})

t.test('strict rotation', async t => {
  const strict = { policy: { grace: 0, recoverLostReply: false } }

  t.test('issues a different token each time, even within a second', async t => {
    const { ada } = await loggedIn(strict)
    const cookies = new Set([ada.cookie])
    for (let i = 0; i < 5; i++) {
      t.equal(await ada.refresh(), 'rotate')
      cookies.add(ada.cookie)
    }
    t.equal(cookies.size, 6)
  })

  t.test('reuse detection: ends the session at the first second use', async t => {
    const { ada } = await loggedIn(strict)
    const tab = ada.copy()
    t.equal(await ada.refresh(), 'rotate')
    t.equal(await tab.refresh(), REUSED)
    t.equal(await ada.refresh(), REUSED)
  })
})

t.test('the stateless store', async t => {
  const stateless = { store: () => statelessStore() }

  t.test('rotates old tokens and holds young ones', async t => {
    const { c, ada } = await loggedIn(stateless)
    const old = ada.copy()
    t.equal(await ada.refresh(), 'hold')
    c.wait(GRACE)
    t.equal(await ada.refresh(), 'rotate')
    t.equal(await old.refresh(), 'rotate', 'reuse is never detected')
    c.people.delete('ada')
    t.equal(await ada.refresh(), 'FST_AUTH_USER_REFUSED')
  })

  t.test('applies the absolute expiry', async t => {
    const { c, ada } = await loggedIn({ ...stateless, absolute: 1000, policy: { idle: 500 } })
    for (let time = 0; time < 900; time += 300) {
      c.wait(300)
      t.equal(await ada.refresh(), 'rotate')
    }
    t.equal(ada.issued?.refreshToken?.maxAge, 100)
    c.wait(100)
    t.equal(await ada.refresh(), EXPIRED)
  })

  t.test('throws for list, and purges nothing', async t => {
    const { sessions, context } = core(stateless)
    await t.rejects(sessions.list('ada', context()), { name: 'TypeError', message: /"list"/ })
    t.equal(await sessions.purgeExpired(), 0)
  })
})

t.test('a reauthentication', async t => {
  t.test('changes only auth_time', async t => {
    const { c, ada, again } = await start()
    const row = await rowOf(c, ada)
    c.wait(100)
    t.match(await again(), { refreshToken: null, claims: { auth_time: c.clock(), sid: row?.id } })
    t.strictSame(await rowOf(c, ada), { ...row, authTime: c.clock() })
    t.equal(await ada.refresh(), 'rotate', 'and the cookie is still accepted')
    t.equal(held(c, ada).auth_time, row?.authTime, 'and stays as old as it was')
  })

  t.test('is refused for an ended, expired or unknown session', async t => {
    const spoil: Array<(c: Core, ada: Browser) => unknown> = [(_, ada) => ada.copy().logout(), c => c.wait(IDLE), c => { c.store.get = async () => null }]
    for (const end of spoil) {
      const { c, ada, again } = await start()
      await end(c, ada)
      await t.rejects(again(), { code: ENDED })
    }
  })

  t.test('retries a lost compare-and-set three times', async t => {
    for (const losses of [3, 4]) {
      const { c, again } = await start()
      c.store.advance = losing({ ...c.store }, losses).advance
      if (losses === 3) t.match(await again(), { expiresIn: 600 })
      else await t.rejects(again(), { code: BUSY, retryAfter: 1 })
    }
  })

  t.test('keeps the session to be ended that the login replaced', async t => {
    const { c, ada } = await loggedIn()
    const before = held(c, ada).sid
    c.store.faults.push({ moment: 'before', kind: 'throw', call: 'revoke' }) // the call after the reply is lost
    const { claims } = await ada.login('ada')
    const { refreshToken } = await c.sessions.reauthenticate(claims, person('ada'), [String(ada.cookie)], c.context())
    ada.cookie = String(refreshToken?.value)
    c.wait(GRACE)
    t.equal(await ada.refresh(), 'rotate')
    t.match(await c.store.get(before), { reason: 'superseded' })
  })

  t.test('keeps a concurrent rotation', async t => {
    const { c, ada, again } = await start()
    c.wait(GRACE)
    await Promise.all([again(), ada.refresh()])
    t.match(await rowOf(c, ada), { generation: 1, previous: 0, authTime: c.clock() })
  })

  async function start () {
    const c = core()
    const ada = c.browser()
    const { claims } = await ada.login('ada')
    return { c, ada, again: () => c.sessions.reauthenticate(claims, person('ada'), [], c.context()) }
  }
})

/** A browser two generations ahead of the store, which has lost both writes. */
async function ahead (): Promise<{ c: Core, ada: Browser }> {
  const { c, ada } = await loggedIn()
  const lost = await rowOf(c, ada)
  await rotate(c, ada, 2)
  await restore(c, ada, lost)
  return { c, ada }
}

/** A store whose first compare-and-sets are lost, as in a race. */
function losing (store: SessionStore, losses: number): SessionStore {
  let left = losses
  return {
    ...store,
    advance: async (id, from, change, claimed) => left-- > 0 ? null : await store.advance(id, from, change, claimed)
  }
}

t.test('a renewal by an access token', async t => {
  t.test('retries a lost compare-and-set three times, then is busy', async t => {
    for (const losses of [0, 3, 4]) {
      const c = core({ store: clock => losing(memoryStore({ clock }), losses) })
      const { accessToken } = await c.browser().login('ada')
      c.wait(GRACE)
      const renewal = c.sessions.refreshOrRenew([], accessToken, c.context())
      if (losses === 4) await t.rejects(renewal, { code: BUSY })
      else t.match(await renewal, { refreshToken: { value: String } }, `${losses} losses`)
    }
  })
})
