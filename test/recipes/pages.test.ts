import cors from '@fastify/cors'
import t, { type Test } from 'tap'
import refreshCookie, { type RefreshCookieOptions } from '../../lib/index.js'
import { FAST_HASHING, PASSWORD, SECRET, testClock, userTable, type Answer, type Browser } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

interface Forms extends Recipe {
  submit (browser: Browser, fields: Record<string, string>, headers?: Record<string, string>): Promise<Answer>
}

/** The sample of a password change by an HTML form, with Ada signed up. */
async function passwordForm (t: Test, options: RefreshCookieOptions = {}): Promise<Forms & { readonly ada: Browser }> {
  const users = userTable()
  const clock = testClock()
  const s = await recipe(t, 'password-form', {
    given: { users },
    clock,
    async before (app) {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async (_request: unknown, body: string) => Object.fromEntries(new URLSearchParams(body)))
      await app.register(refreshCookie, { secret: SECRET, clock, users, passwords: FAST_HASHING, rateLimit: { perAccount: { max: 3, per: '15m' } }, ...options })
    }
  })
  const ada = s.browser()
  await ada.signup('ada')
  return {
    ...s,
    ada,
    submit: async (browser, fields, headers = {}) => await browser.send({
      method: 'POST', url: '/account/password', payload: new URLSearchParams(fields).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }
    })
  }
}

const NEW_PASSWORD = 'another good password'
const CHANGE = { currentPassword: PASSWORD, newPassword: NEW_PASSWORD }

t.test('a password change by a form: the other sessions end, the browser stays logged in', async t => {
  const s = await passwordForm(t)
  const phone = s.browser()
  await phone.login('ada', { remember: false })
  const { ada } = s
  t.match(await s.submit(ada, CHANGE), { statusCode: 303, headers: { location: '/account?changed' } })
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match(await phone.refresh(), { statusCode: 401 })
  t.match(await s.browser().login('ada'), { statusCode: 401 })

  await phone.login('ada', { password: NEW_PASSWORD, remember: false })
  const changed = await s.submit(phone, { currentPassword: NEW_PASSWORD, newPassword: 'a third good password' })
  t.notMatch(String(changed.headers['set-cookie']), /max-age|expires/i, 'it keeps the choice of a login that ends with the browser')
})

t.test('a password change by a form: a refusal is a code in the address of the page', async t => {
  const s = await passwordForm(t)
  const refusal = async (browser: Browser, fields: Record<string, string>, headers?: Record<string, string>): Promise<string> => {
    const { statusCode, headers: { location } } = await s.submit(browser, fields, headers)
    t.equal(statusCode, 303)
    return String(location)
  }
  t.equal(await refusal(s.ada, { ...CHANGE, newPassword: 'x' }), '/account?error=FST_AUTH_PASSWORD_REFUSED')
  t.equal(await refusal(s.ada, {}), '/account?error=FST_AUTH_CREDENTIALS_INVALID')
  t.equal(await refusal(s.browser(), CHANGE), '/account?error=FST_AUTH_REFRESH_TOKEN_MISSING')
  t.equal(await refusal(s.ada, CHANGE, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), '/account?error=FST_AUTH_CROSS_SITE')
  t.match(await s.browser().login('ada'), { statusCode: 200 }, 'nothing has changed')
  for (let guess = 0; guess < 3; guess++) await refusal(s.ada, { ...CHANGE, currentPassword: 'wrong' })
  t.equal(s.users.replaced.length, 0)
})

t.test('server-sent events by the cookie: own pages and trusted origins, with the CORS headers', async t => {
  const users = userTable()
  const pages = ['https://shop.example']
  const clock = testClock()
  const s = await recipe(t, 'server-sent-events', {
    clock,
    async before (app) {
      await app.register(cors, { origin: pages, credentials: true })
      await app.register(refreshCookie, { secret: SECRET, clock, users, passwords: FAST_HASHING, trustedOrigins: pages })
    }
  })
  const ada = s.browser()
  await ada.signup('ada')
  const url = await s.app.listen({ host: '127.0.0.1', port: 0 })
  const open = async (headers: Record<string, string>): Promise<Response> => await fetch(`${url}/events`, { headers: { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', ...headers } })
  const cookie = String(ada.jar.header('/events'))

  const stream = await open({ cookie, origin: 'https://shop.example', 'sec-fetch-site': 'cross-site' })
  t.equal(stream.status, 200)
  t.match(Object.fromEntries(stream.headers), {
    'access-control-allow-origin': 'https://shop.example', 'access-control-allow-credentials': 'true', 'cache-control': 'no-store', 'content-type': /^text\/event-stream/
  })
  const { value } = await stream.body?.getReader().read() ?? {}
  t.equal(new TextDecoder().decode(value as Uint8Array), 'data: hello 1\n\n')
  t.match(await open({ cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), { status: 403 })
  t.match(await open({}), { status: 401 })
  s.app.server.closeAllConnections()
})

t.test('a login page without a script: texts of errors, a safe path to go on, and no page for users who are logged in', async t => {
  const users = userTable()
  const clock = testClock()
  const s = await recipe(t, 'login-page', {
    clock,
    before: async app => { await app.register(refreshCookie, { secret: SECRET, clock, users, passwords: FAST_HASHING, rateLimit: { perAccount: { max: 3, per: '15m' } } }) }
  })
  await s.browser().signup('ada')
  const ada = s.browser()
  const get = async (url: string): Promise<Answer> => await ada.send({ method: 'GET', url })
  const fieldsOf = (page: string): Record<string, string> => Object.fromEntries([...page.matchAll(/name="(\w+)" type="hidden" value="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value.replaceAll('&quot;', '"').replaceAll('&amp;', '&')]))
  const submit = async (page: string, password: string): Promise<string> => {
    const reply = await ada.send({
      method: 'POST', url: '/auth/login', payload: new URLSearchParams({ ...fieldsOf(page), username: 'ada', password }).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' }
    })
    t.equal(reply.statusCode, 303)
    return String(reply.headers.location)
  }
  const sent = String((await get('/account?a=1&b="2"')).headers.location)
  t.match(sent, /^\/login\?next=/)
  const page = (await get(sent)).body
  t.match(fieldsOf(page), { redirect: /^\/account\?a=1&b=%222%22$/ })
  const refused = await get(await submit(page, 'wrong password'))
  t.match(refused.body, 'The name or the password is wrong.')
  t.equal(fieldsOf(refused.body)['redirect'], fieldsOf(page)['redirect'], 'the path to go on is kept')
  t.match((await get(await submit(page, ''))).body, 'Fill in the name and the password.')
  t.match((await get('/login?error=<script>')).body, 'This did not work.')
  t.notMatch((await get('/login?error=<script>&next=%22%3E%3Cscript%3E')).body, '<script')
  for (const next of ['https://evil.example', '//evil.example', '/\\evil.example', '/..//evil.example', '/%2fevil.example', 'javascript:alert(1)', 'http://', 'x'.repeat(0)]) {
    const { redirect } = fieldsOf((await get(`/login?next=${encodeURIComponent(next)}`)).body)
    t.ok(redirect === '/account' || redirect === '/', next)
  }
  t.equal(await submit(page, PASSWORD), '/account?a=1&b=%222%22')
  t.match(await get('/login?next=/orders'), { statusCode: 302, headers: { location: '/orders' } })
  t.match(await get('/login?next=//evil.example'), { statusCode: 302, headers: { location: '/account' } })
  t.match(await get('/account'), { statusCode: 200, headers: { 'cache-control': 'no-store' } })
})

t.test('a dangerous step of a page asks for the password of its user, and the session is recent then', async t => {
  const users = userTable()
  const s = await recipe(t, 'fresh-page', {
    given: { page: (sub: string) => `the page of ${sub}` },
    async before (app) {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async (_request: unknown, body: string) => Object.fromEntries(new URLSearchParams(body)))
      await app.register(refreshCookie, { secret: SECRET, users, passwords: FAST_HASHING }) // the sample reads the machine's clock
      app.post('/enter', async ({ auth }) => await auth.login('1', { authTime: 0 }))
    }
  })
  const ada = s.browser()
  await ada.signup('ada')
  await s.browser().signup('bob', { password: 'a password of bob' })
  t.match(await ada.send({ url: '/danger' }), { statusCode: 200, body: 'the page of 1' })
  await ada.send({ method: 'POST', url: '/enter' })
  t.match(await ada.send({ url: '/danger' }), { statusCode: 302, headers: { location: '/confirm-password' } })
  const confirm = async (username: string, password: string): Promise<Answer> => await ada.send({
    method: 'POST', url: '/confirm-password', payload: new URLSearchParams({ username, password }).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' }
  })
  t.match(await confirm('ada', 'wrong password'), { statusCode: 401 })
  t.match(await confirm('bob', 'a password of bob'), { statusCode: 403 })
  t.match(await ada.send({ url: '/danger' }), { statusCode: 302 })
  t.match(await confirm('ada', PASSWORD), { statusCode: 303, headers: { location: '/danger' } })
  t.match(await ada.send({ url: '/danger' }), { statusCode: 200 })
  t.match(await s.browser().send({ url: '/danger' }), { statusCode: 401 })
})
