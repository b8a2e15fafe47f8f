import t, { type Test } from 'tap'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { ownPath } from '../../lib/http/html-forms.js'
import { exactly } from '../support/exactly.js'
import { HOST, loggedIn, ORIGIN, PASSWORD, server, setCookies, type Answer, type LoggedIn } from '../support/server.js'

const FORM = 'application/x-www-form-urlencoded'
const BAD = { statusCode: 400, code: 'FST_ERR_VALIDATION' }

async function posting (t: Test, options: RefreshCookieOptions = {}): Promise<LoggedIn & { post (body: Record<string, string> | string, headers?: Record<string, string>, url?: string): Promise<Answer> }> {
  const s = await loggedIn(t, options)
  return {
    ...s,
    post: async (body, headers = {}, url = '/auth/login') => await s.browser().send({
      method: 'POST', url, headers: { 'content-type': FORM, ...headers }, payload: new URLSearchParams(body).toString()
    })
  }
}

const ADA = { username: 'ada', password: PASSWORD, redirect: '/app' }
const locationOf = ({ headers }: Answer): unknown => headers.location

t.test('an HTML form logs in: 303 to its path, with the cookie and without a body', async t => {
  const s = await posting(t)
  const answer = await s.post({ ...ADA, redirect: '/app?tab=1#top' })
  t.match(answer, { statusCode: 303, body: '', headers: { location: '/app?tab=1#top', 'cache-control': 'no-store' } })
  t.equal(setCookies(answer).length, 1)
})

t.test('an HTML form signs up, silently too', async t => {
  const s = await posting(t)
  const answer = await s.post({ ...ADA, username: 'bob' }, {}, '/auth/signup')
  t.match(answer, { statusCode: 303, headers: { location: '/app' } })
  t.equal(setCookies(answer).length, 1)
  t.match(await s.post({ ...ADA, failure: '/join' }, {}, '/auth/signup'), { statusCode: 303, headers: { location: '/join?error=FST_AUTH_USERNAME_TAKEN' } })
  t.match(await s.post({ username: 'eve', password: PASSWORD }, {}, '/auth/signup'), { statusCode: 415 }, 'without redirect as before')
  for (const url of ['/auth/login', '/auth/signup']) t.match((await s.post({ username: 'ada', password: PASSWORD, failure: '/login' }, {}, url)).json(), BAD, 'a redirect that was forgotten')
  const silent = await posting(t, { accounts: { signup: 'silent', onSignup () {} } })
  for (const username of ['ada', 'eve']) t.match(await silent.post({ ...ADA, username }, {}, '/auth/signup'), { statusCode: 303, headers: { location: '/app', 'set-cookie': undefined } })
})

t.test('an HTML form logs out, and the browser shows the next page', async t => {
  const s = await posting(t)
  const logout = async (body: string): Promise<Answer> => await s.ada.send({ method: 'POST', url: '/auth/logout', headers: { 'content-type': FORM }, payload: body })
  for (const body of ['redirect=//evil.example', 'redirect=/&redirect=/login']) t.match((await logout(body)).json(), BAD, body)
  t.match(await logout('next=/login'), { statusCode: 415 })
  t.match(await s.ada.refresh(), { statusCode: 200 }, 'nobody is logged out by a wrong form')

  const answer = await logout('redirect=/login%3Fbye%3D1')
  t.match(answer, { statusCode: 303, body: '', headers: { location: '/login?bye=1' } })
  t.match(setCookies(answer), exactly(/Max-Age=0/))
  t.match(await s.ada.refresh(), { statusCode: 401 })

  await s.ada.login('ada')
  s.store.faults.push({ moment: 'before', kind: 'throw' })
  t.match(await logout('redirect=/login&failure=/account'), { statusCode: 303, headers: { location: '/account?error=FST_AUTH_STORE_UNAVAILABLE' } })
})

t.test('remember: the last field counts, so that a checkbox works', async t => {
  const s = await posting(t)
  const body = `username=ada&password=${encodeURIComponent(PASSWORD)}&redirect=/app`
  for (const [more, lasts] of [['', true], ['&remember=true', true], ['&remember=false', false], ['&remember=false&remember=true', true]] as const) {
    t.equal(String(setCookies(await s.post(body + more))).includes('Max-Age'), lasts, more)
    t.equal(String(setCookies(await s.post(`username=bob${more.length}&password=${encodeURIComponent(PASSWORD)}&redirect=/app${more}`, {}, '/auth/signup'))).includes('Max-Age'), lasts, more)
  }
})

t.test('a refusal goes back to the page with its code, and no credentials are in a URL', async t => {
  const s = await posting(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
  const wrong = { ...ADA, password: 'wrong password' }
  const answers = [
    await s.post({ ...wrong, failure: '/login?next=1&error=old#form' }),
    await s.post(wrong, { referer: `${ORIGIN}/enter?error=FST_OLD` }),
    await s.post(wrong, { referer: `${ORIGIN}/enter` }),
    await s.post({ ...ADA, password: '', failure: '/login' }),
    await s.post({ redirect: '/app', failure: '/login' })
  ]
  t.strictSame(answers.map(locationOf), [
    '/login?next=1&error=FST_AUTH_CREDENTIALS_INVALID#form', '/enter?error=FST_AUTH_CREDENTIALS_INVALID', '/enter?error=FST_AUTH_TOO_MANY_ATTEMPTS',
    '/login?error=FST_ERR_VALIDATION', '/login?error=FST_ERR_VALIDATION'
  ])
  for (const { statusCode, headers } of answers) {
    t.equal(statusCode, 303)
    t.match(headers, { 'set-cookie': undefined, 'retry-after': undefined, 'www-authenticate': undefined })
    t.notMatch(headers.location, /ada|password/)
  }
})

t.test('a refusal of the host without a code goes back with its status, and Retry-After does not delay the redirect', async t => {
  const s = await server(t, {}, {}, undefined, app => {
    app.addHook('preValidation', async (_request, reply) => {
      reply.header('retry-after', '60')
      throw Object.assign(new Error('slow down'), { statusCode: 429 })
    })
  })
  const answer = await s.browser().send({ method: 'POST', url: '/auth/login', headers: { 'content-type': FORM }, payload: new URLSearchParams({ ...ADA, failure: '/login' }).toString() })
  t.match(answer, { statusCode: 303, headers: { location: '/login?error=429', 'retry-after': undefined } })
})

t.test('without a page of this origin a refusal is JSON', async t => {
  const s = await posting(t)
  for (const referer of [undefined, 'https://evil.example/login', 'nonsense', `https://${HOST}.evil.example/`, `${ORIGIN}//evil.example`, `${ORIGIN}/%5cevil.example`]) {
    const answer = await s.post({ ...ADA, password: 'wrong password' }, referer === undefined ? {} : { referer })
    t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }, String(referer))
  }
})

t.test('an unexpected error is no redirect', async t => {
  const s = await posting(t)
  s.users.findByUsername = async () => ({ id: Number.NaN, username: 'ada', passwordHash: null })
  t.match(await s.post({ ...ADA, failure: '/login' }), { statusCode: 500 })
})

t.test('login CSRF: a form of another site is refused, whatever its fields', async t => {
  const s = await posting(t)
  const answer = await s.post({ ...ADA, failure: '/login' }, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' })
  t.match(answer.json(), { statusCode: 403, code: 'FST_AUTH_CROSS_SITE' })
  t.match(answer.headers, { location: undefined, 'set-cookie': undefined })
})

const EVIL = [
  '//evil.example', '///evil.example', '/\\evil.example', '\\\\evil.example', '\\/evil.example', '/\t/evil.example', '/\n/evil.example', '/\r/evil.example', '\t//evil.example', ' //evil.example',
  '/ /evil.example', '/%09/evil.example', '/%0a/evil.example', '/%5cevil.example', '/%5Cevil.example', '/%2f/evil.example', '/%2Fevil.example', '/%00/evil.example', '/%20/evil.example',
  '/..//evil.example', '/.//evil.example', '/a/..//evil.example', '/%2e%2e//evil.example', '/%2E//evil.example', '/a/%2e%2e//evil.example',
  'https://evil.example', 'https:evil.example', 'https:/evil.example', '//ada@evil.example', '@evil.example', 'evil.example', '.evil.example', '//evil.example:80', '//[::1]/',
  'javascript:alert(1)', 'data:text/html,x', '?x', '#x', '', '/é', '/\u2215evil.example', '/\u3002', '/／evil.example', '/a\r\nset-cookie: x=1', '/a\0', '/a b', '/a\\b', '/' + 'a'.repeat(2048)
]

t.test('open redirect: no field leads to another site', async t => {
  for (const path of EVIL) t.equal(ownPath(path), null, JSON.stringify(path.slice(0, 40)))
  const s = await posting(t)
  for (const path of EVIL.filter(path => path !== '')) {
    for (const field of ['redirect', 'failure']) {
      const answer = await s.post({ ...ADA, [field]: path })
      t.match(answer.json(), BAD, `${field} ${JSON.stringify(path.slice(0, 40))}`)
      t.match(answer.headers, { location: undefined, 'set-cookie': undefined })
    }
  }
})

t.test('open redirect: every path that is accepted stays on the origin, as a browser resolves it', async t => {
  for (const path of ['/', '/app', '/a/../b', '/a//b', '/a?next=//evil.example', '/a#//evil.example', '/a%2Fb', '/@evil.example', '/.evil.example', '/;//evil.example', '/a:b@c', '/' + 'a'.repeat(2047)]) {
    const accepted = String(ownPath(path))
    t.equal(new URL(accepted, `${ORIGIN}/auth/login`).origin, ORIGIN, accepted)
  }
})

t.test('a doubled field is refused', async t => {
  const s = await posting(t)
  for (const more of ['redirect=/other', 'failure=/a&failure=/b', 'username=bob', 'password=x']) {
    t.match((await s.post(`username=ada&password=x&redirect=/app&${more}`)).json(), BAD, more)
  }
})

t.test('OAuth 2.0 forms, and the transport body, ignore redirect as before', async t => {
  const s = await posting(t)
  t.match(await s.post({ ...ADA, grant_type: 'password' }), { statusCode: 200 })
  t.match(await s.post({ ...ADA, redirect: '' }), { statusCode: 200 })
  const native = await posting(t, { refreshToken: { transport: 'body' } })
  t.match((await native.post(ADA)).json(), { refresh_token: String })
  t.match((await native.post({ ...ADA, username: 'bob' }, {}, '/auth/signup')).json(), { statusCode: 415, message: /send application\/json$/ }, 'which names no field that would not help')
  t.match((await s.ada.send({ method: 'POST', url: '/auth/login', payload: ADA })).json(), BAD, 'nor has JSON the field')
})
