import t from 'tap'
import { COOKIE, loggedIn, server, setCookies, type Browser } from '../support/server.js'

const OPTIONAL = '/auth/refresh?optional=true'

const ask = async (browser: Browser, url = OPTIONAL, headers = {}) => await browser.send({ method: 'POST', url, headers })

/** A log at Fastify's default level, as an operator reads it. */
function log () {
  const lines: Array<{ level: number, msg: string, err?: { stack: string, code: string } }> = []
  return { lines, logger: { level: 'info', stream: { write (line: string) { lines.push(JSON.parse(line)) } } } }
}

t.test('a visitor without a session gets 204 with ?optional=true', async t => {
  const { lines, logger } = log()
  const { browser, events, store } = await server(t, {}, { logger })
  const answer = await ask(browser())
  t.match(answer, { statusCode: 204, body: '', headers: { 'cache-control': 'no-store', 'www-authenticate': undefined } })
  t.strictSame(setCookies(answer), [])
  t.strictSame(events, [])
  t.strictSame(store.calls, [])
  t.strictSame(lines.filter(({ err, level }) => err !== undefined || level > 30), [])
})

t.test('without the parameter a refresh without a cookie is 401', async t => {
  const { browser } = await server(t)
  for (const url of ['/auth/refresh', '/auth/refresh?optional=false', '/auth/refresh?other=true']) {
    t.match((await ask(browser(), url)).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' }, url)
  }
  for (const url of ['/auth/refresh?optional', '/auth/refresh?optional=yes', '/auth/refresh?optional=true&optional=true']) {
    t.match((await ask(browser(), url)).json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: /^querystring\/optional / }, url)
  }
})

t.test('with ?optional=true a refresh token is checked as usual', async t => {
  const { ada, wait, app } = await loggedIn(t)
  wait('1m')
  t.match(await ask(ada), { statusCode: 200, headers: { 'set-cookie': /./ } })
  const stranger = (cookie: string) => app.inject({ method: 'POST', url: OPTIONAL, headers: { cookie: `${COOKIE}=${cookie}` } })
  t.match((await stranger('forged')).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  wait('8d')
  t.match((await stranger(String(ada.cookie()))).json(), { statusCode: 401 })
})

t.test('CSRF: with ?optional=true a request of another site is refused too', async t => {
  const { browser } = await server(t)
  t.match((await ask(browser(), OPTIONAL, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' })).json(), { statusCode: 403, code: 'FST_AUTH_CROSS_SITE' })
})

t.test('with renewWithAccessToken a request with an access token is not anonymous', async t => {
  const { ada, app } = await loggedIn(t, { refreshToken: { renewWithAccessToken: true } })
  const send = async (headers = {}) => await app.inject({ method: 'POST', url: OPTIONAL, headers })
  t.match(await send(), { statusCode: 204 })
  t.match((await send({ authorization: 'Bearer forged' })).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  t.match(await send({ authorization: `Bearer ${ada.accessToken}` }), { statusCode: 200, headers: { 'set-cookie': /./ } })
})

t.test('native apps can use ?optional=true too', async t => {
  const { browser } = await server(t, { refreshToken: { transport: 'body' } })
  t.match(await ask(browser()), { statusCode: 204, body: '' })
})

t.test('no refusal is logged with a stack trace', async t => {
  const { lines, logger } = log()
  const { ada, browser } = await loggedIn(t, {}, { logger })
  const stranger = browser()
  await ask(stranger, '/auth/refresh')
  await ask(stranger, '/auth/refresh?optional=yes')
  await stranger.send({ method: 'POST', url: '/auth/login', payload: '<ada/>', headers: { 'content-type': 'application/xml' } })
  await stranger.login('ada', { password: 'a wild guess' })
  await stranger.login('ada', { more: 1 })
  await ada.signup('ada')
  await stranger.get('/me')
  await ada.send({ method: 'DELETE', url: '/auth/sessions/unknown' })
  const refusals = lines.flatMap(({ err }) => err ?? [])
  t.strictSame(refusals.map(({ code }) => code), [
    'FST_AUTH_REFRESH_TOKEN_MISSING', 'FST_ERR_VALIDATION', 'FST_ERR_CTP_INVALID_MEDIA_TYPE', 'FST_AUTH_CREDENTIALS_INVALID',
    'FST_ERR_VALIDATION', 'FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_ACCESS_TOKEN_MISSING', 'FST_AUTH_SESSION_UNKNOWN'
  ])
  t.strictSame(refusals.filter(({ stack }) => stack.includes('\n')), [])
})

t.test('a store outage is logged with its stack trace', async t => {
  const { lines, logger } = log()
  const { ada, wait, store } = await loggedIn(t, {}, { logger })
  wait('1m')
  store.faults.push({ moment: 'before', kind: 'throw' })
  t.match(await ada.refresh(), { statusCode: 503 })
  t.match(lines.find(({ level }) => level >= 50), { err: { stack: /\n +at .*\n/ } })
})
