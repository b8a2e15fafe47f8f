import t from 'tap'
import { type Session } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { COOKIE, forget, loggedIn, payloadOf, robbed, server, sessionOf, setCookies, START, type Answer, type Browser, type LoggedIn } from '../../support/server.js'

const DAY = 86_400
const EXPIRED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' }
const INVALID = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_INVALID' }
const MISSING = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }
const REUSED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }

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
      await s.store.advance(row.id, 1, row) // what a failover to an older copy does
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

t.test('session expiry', async t => {
  t.test('no cookie and no access token outlives the absolute expiry, however often the session is refreshed', async t => {
    const { ada, clock, wait } = await loggedIn(t, { refreshToken: { idle: '1h', absolute: '8h' } })
    const end = START + 8 * 3600
    let keeper = keptBeyondMaxAge(ada)
    for (wait('7m'); clock() < end; wait('7m')) {
      keeper = keptBeyondMaxAge(ada)
      const answer = await ada.refresh()
      t.equal(maxAgeOf(answer), Math.min(3600, end - clock()))
      t.equal(answer.json().expires_in, Math.min(600, end - clock()))
      t.equal(payloadOf(answer.json().access_token)['exp'], clock() + answer.json().expires_in)
    }
    t.match((await keeper.refresh()).json(), EXPIRED)
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

t.test("rotation 'never' keeps the cookie and its expiry", async t => {
  const { ada, wait } = await loggedIn(t, { refreshToken: { rotation: 'never', idle: '7d' } })
  const keeper = keptBeyondMaxAge(ada)
  for (let day = 0; day < 6; day++) {
    wait('1d')
    const answer = await ada.refresh()
    t.equal(answer.statusCode, 200)
    t.strictSame(setCookies(answer), [])
  }
  wait('1d')
  t.match((await keeper.refresh()).json(), EXPIRED)
})

t.test('reuse detection: with strict single use one of two concurrent refreshes succeeds, and the session ends', async t => {
  const { ada } = await loggedIn(t, { refreshToken: { grace: 0, recoverLostReply: false } })
  const tabs = [ada.copy(), ada.copy()]
  const answers = await Promise.all(tabs.map(tab => tab.refresh()))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 401])
  for (const tab of tabs) t.match((await tab.refresh()).json(), REUSED)
})

t.test('token theft: a stolen cookie ends the session for attacker and owner, and is one event', async t => {
  const s = await loggedIn(t)
  const thief = await robbed(s)
  const reused: Answer[] = []
  for (const browser of [thief, s.ada, thief]) reused.push(await browser.refresh())
  for (const answer of reused) {
    t.match(answer.json(), REUSED)
    t.match(answer.headers, { 'www-authenticate': 'Bearer realm="api"', 'set-cookie': undefined })
  }
  t.match(s.events.filter(({ type }) => type === 'reuse'), exactly({ type: 'reuse', subject: '1', sessionId: sessionOf(s.ada), presented: 0, current: 2 }))
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

  t.test('denial of service: missing, forged or of another token type, it asks no store', async t => {
    const { ada, browser, store, users } = await loggedIn(t)
    const real = String(ada.cookie())
    const [header = '', payload = '', signature = ''] = real.split('.')
    const later = Buffer.from(JSON.stringify({ ...payloadOf(real), gen: 7 })).toString('base64url')
    const forged = ['garbage', '..', `${header}.${payload}.`, `${header}.${later}.${signature}`, `${real}x`, `${real}.x`, `"${real}`, `""${real}""`, 'a'.repeat(9000), String(ada.accessToken)]
    forget(store.calls, users.calls)
    for (const value of forged) t.match((await withCookies(ada, value)).json(), INVALID, value.slice(0, 20))
    for (const answer of [await browser().refresh(), await withCookies(ada, '')]) t.match(answer.json(), MISSING)
    t.strictSame([...store.calls, ...users.calls], [])
    t.match(await ada.refresh(), { statusCode: 200 }, 'and the session is live')
  })
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
