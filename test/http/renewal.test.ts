import t, { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { memoryStore, type RefreshCookieOptions } from '../../lib/index.js'
import { cookieJar } from '../support/cookie-jar.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, loggedIn, openBrowser, payloadOf, sessionOf, setCookies, type Answer, type Browser, type LoggedIn } from '../support/server.js'

const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }
const EXPIRED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' }
const MISSING = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }
const REUSED = { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }

/** Ada at a server with renewWithAccessToken. */
async function renewable (t: Test, { refreshToken, ...options }: RefreshCookieOptions = {}): Promise<LoggedIn> {
  return await loggedIn(t, { ...options, refreshToken: { renewWithAccessToken: true, ...refreshToken } })
}

/** The same page in a browser without the cookie. */
function withoutCookie ({ app, clock, ada }: LoggedIn): Browser {
  return Object.assign(openBrowser(app, cookieJar(clock)), { accessToken: ada.accessToken })
}

/** A browser that still sends an expired cookie. */
function sending (s: LoggedIn, cookie: string | undefined): Browser {
  const browser = withoutCookie(s)
  browser.jar.store(`${COOKIE}=${String(cookie)}; Path=/; Secure; HttpOnly`)
  return browser
}

t.test('renewWithAccessToken: an access token continues the session if the cookie is missing', async t => {
  const s = await renewable(t)
  const session = sessionOf(s.ada)
  s.wait('5m')
  const page = withoutCookie(s)
  const answer = await page.refresh()
  t.match(answer, { statusCode: 200 })
  t.equal(setCookies(answer).length, 1)
  t.match(payloadOf(page.cookie()), { sid: session, gen: 1 })
  t.match(s.events, exactly({ type: 'renewed', subject: '1', sessionId: session, generation: 1 }))
  t.same((await page.get('/me')).json(), { id: '1' })
  s.wait('1h')
  t.match(await page.refresh(), { statusCode: 200 })
})

t.test('renewWithAccessToken: an expired cookie is replaced while the access token is valid', async t => {
  const s = await renewable(t, { refreshToken: { rotation: 'never', idle: '1h' } })
  const stale = s.ada.cookie()
  s.wait('55m')
  await s.ada.refresh()
  s.wait('5m')
  const page = sending(s, stale)
  const answer = await page.refresh()
  t.match(answer, { statusCode: 200 })
  t.notSame(page.cookie(), stale)
  s.wait('59m')
  t.match(await page.refresh(), { statusCode: 200 }, 'with its full lifetime again')
})

t.test('renewWithAccessToken: off by default', async t => {
  const s = await loggedIn(t)
  s.wait('5m')
  t.match((await withoutCookie(s).refresh()).json(), MISSING)
})

t.test('renewWithAccessToken: the absolute expiry does not change', async t => {
  const s = await renewable(t, { refreshToken: { idle: '1h', absolute: '2h' } })
  const { end } = payloadOf(s.ada.cookie())
  for (let i = 0; i < 14; i++) {
    s.wait('8m')
    const page = withoutCookie(s)
    t.match(await page.refresh(), { statusCode: 200 })
    t.equal(payloadOf(page.cookie())['end'], end)
    s.ada.accessToken = page.accessToken
  }
  const [line = ''] = setCookies(await withoutCookie(s).refresh())
  t.match(line, 'Max-Age=480;')
  s.wait('8m')
  t.match((await withoutCookie(s).refresh()).json(), MISSING, 'since the access token ends with its session')
})

t.test('renewWithAccessToken: the access token must be valid and of this server', async t => {
  const s = await renewable(t)
  s.wait('5m')
  for (const authorization of ['', 'Bearer ', 'Bearer x.y.z', `Bearer ${String(s.ada.cookie())}`, `Basic ${String(s.ada.accessToken)}`]) {
    t.match((await withoutCookie(s).refresh({ headers: { authorization } })).json(), MISSING, authorization.slice(0, 12))
  }
  s.wait('5m')
  t.match((await withoutCookie(s).refresh()).json(), MISSING, 'nor may it have expired')
})

t.test('renewWithAccessToken: a refresh token that is refused for another reason stays refused', async t => {
  const s = await renewable(t)
  s.wait('5m')
  t.match((await sending(s, 'x.y.z').refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  t.match((await withoutCookie(s).refresh({ headers: { cookie: `${COOKIE}=a; ${COOKIE}=b` } })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  t.match((await withoutCookie(s).refresh({ headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } })).json(), { code: 'FST_AUTH_CROSS_SITE' })
})

t.test('renewWithAccessToken: an ended session stays ended', async t => {
  for (const revocation of ['refresh', 'immediate'] as const) {
    const s = await renewable(t, { revocation })
    s.wait('5m')
    await s.app.sessions.revokeAll('1')
    t.match((await withoutCookie(s).refresh()).json(), revocation === 'refresh' ? ENDED : MISSING)
  }
})

t.test('renewWithAccessToken: a deleted session, or one ended by reuse, stays ended', async t => {
  const s = await renewable(t)
  s.wait('5m')
  await s.store.revoke(sessionOf(s.ada), 'reuse')
  t.match((await withoutCookie(s).refresh()).json(), REUSED)
  const gone = await renewable(t, { store: { ...memoryStore(), get: async () => null } })
  gone.wait('5m')
  t.match((await withoutCookie(gone).refresh()).json(), ENDED)
})

t.test('renewWithAccessToken: a deleted or disabled user loses the session', async t => {
  const s = await renewable(t)
  s.users.change('ada', { disabled: true })
  t.match((await withoutCookie(s).refresh()).json(), { code: 'FST_AUTH_USER_REFUSED' })
  t.match(await s.store.get(sessionOf(s.ada)), { reason: 'user_refused' })
})

t.test('renewWithAccessToken: concurrent tabs share one generation, and a tab with the cookie can go on', async t => {
  const s = await renewable(t)
  const other = s.ada.copy()
  s.wait('5m')
  const tabs = Array.from({ length: 20 }, () => withoutCookie(s))
  const answers = await Promise.all(tabs.map(async tab => await tab.refresh()))
  t.ok(answers.every(({ statusCode }) => statusCode === 200))
  t.strictSame([...new Set(tabs.map(tab => payloadOf(tab.cookie())['gen']))], [1])
  t.match(await other.refresh(), { statusCode: 200 })
  t.equal(other.cookie(), tabs[0]?.cookie())
})

t.test('token theft: a renewal with a stolen access token is detected once both sides refresh', async t => {
  const s = await renewable(t)
  s.wait('5m')
  const thief = withoutCookie(s)
  t.match(await thief.refresh(), { statusCode: 200 })
  s.wait('5m')
  t.match(await s.ada.refresh(), { statusCode: 200 })
  s.wait('5m')
  t.match((await thief.refresh({ headers: { authorization: '' } })).json(), REUSED)
})

t.test('renewWithAccessToken: with bindUserAgent another browser is refused', async t => {
  const s = await renewable(t, { sessions: { bindUserAgent: true } })
  s.wait('5m')
  t.match((await withoutCookie(s).refresh({ headers: { 'user-agent': 'curl/8.0' } })).json(), EXPIRED)
  t.match(await withoutCookie(s).refresh(), { statusCode: 200 })
})

t.test('renewWithAccessToken: a login that is not remembered stays so', async t => {
  const s = await renewable(t, { refreshToken: { idle: '11m', grace: '10s' } })
  await s.ada.login('ada', { remember: false })
  const stale = s.ada.cookie()
  s.wait('9m')
  const { access_token: accessToken } = (await s.ada.copy().refresh()).json()
  s.wait('2m')
  s.ada.accessToken = accessToken
  const notMax = (answer: Answer) => setCookies(answer).map(line => line.includes('Max-Age'))
  t.strictSame(notMax(await sending(s, stale).refresh()), [false])
  t.strictSame(notMax(await withoutCookie(s).refresh()), [true], 'but a cookie that a browser deleted had a Max-Age')
})

t.test('renewWithAccessToken: an expired cookie of another session changes nothing', async t => {
  const s = await renewable(t, { refreshToken: { rotation: 'never', idle: '11m' } })
  const other = s.browser()
  await other.login('ada')
  const stale = other.cookie()
  s.wait('11m')
  await s.ada.login('ada')
  t.match((await sending(s, stale).refresh()).json(), EXPIRED)
})

t.test('renewWithAccessToken: a store outage is 503', async t => {
  const s = await renewable(t)
  s.wait('5m')
  for (const call of ['get', 'advance'] as const) {
    s.store.faults.push({ moment: 'before', kind: 'throw', call })
    const answer = await withoutCookie(s).refresh()
    t.match(answer.json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' })
    t.strictSame(setCookies(answer), [])
  }
  t.match(await withoutCookie(s).refresh(), { statusCode: 200 })
})

t.test('renewWithAccessToken: an outage while the store must be asked for revocations is 503, and logs nobody out', async t => {
  let fails = false
  const memory = memoryStore()
  const store: SessionStore = {
    ...memory,
    async get (id) {
      if (fails) throw new Error('away')
      return await memory.get(id)
    },
    subscribe (_listener, onConnection) {
      onConnection?.(false)
      return () => {}
    }
  }
  const s = await renewable(t, { store, revocation: 'immediate', revocationUnknown: 'refuse' })
  s.wait('5m')
  fails = true
  t.match((await withoutCookie(s).refresh()).json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' })
  fails = false
  t.match(await withoutCookie(s).refresh(), { statusCode: 200 })
})
