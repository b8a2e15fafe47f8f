import t from 'tap'
import { statelessStore, type RefreshCookieOptions, type Session } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { COOKIE, forget, loggedIn, payloadOf, server, sessionOf, setCookies, START, type Answer, type Browser, type LoggedIn, type TestServer } from '../../support/server.js'

const DAY = 86_400
const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }
const EXPIRED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' }
const INVALID = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_INVALID' }
const MISSING = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }
const REUSED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }
const REFUSED = { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' }

t.test('signup, authenticate and refresh with the cookie', async t => {
  const { browser, wait } = await server(t)
  const ada = browser()
  t.match(await ada.signup('ada'), { statusCode: 201 })
  t.same((await ada.get('/me')).json(), { id: '1' })
  wait('11m')
  t.match((await ada.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.match(await ada.refresh(), { statusCode: 200 })
  t.same((await ada.get('/me')).json(), { id: '1' })
})

t.test('a refresh returns an access token that works, and the refresh token only in the cookie', async t => {
  const { ada, wait } = await loggedIn(t)
  wait('30s')
  const answer = await ada.refresh()
  t.strictSame(answer.json(), { access_token: ada.accessToken, token_type: 'Bearer', expires_in: 600 })
  t.match(answer.headers, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  t.notMatch(answer.body, ada.cookie())
  t.same((await ada.get('/me')).json(), { id: '1' })
})

/** The state in which the next refresh has an outcome, and the generation that the browser then has. */
const OUTCOMES: Array<{ outcome: string, generation: number, sendsCookie: boolean, prepare: (s: LoggedIn) => Promise<void> | void }> = [
  { outcome: 'hold', generation: 0, sendsCookie: false, prepare: s => s.wait('29s') },
  { outcome: 'rotate', generation: 1, sendsCookie: true, prepare: s => s.wait('30s') },
  { outcome: 'replay', generation: 1, sendsCookie: true, prepare: loseReply },
  {
    outcome: 'recover',
    generation: 2,
    sendsCookie: true,
    async prepare (s) {
      await loseReply(s)
      s.wait('5m')
    }
  },
  {
    outcome: 'heal',
    generation: 1,
    sendsCookie: true,
    async prepare (s) {
      const row = await rowOf(s)
      s.wait('30s')
      await s.ada.refresh()
      await restore(s, row)
    }
  }
]

for (const { outcome, generation, sendsCookie, prepare } of OUTCOMES) {
  t.test(`a refresh with the outcome ${outcome} sends ${sendsCookie ? 'the current cookie' : 'no cookie'}`, async t => {
    const s = await loggedIn(t)
    await prepare(s)
    const answer = await s.ada.refresh()
    t.equal(answer.statusCode, 200)
    t.match(s.events.at(-1), { type: 'refresh', outcome, generation })
    t.equal(setCookies(answer).length, sendsCookie ? 1 : 0)
    t.equal(payloadOf(s.ada.cookie())['gen'], generation)
    t.strictSame(setCookies(await s.ada.refresh()), [], 'and the browser then has the current one')
    t.same((await s.ada.get('/me')).json(), { id: '1' })
  })
}

t.test('grace period', async t => {
  t.test('a token is held during the grace period, and rotated exactly at its end', async t => {
    const { ada, wait } = await loggedIn(t, { refreshToken: { grace: '10s' } })
    wait('9s')
    t.strictSame(setCookies(await ada.refresh()), [])
    wait('1s')
    t.equal(setCookies(await ada.refresh()).length, 1)
  })

  t.test('a hundred concurrent refreshes all succeed, with one rotation and one cookie', async t => {
    const { ada, wait, store } = await loggedIn(t)
    wait('30s')
    const tabs = Array.from({ length: 100 }, () => ada.copy())
    const answers = await Promise.all(tabs.map(tab => tab.refresh()))
    t.ok(answers.every(({ statusCode }) => statusCode === 200))
    t.equal(new Set(tabs.map(tab => tab.cookie())).size, 1)
    t.match(await store.get(sessionOf(ada)), { generation: 1 })
  })

  t.test('concurrent tabs keep a valid cookie in any order of the replies', async t => {
    for (const order of [[0, 1, 2], [2, 1, 0], [1, 2, 0]]) {
      const { ada, wait } = await loggedIn(t)
      wait('30s')
      const answers: Answer[] = []
      for (let tab = 0; tab < 3; tab++) {
        answers.push(await ada.copy().refresh())
        wait('5s')
      }
      for (const index of order) ada.jar.store(answers[index]?.headers['set-cookie'])
      wait('1h')
      t.match(await ada.refresh(), { statusCode: 200 })
    }
  })

  t.test('starts with the rotation, and no later refresh extends it', async t => {
    const { ada, wait } = await loggedIn(t)
    const stale = ada.copy()
    wait('30s')
    await ada.refresh()
    wait('29s')
    await ada.refresh()
    t.match(await stale.copy().refresh(), { statusCode: 200 })
    wait('1s')
    await ada.refresh()
    t.match((await stale.refresh()).json(), REUSED)
  })

  t.test('reuse detection: covers one generation only', async t => {
    const { ada, wait } = await loggedIn(t)
    const thief = ada.copy()
    wait('30s')
    await ada.refresh()
    wait('30s')
    await ada.refresh()
    t.match((await thief.refresh()).json(), REUSED)
  })
})

t.test('lost reply', async t => {
  t.test('recovers three times in a row', async t => {
    const s = await loggedIn(t)
    for (let i = 0; i < 3; i++) {
      s.wait('1h')
      t.match(await s.ada.copy().refresh(), { statusCode: 200 }, 'which is lost')
    }
    s.wait('1h')
    t.match(await s.ada.refresh(), { statusCode: 200 })
    t.match(s.events.at(-1), { outcome: 'recover', generation: 4 })
    s.wait('1h')
    t.match(await s.ada.refresh(), { statusCode: 200 }, 'and is deleted by then')
    t.match(s.events.at(-1), { outcome: 'rotate', generation: 5 })
  })

  t.test('token theft: one copy is recovered three times, then the session ends', async t => {
    const s = await loggedIn(t)
    const thief = s.ada.copy()
    const outcomes: unknown[] = []
    for (let i = 0; i < 5; i++) {
      s.wait('5m')
      const { statusCode } = await thief.copy().refresh()
      outcomes.push([statusCode, s.events.findLast(({ type }) => type === 'refresh' || type === 'reuse')])
    }
    t.match(outcomes, exactly(
      [200, { outcome: 'rotate' }], [200, { outcome: 'recover' }], [200, { outcome: 'recover' }], [200, { outcome: 'recover' }], [401, { type: 'reuse', presented: 0, current: 4 }]
    ))
    t.match((await s.ada.refresh()).json(), REUSED, 'the owner gets the reason')
  })

  t.test('reuse detection: a reply that an attacker intercepted is detected when they use it', async t => {
    const { ada, wait } = await loggedIn(t)
    const thief = ada.copy()
    wait('30s')
    await thief.refresh()
    wait('5m')
    t.match(await ada.refresh(), { statusCode: 200 })
    wait('5m')
    t.match((await thief.refresh()).json(), REUSED)
    t.match((await ada.refresh()).json(), REUSED)
  })

  t.test('logs out with recoverLostReply: false', async t => {
    const s = await loggedIn(t, { refreshToken: { recoverLostReply: false } })
    await loseReply(s)
    t.match(await s.ada.copy().refresh(), { statusCode: 200 }, 'but not within the grace period')
    s.wait('30s')
    t.match((await s.ada.refresh()).json(), REUSED)
  })
})

t.test('token theft: after a restored backup a replaced token heals once, and the owner\'s next refresh detects it', async t => {
  for (const first of ['thief', 'owner'] as const) {
    const s = await loggedIn(t)
    const backup = await rowOf(s)
    s.wait('10m')
    await s.ada.refresh()
    const thief = s.ada.copy()
    for (let i = 0; i < 2; i++) {
      s.wait('10m')
      await s.ada.refresh()
    }
    await restore(s, backup)
    s.wait('10m')
    const [one, two] = first === 'thief' ? [thief, s.ada] : [s.ada, thief]
    t.match(await one.refresh(), { statusCode: 200 }, `the ${first} first`)
    t.match(s.events.at(-1), { outcome: 'heal' })
    t.match((await two.refresh()).json(), REUSED)
    t.match((await one.refresh()).json(), REUSED)
  }
})

t.test('token theft', async t => {
  t.test('a stolen cookie ends the session for attacker and owner', async t => {
    const { ada, wait } = await loggedIn(t)
    const thief = ada.copy()
    wait('30s')
    await ada.refresh()
    wait('31s')
    await ada.refresh()
    t.match((await thief.refresh()).json(), REUSED)
    t.match((await ada.refresh()).json(), REUSED)
  })

  t.test('a cookie that the attacker uses first ends the session at the owner\'s next refresh', async t => {
    const { ada, wait } = await loggedIn(t)
    const thief = ada.copy()
    for (let i = 0; i < 2; i++) {
      wait('15m')
      t.match(await thief.refresh(), { statusCode: 200 })
    }
    t.match((await ada.refresh()).json(), REUSED)
    t.match((await thief.refresh()).json(), REUSED)
  })

  t.test('reuse is reported once, in the log and to onEvent', async t => {
    const { ada, events, wait } = await loggedIn(t)
    const thief = ada.copy()
    for (let i = 0; i < 2; i++) {
      wait('30s')
      await ada.refresh()
    }
    for (const browser of [thief, ada, thief]) await browser.refresh()
    const reuse = { type: 'reuse', subject: '1', sessionId: sessionOf(ada), presented: 0, current: 2 }
    t.match(events.filter(({ type }) => type === 'reuse'), exactly(reuse))
  })

  t.test('every later token of the session gets the code of reuse', async t => {
    const { ada, wait } = await loggedIn(t)
    const generations = [ada.copy()]
    for (let i = 0; i < 5; i++) {
      wait('30s')
      await ada.refresh()
      generations.push(ada.copy())
    }
    for (const browser of [...generations, ...generations]) t.match((await browser.refresh()).json(), REUSED)
  })

  t.test('other sessions of the user stay', async t => {
    const { ada, browser, wait } = await loggedIn(t)
    const phone = browser()
    await phone.login('ada')
    const thief = ada.copy()
    for (let i = 0; i < 2; i++) {
      wait('30s')
      await ada.refresh()
    }
    t.match((await thief.refresh()).json(), REUSED)
    t.match(await phone.refresh(), { statusCode: 200 })
  })

  t.test('a token of generation 1 is detected after 500 rotations', async t => {
    const { ada, wait } = await loggedIn(t)
    wait('30s')
    await ada.refresh()
    const thief = ada.copy()
    for (let i = 0; i < 500; i++) {
      wait('30s')
      await ada.refresh()
    }
    t.match((await thief.refresh()).json(), REUSED)
  })
})

t.test('session expiry', async t => {
  t.test('idle: exactly, to the second', async t => {
    for (const [time, expected] of [[3599, { access_token: String }], [3600, EXPIRED], [3601, EXPIRED]] as const) {
      const { ada, wait } = await loggedIn(t, { refreshToken: { idle: '1h' } })
      const keeper = keptBeyondMaxAge(ada)
      wait(time)
      t.match((await keeper.refresh()).json(), expected, `after ${time} s`)
    }
  })

  t.test('idle: each rotation extends it, a held refresh does not', async t => {
    const { ada, wait } = await loggedIn(t, { refreshToken: { idle: '1h' } })
    wait('59m')
    await ada.refresh()
    wait('29s')
    t.strictSame(setCookies(await ada.refresh()), [])
    const keeper = keptBeyondMaxAge(ada)
    wait(3600 - 29)
    t.match((await keeper.refresh()).json(), EXPIRED)
  })

  t.test('absolute: exactly, to the second, however often the session is refreshed', async t => {
    const { ada, clock, wait } = await loggedIn(t, { refreshToken: { idle: '1h', absolute: '8h' } })
    let before = ada.copy()
    for (; clock() < START + 8 * 3600 - 300; wait('5m')) {
      before = keptBeyondMaxAge(ada)
      t.match(await ada.refresh(), { statusCode: 200 })
    }
    wait(299)
    t.match(await before.copy().refresh(), { statusCode: 200 })
    wait(1)
    t.match((await before.refresh()).json(), EXPIRED)
  })

  t.test('no cookie and no access token outlives the absolute expiry', async t => {
    const { ada, clock, wait } = await loggedIn(t, { refreshToken: { idle: '1h', absolute: '8h' } })
    const end = START + 8 * 3600
    for (; clock() < end; wait('7m')) {
      const answer = await ada.refresh()
      const maxAge = maxAgeOf(answer)
      if (maxAge !== undefined) t.equal(maxAge, Math.min(3600, end - clock()))
      t.equal(answer.json().expires_in, Math.min(600, end - clock()))
      t.equal(payloadOf(answer.json().access_token)['exp'], clock() + answer.json().expires_in)
    }
  })

  t.test('the browser deletes the cookie in the same second', async t => {
    const { ada, wait } = await loggedIn(t)
    wait(7 * DAY - 1)
    t.type(ada.cookie(), 'string')
    wait(1)
    t.equal(ada.cookie(), undefined)
    t.match((await ada.refresh()).json(), MISSING)
  })

  t.test('the refresh route never clears the cookie', async t => {
    const { ada, browser, users, wait } = await loggedIn(t)
    const bob = browser()
    await bob.signup('bob')
    const ways: Array<() => Promise<Answer>> = [
      async () => await withCookies(ada, 'garbage'),
      async () => await withCookies(ada, String(ada.cookie()), String(bob.cookie())),
      async () => { wait('8d'); return await ada.refresh() },
      async () => { await ada.login('ada'); users.change('ada', { disabled: true }); return await ada.refresh() }
    ]
    for (const way of ways) {
      const answer = await way()
      t.equal(answer.statusCode, 401)
      t.strictSame(setCookies(answer), [])
    }
  })
})

t.test("rotation 'never'", async t => {
  t.test('keeps the cookie, its generation and its expiry', async t => {
    const { ada, wait } = await loggedIn(t, { refreshToken: { rotation: 'never', idle: '7d' } })
    const cookie = ada.cookie()
    for (let day = 0; day < 6; day++) {
      wait('1d')
      const answer = await ada.refresh()
      t.equal(answer.statusCode, 200)
      t.strictSame(setCookies(answer), [])
    }
    t.equal(ada.cookie(), cookie)
    const keeper = keptBeyondMaxAge(ada)
    wait(DAY - 1)
    t.match(await keeper.refresh(), { statusCode: 200 })
    wait(1)
    t.match((await keeper.refresh()).json(), EXPIRED)
  })

  t.test('notices a logout, since every refresh reads the session', async t => {
    const { ada } = await loggedIn(t, { refreshToken: { rotation: 'never' } })
    const copy = ada.copy()
    await ada.logout()
    t.match((await copy.refresh()).json(), ENDED)
  })

  t.test('can be switched on and off in production', async t => {
    const rotating = await loggedIn(t)
    const { clock, store, users, wait } = rotating
    const never = await server(t, { store, users, clock, refreshToken: { rotation: 'never' } })
    const ada = { rotating: rotating.ada, never: never.browser() }
    const share = (from: Browser, to: Browser) => to.jar.store(`${COOKIE}=${from.cookie()}; Path=/; Secure; HttpOnly`)

    const first = rotating.ada.copy()
    for (let i = 0; i < 2; i++) {
      wait('30s')
      t.match(await ada.rotating.refresh(), { statusCode: 200 })
    }
    share(ada.rotating, ada.never)
    wait('1d')
    t.match(await ada.never.refresh(), { statusCode: 200 })
    t.match(await ada.rotating.refresh(), { statusCode: 200 })

    const thief = never.browser()
    share(first, thief)
    t.match((await thief.refresh()).json(), REUSED, 'an old generation is reuse there too')
  })
})

t.test('strict single use', async t => {
  const strict: RefreshCookieOptions = { refreshToken: { grace: 0, recoverLostReply: false } }

  t.test('rotates at every refresh, even within one second', async t => {
    const { ada } = await loggedIn(t, strict)
    const cookies = new Set([ada.cookie()])
    for (let i = 0; i < 5; i++) {
      t.match(await ada.refresh(), { statusCode: 200 })
      cookies.add(ada.cookie())
    }
    t.equal(cookies.size, 6)
  })

  t.test('reuse detection: a second use in the same second ends the session', async t => {
    const { ada } = await loggedIn(t, strict)
    const [first, second] = [ada.copy(), ada.copy()]
    t.match(await first.refresh(), { statusCode: 200 })
    t.match((await second.refresh()).json(), REUSED)
    t.match((await first.refresh()).json(), REUSED)
  })

  t.test('race: one of two concurrent refreshes succeeds', async t => {
    const { ada } = await loggedIn(t, strict)
    const answers = await Promise.all([ada.copy().refresh(), ada.copy().refresh()])
    t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 401])
  })
})

t.test('stateless store', async t => {
  const stateless: RefreshCookieOptions = { store: statelessStore(), refreshToken: { idle: '1h', absolute: '3h' } }

  t.test('a refresh rotates, and the replaced token stays valid', async t => {
    const { ada, wait } = await loggedIn(t, stateless)
    const copy = ada.copy()
    wait('30s')
    t.equal(setCookies(await ada.refresh()).length, 1)
    wait('30s')
    t.match(await copy.refresh(), { statusCode: 200 })
    t.match(await ada.refresh(), { statusCode: 200 })
  })

  t.test('idle and absolute expiry apply', async t => {
    const { ada, clock, wait } = await loggedIn(t, stateless)
    const idler = keptBeyondMaxAge(ada)
    let before = idler
    for (; clock() < START + 3 * 3600 - 600; wait('10m')) {
      before = keptBeyondMaxAge(ada)
      await ada.refresh()
    }
    t.match((await idler.refresh()).json(), EXPIRED)
    wait(599)
    t.match(await before.copy().refresh(), { statusCode: 200 })
    wait(1)
    t.match((await before.refresh()).json(), EXPIRED)
  })

  t.test('a deleted user is refused', async t => {
    const { ada, users } = await loggedIn(t, stateless)
    users.byName.clear()
    t.match((await ada.refresh()).json(), REFUSED)
  })
})

t.test('refresh cookie', async t => {
  t.test('cookie tossing: cookies of two users are refused before the store is asked', async t => {
    const { ada, browser, store, users } = await loggedIn(t)
    const bob = browser()
    await bob.signup('bob')
    forget(store.calls, users.calls)
    for (const values of [[ada.cookie(), bob.cookie()], [bob.cookie(), ada.cookie()], ['garbage', ada.cookie(), 'x', bob.cookie()]]) {
      const answer = await withCookies(ada, ...values.map(String))
      t.match(answer.json(), INVALID)
      t.strictSame(setCookies(answer), [])
    }
    t.strictSame([...store.calls, ...users.calls], [])
    t.match(await ada.refresh(), { statusCode: 200 }, 'and the session is live')
  })

  t.test('cookie tossing: cookies with an invalid signature are ignored', async t => {
    const { ada } = await loggedIn(t)
    for (const values of [[ada.cookie(), 'garbage'], ['garbage', ada.cookie()], ['', ada.cookie(), 'x', ada.cookie()], [ada.cookie(), ada.accessToken]]) {
      t.match(await withCookies(ada, ...values.map(String)), { statusCode: 200 })
    }
    t.match((await withCookies(ada, 'garbage', 'x')).json(), INVALID)
  })

  t.test('a duplicate counts once', async t => {
    const { ada } = await loggedIn(t)
    const value = String(ada.cookie())
    t.match(await withCookies(ada, value, value), { statusCode: 200 })
  })

  t.test('is found by its exact name among others', async t => {
    const { app, ada } = await loggedIn(t)
    const value = String(ada.cookie())
    const ask = (cookie: string) => app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie } })
    t.match(await ask(`a=1; ${COOKIE}=${value}; b=2`), { statusCode: 200 })
    t.match(await ask(`a=1;${COOKIE}=${value}`), { statusCode: 200 })
    for (const name of [COOKIE.toLowerCase(), `x${COOKIE}`, `${COOKIE}x`, 'refresh', '__Host-refresh', '__Secure-refresh']) {
      t.match((await ask(`${name}=${value}`)).json(), MISSING, name)
    }
  })

  t.test('missing or empty, it asks no store', async t => {
    const { ada, browser, store, users } = await loggedIn(t)
    forget(store.calls, users.calls)
    t.match((await browser().refresh()).json(), MISSING)
    t.match((await withCookies(ada, '')).json(), MISSING)
    t.strictSame([...store.calls, ...users.calls], [])
  })

  t.test('forged, or of another token type, it asks no store', async t => {
    const { ada, store, users } = await loggedIn(t)
    const real = String(ada.cookie())
    const [header = '', payload = '', signature = ''] = real.split('.')
    const later = Buffer.from(JSON.stringify({ ...payloadOf(real), gen: 7 })).toString('base64url')
    const forged = ['garbage', '..', `${header}.${payload}.`, `${header}.${later}.${signature}`, `${real}x`, `${real}.x`, `"${real}`, `""${real}""`, 'a'.repeat(9000), String(ada.accessToken)]
    forget(store.calls, users.calls)
    for (const value of forged) t.match((await withCookies(ada, value)).json(), INVALID, value.slice(0, 20))
    t.strictSame([...store.calls, ...users.calls], [])
    t.match(await ada.refresh(), { statusCode: 200 }, 'and the session is live')
  })

  t.test('token confusion: is never accepted as an access token', async t => {
    const { app, ada } = await loggedIn(t)
    const authorization = `Bearer ${String(ada.cookie())}`
    t.match((await app.inject({ url: '/me', headers: { authorization } })).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
    ada.accessToken = null
    t.match((await ada.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' }, 'nor does its value')
  })

  t.test('of another secret is invalid', async t => {
    const { ada } = await loggedIn(t)
    const other = await server(t, { secret: 'another secret of 32 bytes or a few more' })
    const browser = other.browser()
    browser.jar.store(`${COOKIE}=${ada.cookie()}; Path=/; Secure; HttpOnly`)
    t.match((await browser.refresh()).json(), INVALID)
  })
})

t.test('a deleted or disabled user is refused, and the session ends', async t => {
  const ways: Array<(s: TestServer) => unknown> = [
    ({ users }) => users.change('ada', { disabled: true }),
    ({ users }) => users.byName.clear()
  ]
  for (const away of ways) {
    const s = await loggedIn(t)
    const [row] = s.users.byName.values()
    away(s)
    t.match((await s.ada.refresh()).json(), REFUSED)
    t.match((await s.ada.refresh()).json(), REFUSED)
    t.match(s.events.filter(({ type }) => type === 'revoked'), exactly({ subject: '1', reason: 'user_refused' }))
    if (row !== undefined) s.users.byName.set('ada', row)
    t.match((await s.ada.refresh()).json(), ENDED, 'and stays ended when the user returns')
  }
})

t.test('an empty POST with any content type refreshes', async t => {
  const { ada } = await loggedIn(t)
  const types = ['application/json', 'application/json; charset=utf-8', 'application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x', 'application/octet-stream', 'application/graphql']
  t.match(await ada.refresh(), { statusCode: 200 }, 'none')
  t.match(await ada.refresh({ payload: {} }), { statusCode: 200 }, '{}')
  for (const type of types) {
    t.match(await ada.refresh({ headers: { 'content-type': type } }), { statusCode: 200 }, type)
    t.match(await ada.refresh({ headers: { 'content-type': type, 'content-length': '0' } }), { statusCode: 200 }, `${type}, length 0`)
    t.match(await ada.refresh({ headers: { 'content-type': type }, payload: '' }), { statusCode: 200 }, `${type}, an empty payload`)
  }
})

/** Bodies that refresh refuses. */
const BODIES: Array<[type: string, body: string, status: number]> = [
  ['text/plain', 'refresh', 415],
  ['text/plain', '{}', 415],
  ['text/plain;application/json', '{}', 415],
  ['application/x-www-form-urlencoded', 'grant_type=refresh_token', 415],
  ['multipart/form-data; boundary=x', '--x--', 415],
  ['', '{}', 415],
  ['application/json', '{"refresh_token":"x"}', 400],
  ['application/json', '[]', 400],
  ['application/json', '"text"', 400],
  ['application/json', '{', 400],
  ['application/json', '{"__proto__":{}}', 400],
  ['application/json', ' '.repeat(17 * 1024), 413]
]

t.test('an unknown body is refused, and the session is unchanged', async t => {
  const { ada, store, wait } = await loggedIn(t)
  wait('30s')
  forget(store.calls)
  for (const [type, payload, status] of BODIES) {
    const answer = await ada.refresh({ headers: { 'content-type': type }, payload })
    t.equal(answer.statusCode, status, `${type} ${payload.slice(0, 30)}`)
    t.match(answer.headers, { 'cache-control': 'no-store', 'set-cookie': undefined })
  }
  t.strictSame(store.calls, [])
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('CSRF: only POST refreshes', async t => {
  const { ada, store, wait } = await loggedIn(t)
  wait('30s')
  forget(store.calls)
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
    t.match(await ada.send({ method, url: '/auth/refresh' }), { statusCode: 404 }, method)
  }
  t.strictSame(store.calls, [])
})

t.test('the query is ignored', async t => {
  const { app, ada } = await loggedIn(t)
  const token = String(ada.cookie())
  const asked = await app.inject({ method: 'POST', url: `/auth/refresh?refresh_token=${token}&${COOKIE}=${token}`, headers: { authorization: `Bearer ${token}` } })
  t.match(asked.json(), MISSING)
})

t.test('request.auth.refresh works in a route of the app', async t => {
  const s = await loggedIn(t, {}, {}, app => {
    app.post('/renew', async request => ({ ...await request.auth.refresh(), sub: request.auth.claims?.sub }))
  })
  s.wait('30s')
  const answer = await s.ada.send({ method: 'POST', url: '/renew' })
  t.match(answer.json(), { token_type: 'Bearer', sub: '1' })
  t.equal(payloadOf(s.ada.cookie())['gen'], 1)
  const refused = await s.app.inject({ method: 'POST', url: '/renew' })
  t.match(refused.json(), MISSING)
  t.match(refused.headers['www-authenticate'], /^Bearer /)
})

t.test('two servers with one store and one secret share sessions', async t => {
  const one = await loggedIn(t)
  const { clock, store, users, wait } = one
  const other = await server(t, { store, users, clock })
  const ada = other.browser()
  ada.jar.store(`${COOKIE}=${one.ada.cookie()}; Path=/; Secure; HttpOnly`)
  wait('30s')
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match(await one.ada.refresh(), { statusCode: 200 })
  t.equal(one.ada.cookie(), ada.cookie())
})

/** A rotation whose reply was lost. */
async function loseReply ({ ada, wait }: LoggedIn): Promise<void> {
  wait('30s')
  await ada.copy().refresh()
}

async function rowOf ({ store, ada }: LoggedIn): Promise<Session> {
  const row = await store.get(sessionOf(ada))
  if (row === null) throw new Error('there is no such session')
  return row
}

/** Resets the store to a snapshot, as a failover does. */
async function restore (s: LoggedIn, row: Session): Promise<void> {
  const { generation } = await rowOf(s)
  await s.store.advance(row.id, generation, row)
}

/** A client that sends the cookie after a browser would have deleted it. */
function keptBeyondMaxAge (browser: Browser): Browser {
  const keeper = browser.copy()
  keeper.jar.store(`${COOKIE}=${browser.cookie()}; Path=/; Secure; HttpOnly`)
  return keeper
}

async function withCookies (browser: Browser, ...values: string[]): Promise<Answer> {
  const cookie = values.map(value => `${COOKIE}=${value}`).join('; ')
  return await browser.refresh({ headers: { cookie } })
}

function maxAgeOf (answer: Answer): number | undefined {
  const [, maxAge] = /Max-Age=(\d+)/.exec(setCookies(answer).join()) ?? []
  return maxAge === undefined ? undefined : Number(maxAge)
}
