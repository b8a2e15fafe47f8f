import { PGlite } from '@electric-sql/pglite'
import t, { type Test } from 'tap'
import { cookieJar } from '../support/cookie-jar.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, openBrowser, payloadOf, sessionOf, setCookies, type Browser } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

const DAY = 86_400

const pool = await PGlite.create()
t.teardown(async () => { await pool.close() })

interface WithAda extends Recipe { readonly ada: Browser }

/** The server with its database; Ada is logged in. */
async function withAda (t: Test): Promise<WithAda> {
  const r = await recipe(t, 'automatic-login', { given: { pool } })
  const ada = r.browser()
  await ada.signup('ada')
  return { ...r, ada }
}

/** Ada's page in a browser without the cookie, which was deleted at its Max-Age. */
function withoutCookie ({ app, clock, ada }: WithAda): Browser {
  return Object.assign(openBrowser(app, cookieJar(clock)), { accessToken: ada.accessToken })
}

t.test('a login returns both tokens, and the database holds the session but no token', async t => {
  const { ada } = await withAda(t)
  const answer = await ada.login('ada')
  t.match(answer.json(), { expires_in: 600 })
  t.match(setCookies(answer), exactly(/; Max-Age=86400; /))
  const { rows: tables } = await pool.query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
  t.ok(tables.length > 0)
  for (const { name } of tables) {
    const rows = JSON.stringify((await pool.query(`SELECT * FROM ${name}`)).rows)
    for (const token of [ada.accessToken, ada.cookie()]) t.notOk(rows.includes(String(token).split('.')[2] ?? ''), name)
  }
})

t.test('access token expired, cookie valid: a new access token, the same cookie', async t => {
  const { ada, wait } = await withAda(t)
  wait('10m')
  t.match((await ada.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.match(await ada.refresh(), { statusCode: 200, headers: { 'set-cookie': undefined } })
  t.strictSame((await ada.get('/me')).json(), { id: '1' })
})

t.test('access token valid, cookie expired: a new cookie for another day', async t => {
  const s = await withAda(t)
  const { ada, wait } = s
  const expired = String(ada.cookie())
  wait(DAY - 300)
  await ada.refresh()
  wait(300)
  t.equal(ada.cookie(), undefined, 'the browser has deleted it')
  for (const cookie of [undefined, `${COOKIE}=${expired}`]) {
    const page = withoutCookie(s)
    const answer = await page.refresh(cookie === undefined ? {} : { headers: { cookie } })
    t.match(setCookies(answer), exactly(/; Max-Age=86400; /))
    t.strictSame(payloadOf(page.cookie())['sid'], payloadOf(expired)['sid'], 'the session is the same')
    t.strictSame((await page.get('/me')).json(), { id: '1' })
  }
})

t.test('both expired: a login is needed', async t => {
  const s = await withAda(t)
  const expired = { cookie: `${COOKIE}=${String(s.ada.cookie())}` }
  s.wait(DAY)
  t.match((await s.ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  t.match((await withoutCookie(s).refresh({ headers: expired })).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' })
})

t.test('a cookie without a row in the database is refused', async t => {
  const { ada, wait } = await withAda(t)
  wait('10m')
  await pool.query("UPDATE auth_sessions SET id = 'another' WHERE id = $1", [sessionOf(ada)])
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('a logout ends both at once, and all copies', async t => {
  const s = await withAda(t)
  const copy = s.ada.copy()
  const accessToken = s.ada.accessToken
  t.match(await s.ada.logout(), { statusCode: 204 })
  copy.accessToken = accessToken
  t.match((await copy.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
  t.match((await copy.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
  t.match(await withoutCookie(s).refresh(), { statusCode: 401 }, 'nor does the access token restore it')
})

t.test('nothing lasts longer than 30 days', async t => {
  const { ada, wait } = await withAda(t)
  for (let day = 1; day <= 30; day++) {
    wait(DAY - 300)
    t.match(await ada.refresh(), { statusCode: 200 })
    wait(300)
    t.equal(ada.cookie(), undefined)
    t.match(await ada.refresh(), { statusCode: day < 30 ? 200 : 401 }, `day ${day}`)
  }
})
