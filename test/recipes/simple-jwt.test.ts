import fastifySwagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import t, { type Test } from 'tap'
import { memoryStore, statelessStore, type RefreshCookieOptions } from '../../lib/index.js'
import { cookieJar } from '../support/cookie-jar.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, openBrowser, PASSWORD, payloadOf, setCookies, type Answer, type Browser } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

const EXPIRED = { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' }

const BEARER: FastifyDynamicSwaggerOptions = {
  openapi: { components: { securitySchemes: { accessToken: { type: 'http', scheme: 'bearer' } } }, security: [{ accessToken: [] }] }
}

/** The front end: it reads tokens from the responses of this system, and sends an e-mail address to log in. */
interface FrontEnd {
  readonly browser: Browser
  post (path: string, payload?: object): Promise<Answer>
}

interface WithAda extends Recipe { readonly ada: FrontEnd }

/** The server, and a front end that has signed up. */
async function withAda (t: Test, options: RefreshCookieOptions = {}): Promise<WithAda> {
  const r = await recipe(t, 'simple-jwt', { given: { store: memoryStore() }, options, before: app => app.register(fastifySwagger, BEARER) })
  const browser = openBrowser(r.app, cookieJar(r.clock))
  const ada = {
    browser,
    async post (path: string, payload?: object) {
      const answer = await browser.send({ method: 'POST', url: `/users${path}`, ...(payload && { payload }) })
      if (answer.statusCode < 300 && answer.body !== '') browser.accessToken = answer.json().token?.access ?? browser.accessToken
      return answer
    }
  }
  await ada.post('/signup', { email: 'ada@example.com', password: PASSWORD })
  return { ...r, ada }
}

/** Another browser with a copy of the cookie. */
function copyOf ({ browser }: FrontEnd): Browser {
  return browser.copy()
}

const refresh = async (browser: Browser): Promise<Answer> => await browser.send({ method: 'POST', url: '/users/token/refresh' })

t.test('signup, login and refresh have the response format of simple-jwt, with the refresh token only in the cookie', async t => {
  const { ada, wait } = await withAda(t)
  const login = await ada.post('/login', { email: 'ada@example.com', password: PASSWORD })
  t.strictSame(login.json(), { code: 200, message: 'login success', token: { access: ada.browser.accessToken } })
  t.match(setCookies(login), exactly(new RegExp(`^${COOKIE}=[\\w.-]+; Max-Age=3600; .*HttpOnly; Secure`)))
  wait('1m')
  const answer = await ada.post('/token/refresh')
  t.strictSame(answer.json(), { code: 200, message: 'new accessToken', token: { access: ada.browser.accessToken } })
  t.notOk([login, answer].some(({ body }) => body.includes(String(ada.browser.cookie()))))
  t.match(await ada.post('/login', { email: 'ada@example.com', password: 'wrong' }), { statusCode: 401 })
})

t.test('every route needs a login, except these', async t => {
  const { app, ada } = await withAda(t)
  t.match(await app.inject('/me'), { statusCode: 401 })
  t.match(await app.inject('/nowhere'), { statusCode: 401 })
  t.strictSame((await ada.browser.get('/me')).json(), { id: '1' })
})

t.test('an expired access token is 401, and the cookie brings a new one', async t => {
  const { ada, wait } = await withAda(t)
  wait('10m')
  t.match((await ada.browser.get('/me')).json(), EXPIRED)
  const before = ada.browser.cookie()
  t.match(await ada.post('/token/refresh'), { statusCode: 200, headers: { 'set-cookie': undefined } })
  t.equal(ada.browser.cookie(), before, 'and does not change')
  t.strictSame((await ada.browser.get('/me')).json(), { id: '1' })
})

t.test('an expired cookie is 401, so the page asks for a login', async t => {
  const { app, ada, wait } = await withAda(t)
  const kept = { cookie: `${COOKIE}=${String(ada.browser.cookie())}` }
  wait('59m')
  t.match(await ada.post('/token/refresh'), { statusCode: 200 })
  wait('1m')
  t.match((await ada.post('/token/refresh')).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  const answer = await app.inject({ method: 'POST', url: '/users/token/refresh', headers: kept })
  t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' })
})

t.test('a logout ends the session, and copies of its cookie too', async t => {
  const { ada } = await withAda(t)
  const copy = copyOf(ada)
  t.match(await ada.post('/logout'), { statusCode: 204 })
  t.equal(ada.browser.cookie(), undefined)
  t.match((await refresh(copy)).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('TokenVerifyView: the verify route checks an access token', async t => {
  const { ada, wait } = await withAda(t)
  const token = ada.browser.accessToken
  t.match((await ada.post('/token/verify', { token })).json(), { claims: { sub: '1' } })
  wait('10m')
  t.match((await ada.post('/token/verify', { token })).json(), EXPIRED)
})

t.test('a deleted or inactive user is refused', async t => {
  const { ada, users } = await withAda(t)
  users.change('ada@example.com', { disabled: true })
  t.match((await ada.post('/token/refresh')).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
  t.match(await ada.post('/login', { email: 'ada@example.com', password: PASSWORD }), { statusCode: 401 })
})

t.test('rotation off: one refresh token, from the login to its expiry', async t => {
  const { ada, wait } = await withAda(t)
  const copy = copyOf(ada)
  for (let i = 0; i < 5; i++) {
    wait('10m')
    t.match(await refresh(copy), { statusCode: 200 })
    t.match(await ada.post('/token/refresh'), { statusCode: 200 })
  }
  t.equal(payloadOf(ada.browser.cookie())['gen'], 0)
})

t.test('rotation on, blacklist off: new tokens, and the old ones stay valid until they expire', async t => {
  const { ada, wait } = await withAda(t, { store: statelessStore(), refreshToken: { rotation: 'always' } })
  const old = copyOf(ada)
  for (let i = 1; i <= 3; i++) {
    wait('10m')
    t.match(await ada.post('/token/refresh'), { statusCode: 200 })
    t.equal(payloadOf(ada.browser.cookie())['gen'], i)
    t.match(await refresh(old.copy()), { statusCode: 200 })
  }
})

t.test('rotation on, blacklist on: new tokens, and a reused old one ends the session', async t => {
  const { ada, wait } = await withAda(t, { refreshToken: { rotation: 'always' } })
  const old = copyOf(ada)
  for (let i = 1; i <= 2; i++) {
    wait('10m')
    t.match(await ada.post('/token/refresh'), { statusCode: 200 })
    t.equal(payloadOf(ada.browser.cookie())['gen'], i)
  }
  t.match((await refresh(old)).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  t.match((await ada.post('/token/refresh')).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
})

t.test('Swagger UI: log in, authorize with the access token, call, refresh with the cookie', async t => {
  const { app, ada, wait } = await withAda(t)
  const { paths, security } = JSON.parse(JSON.stringify(app.swagger()))
  t.strictSame(security, [{ accessToken: [] }], 'every route needs the token of Authorize')
  t.equal(paths['/me'].get.security, undefined)
  for (const path of ['/users/signup', '/users/login', '/users/token/verify']) t.strictSame(paths[path].post.security, [], path)
  t.strictSame(Object.keys(paths['/users/login'].post.requestBody.content['application/json'].schema.properties), ['email', 'password', 'remember'])

  const ui = async (path: string, token?: string): Promise<Answer> => {
    const { requestBody } = paths[path].post ?? {}
    const [contentType] = Object.keys(requestBody?.content ?? {})
    return await ada.browser.send({
      method: 'POST',
      url: path,
      headers: { authorization: token === undefined ? '' : `Bearer ${token}`, ...(contentType && { 'content-type': contentType }) },
      ...(contentType && { payload: JSON.stringify({ email: 'ada@example.com', password: PASSWORD }) })
    })
  }
  const { token: { access } } = (await ui('/users/login')).json()
  ada.browser.accessToken = access
  t.match(await ada.browser.get('/me'), { statusCode: 200 })
  wait('10m')
  t.match(await ada.browser.get('/me'), { statusCode: 401 })
  t.match((await ui('/users/token/refresh', access)).json(), { message: 'new accessToken' })
  wait('50m')
  t.match(await ui('/users/token/refresh', access), { statusCode: 401 })
})
