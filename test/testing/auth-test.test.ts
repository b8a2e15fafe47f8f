import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticate, authenticateByCookie, memoryStore, type RefreshCookieOptions, type User } from '../../lib/index.js'
import { authTest, fastPasswords, testClock, testOptions } from '../../lib/testing/index.js'
import { exactly } from '../support/exactly.js'
import { SECRET } from '../support/server.js'

const PASSWORD = 'correct horse battery staple'

/** An app as its owner writes it; tests add their options. */
function build (auth: RefreshCookieOptions): FastifyInstance {
  const people = new Map<string, User & { role?: string }>([['ada', { id: 'ada', username: 'ada', passwordHash: null }]])
  const app = Fastify()
  app.register(refreshCookie, {
    secret: SECRET,
    users: {
      findByUsername: username => people.get(username) ?? null,
      findById: id => people.get(id) ?? null,
      create: ({ username, passwordHash }) => {
        const user = { id: username, username, passwordHash }
        people.set(username, user)
        return user
      }
    },
    accessToken: { claims: user => ({ role: (user as { role?: string }).role ?? 'reader' }) },
    routes: { session: '/session' },
    ...auth
  })
  app.get('/me', { onRequest: authenticate }, async ({ auth }) => auth.claims)
  app.get('/origin', async ({ headers }) => headers.origin ?? 'none')
  app.get('/page', { onRequest: authenticateByCookie }, async ({ auth }) => auth.identity.sub)
  app.post('/enter', async ({ auth }) => await auth.login('bob'))
  app.post<{ Body: { kind: string } }>('/other', async ({ body: { kind } }) => {
    return { text: 'access_token', 'another server': { access_token: 'ya29.a0', token_type: 'Bearer' }, 'no token': { access_token: null, token_type: 'Bearer' } }[kind]
  })
  return app
}

async function testing (t: Test, options: RefreshCookieOptions = {}) {
  const app = build({ ...testOptions(), ...options })
  t.teardown(async () => { await app.close() })
  await app.ready()
  return { app, auth: authTest(app) }
}

t.test('as() logs a user in without a password, and the browser refreshes', async t => {
  const { auth } = await testing(t)
  const ada = await auth.as('ada')
  t.match((await ada.inject('/me')).json(), { sub: 'ada', role: 'reader' })
  auth.expireAccess()
  t.match((await ada.inject('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.equal((await ada.refresh()).statusCode, 200)
  t.equal((await ada.inject({ url: '/me' })).statusCode, 200)
  t.strictSame(auth.events.map(({ type }) => type), ['login', 'access_token_refused', 'refresh'])
})

t.test('as() logs in from the browser that it returns', async t => {
  const { auth } = await testing(t, { sessions: { bindUserAgent: true } })
  for (const options of [{}, { userAgent: 'phone' }]) {
    const ada = await auth.as('ada', options)
    t.match((await ada.inject('/auth/sessions')).json(), exactly({ userAgent: options.userAgent ?? /Firefox/, ip: '127.0.0.1' }))
    auth.clock.advance('1m')
    ada.loseReply()
    await t.rejects(ada.refresh())
    auth.clock.advance('1m')
    t.equal((await ada.refresh()).statusCode, 200, 'so it is the same browser')
    await ada.logout()
  }
})

t.test('inject() takes a body as app.inject does, and names a missing url', async t => {
  const { auth } = await testing(t)
  const ada = await auth.as('ada')
  t.match((await ada.inject({ method: 'POST', url: '/auth/login', body: { username: 'ada', password: 'wrong' } })).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  await t.rejects(ada.inject({ path: '/me' } as never), { name: 'TypeError', message: /needs a "url"/ })
})

t.test('as() takes a user that is not stored, claims, and a login that ends with the browser', async t => {
  const { auth } = await testing(t)
  await t.rejects(auth.as('eve'), { code: 'FST_AUTH_USER_REFUSED', message: /pass \{ user \}/ })
  await t.rejects(auth.as(''), TypeError)
  const eve = await auth.as('eve', { user: { role: 'admin' }, claims: { tenant: 'acme' }, remember: false })
  t.match((await eve.inject('/me')).json(), { sub: 'eve', role: 'admin', tenant: 'acme' })
  t.match(eve.jar.cookies, exactly({ name: '__Host-Http-refresh', expiresAt: Infinity }))
})

t.test('as() names a function of the app that failed, with its error', async t => {
  const { auth } = await testing(t, { users: { findById () { throw new Error('no such column') } } })
  await t.rejects(auth.as('ada'), { code: 'FST_AUTH_STORE_UNAVAILABLE', message: /users\.findById.*see the cause/, cause: { message: 'no such column' } })
})

t.test('a browser signs up, logs in and logs out', async t => {
  const { auth } = await testing(t)
  const bob = auth.browser({ userAgent: 'phone' })
  t.equal((await bob.signup({ username: 'bob', password: PASSWORD })).statusCode, 201)
  t.equal((await bob.logout()).statusCode, 204)
  t.equal(bob.accessToken, null)
  t.strictSame(bob.jar.cookies, [])
  t.equal((await bob.login({ username: 'bob', password: 'wrong password' })).statusCode, 401)
  t.equal(bob.accessToken, null)
  t.equal((await bob.login({ username: 'bob', password: PASSWORD })).statusCode, 200)
  t.match(auth.events.at(-1), { type: 'login', userAgent: 'phone' })
})

t.test('a page of the app is opened by the cookie, and a form logs in', async t => {
  const { auth } = await testing(t)
  const bob = auth.browser()
  await bob.signup({ username: 'bob', password: PASSWORD })
  const other = auth.browser()
  t.equal((await other.open('/page')).statusCode, 401)
  t.match(await other.submit('/auth/login', { username: 'bob', password: PASSWORD, redirect: '/page' }), { statusCode: 303, headers: { location: '/page' } })
  t.equal((await other.open('/page')).body, 'bob')
})

t.test('a lost reply, a race of tabs, and theft', async t => {
  const { auth } = await testing(t)
  const ada = await auth.as('ada')
  ada.loseReply()
  await t.rejects(ada.refresh(), { message: 'The reply was lost (loseReply)' })
  ada.loseReply()
  await t.rejects(ada.inject('/auth/sessions'), { message: 'The reply was lost (loseReply)' })
  t.strictSame((await auth.race(3, async () => await ada.refresh())).map(({ statusCode }) => statusCode), [200, 200, 200])
  const thief = auth.steal(ada)
  auth.clock.advance('2m')
  await thief.refresh()
  auth.clock.advance('2m')
  await thief.refresh()
  auth.clock.advance('2m')
  t.match((await ada.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  t.match(auth.events.findLast(({ type }) => type === 'reuse'), { subject: 'ada' })
})

t.test('a host in place of an origin, and a promise in place of an app, are errors where they are given', async t => {
  const app = build(testOptions())
  t.teardown(async () => { await app.close() })
  const auth = authTest(app)
  for (const origin of ['app.example.com', 'https://app.example.com/', 'null']) {
    t.throws(() => auth.browser({ origin }), { name: 'TypeError', message: /^browser: an origin is/ }, origin)
    t.throws(() => auth.browser().pageOf(origin), { name: 'TypeError', message: /^pageOf: an origin is/ }, origin)
  }
  // @ts-expect-error: for those who write JavaScript
  t.throws(() => authTest(Promise.resolve(app)), { name: 'TypeError', message: /await the function that builds it/ })
})

t.test('a page of another origin has the cookies of the browser that SameSite allows, and is refused (CSRF)', async t => {
  const { auth } = await testing(t)
  const ada = await auth.as('ada')
  const requests = { method: 'POST', url: '/auth/refresh', payload: {} } as const
  t.match((await ada.pageOf('https://evil.example').inject(requests)).json(), { code: 'FST_AUTH_CROSS_SITE' })
  t.match((await ada.pageOf('https://blog.example.com').inject(requests)).json(), { code: 'FST_AUTH_CROSS_SITE' })
  t.equal((await ada.pageOf('https://evil.example').open('/page')).statusCode, 401, 'SameSite=Strict: no cookie')
  t.equal((await ada.pageOf('https://blog.example.com').open('/page')).statusCode, 200)
  t.equal((await ada.pageOf('https://evil.example').inject('/page')).statusCode, 403)
  t.match(await ada.pageOf('https://evil.example').submit('/auth/login', { username: 'ada', password: PASSWORD, redirect: '/' }), { headers: { location: undefined }, statusCode: 403 })
})

t.test('a native app holds its refresh token itself', async t => {
  const { auth } = await testing(t, { refreshToken: { transport: 'body' }, routes: {} })
  const ada = await auth.as('ada')
  t.strictSame(ada.jar.cookies, [])
  const first = ada.refreshToken
  const thief = auth.steal(ada)
  auth.clock.advance('1m')
  t.equal((await ada.refresh()).statusCode, 200)
  t.not(ada.refreshToken, first)
  t.equal(thief.refreshToken, first)
  t.equal((await ada.logout()).statusCode, 204)
  t.equal(ada.refreshToken, null)
})

t.test('the same requests over HTTP', async t => {
  const { app, auth } = await testing(t)
  const url = await app.listen({ port: 0 })
  const bob = auth.browser({ url })
  t.equal((await bob.signup({ username: 'bob', password: PASSWORD })).statusCode, 201)
  t.match((await bob.inject('/me')).json(), { sub: 'bob' })
  t.equal((await bob.submit('/auth/login', { username: 'bob', password: PASSWORD, redirect: '/page' })).statusCode, 303)
  t.equal((await bob.open('/page')).body, 'bob')
  t.equal((await (await auth.as('ada', { url })).refresh()).statusCode, 200)
})

t.test('each request has the same answer over HTTP: headers, query and body', async t => {
  const app = build({ ...testOptions(), cookie: { sameSite: 'lax' } })
  t.teardown(async () => { await app.close() })
  app.all('/echo', async ({ method, query, body, headers }) => ({ method, query, body, headers: [headers['content-type'], headers['sec-fetch-mode'], headers['sec-fetch-site'], headers.host] }))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const auth = authTest(app)
  const { origin, host } = new URL(url)
  for (const options of [{ origin }, { url }]) {
    const ada = await auth.as('ada', options)
    t.equal((await ada.pageOf('https://evil.example').open('/page')).body, 'ada', 'a link from another site')
    t.equal((await ada.pageOf('https://evil.example').submit('/page', {})).statusCode, 404)
    t.strictSame((await ada.inject({ method: 'PUT', url: '/echo?a=1', query: { b: '2 3' }, payload: { text: 'é' } })).json(),
      { method: 'PUT', query: { a: '1', b: '2 3' }, body: { text: 'é' }, headers: ['application/json', 'cors', 'same-origin', host] })
    t.match((await ada.inject({ method: 'POST', url: '/echo', headers: { 'content-type': 'text/plain' }, payload: 'plain' })).json(), { body: 'plain' })
  }
  await t.rejects(auth.browser({ url: 'https://127.0.0.1:' + new URL(url).port }).open('/page'), 'TLS to a server without it')
})

t.test('Fetch Metadata goes to trustworthy origins only', async t => {
  const app = build(testOptions())
  t.teardown(async () => { await app.close() })
  app.get('/fetch-metadata', async ({ headers }) => Object.keys(headers).filter(name => name.startsWith('sec-fetch-')))
  const sentFrom = async (origin: string): Promise<unknown> => (await authTest(app).browser({ origin }).inject('/fetch-metadata')).json()
  t.strictSame(await sentFrom('http://app.example.com'), [])
  for (const origin of ['https://app.example.com', 'http://localhost:3000']) t.strictSame(await sentFrom(origin), ['sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest'])
})

t.test('as() rejects where the browser refuses the cookie', async t => {
  const { auth } = await testing(t)
  await t.rejects(auth.as('ada', { origin: 'http://app.example.com' }), { message: /Secure needs https/ })
})

t.test('a page keeps the tokens of each token response, also of a login route of the app', async t => {
  const { auth } = await testing(t)
  const bob = auth.browser()
  await bob.signup({ username: 'bob', password: PASSWORD })
  for (const url of ['/auth/reauthenticate', '/auth/login']) {
    const before = bob.accessToken
    const { access_token: token } = (await bob.inject({ method: 'POST', url, payload: url.endsWith('login') ? { username: 'bob', password: PASSWORD } : { password: PASSWORD } })).json<{ access_token: string }>()
    t.equal(bob.accessToken, token, url)
    t.not(token, before)
  }
  const { access_token: own } = (await bob.inject({ method: 'POST', url: '/enter' })).json<{ access_token: string }>()
  t.equal(bob.accessToken, own, 'a login route of the app')
  for (const kind of ['text', 'another server', 'no token']) await bob.inject({ method: 'POST', url: '/other', payload: { kind } })
  t.equal(bob.accessToken, own, 'no other reply has a token of ours')
  t.equal((await auth.browser().inject({ method: 'POST', url: '/auth/refresh', query: { optional: 'true' } })).body, '')
})

t.test('after formatTokenResponse a page sets its token itself', async t => {
  const { auth } = await testing(t, { formatTokenResponse: ({ access_token: token }) => ({ data: { token } }) })
  const ada = await auth.as('ada')
  const first = ada.accessToken
  auth.clock.advance('1m')
  const { data } = (await ada.refresh()).json<{ data: { token: string } }>()
  t.equal(ada.accessToken, first)
  ada.accessToken = data.token
  t.equal((await ada.inject('/me')).statusCode, 200)
})

t.test('a server with several registrations is asked by prefix, in any context', async t => {
  const [reader, staff, nested] = [testOptions(), testOptions(), testOptions()]
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  app.register(async scope => { await scope.register(refreshCookie, { secret: SECRET, ...reader }) }, { prefix: '/readers' })
  app.register(async scope => { await scope.register(refreshCookie, { secret: SECRET.toLowerCase(), prefix: '/sign-in', routes: { refresh: false, logout: false, signup: false }, ...staff }) })
  app.register(async scope => { await scope.register(refreshCookie, { secret: SECRET.toUpperCase(), prefix: '/sign-in/guests', ...nested }) })
  await app.ready()
  t.throws(() => authTest(app).clock, { message: /several registrations/ })
  t.equal(authTest(app, { prefix: '/sign-in' }).clock, staff.clock)
  const ada = await authTest(app, { prefix: '/readers/auth' }).as('ada')
  t.equal((await ada.refresh()).statusCode, 200)
  await t.rejects(authTest(app, { prefix: '/sign-in' }).browser().signup({}), { message: 'The app has no route for signup' })
})

t.test('an app that is not ready, or has its own onEvent, gets an explanation', async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  app.register(refreshCookie, { secret: SECRET, store: memoryStore(), ...testOptions(), onEvent () {} })
  t.throws(() => authTest(app).clock, { message: /await app.ready\(\) first/ })
  const auth = authTest(app)
  t.equal((await auth.browser().refresh()).statusCode, 401, 'the routes of a browser wait for the app')
  t.equal((await (await auth.as('ada')).refresh()).statusCode, 200, 'as() waits for the app')
  t.throws(() => auth.events, { message: /own onEvent/ })
})

/** An app that keeps the codes of its warnings. */
async function warned (t: Test, options: RefreshCookieOptions) {
  const codes: unknown[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write (line: string) { codes.push(JSON.parse(line).code) } } } })
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret: SECRET, store: memoryStore(), ...options })
  return { app, codes }
}

t.test('an app without testOptions lets nobody in', async t => {
  for (const options of [{}, { ...testOptions(), clock: () => 1 }]) {
    const { app, codes } = await warned(t, options)
    t.strictSame(Object.getOwnPropertySymbols(app.server).filter(({ description }) => description?.startsWith('fastify-refresh-cookie')), [])
    await t.rejects(authTest(app).as('ada'), { message: /register fastify-refresh-cookie with \{ \.\.\.testOptions\(\) \}/ })
    t.strictSame(codes, [])
  }
})

t.test('an app with the clock of testOptions warns once at start', async t => {
  const { codes } = await warned(t, { clock: testClock() })
  t.strictSame(codes, ['FST_AUTH_WARN_TEST_OPTIONS'])
})

t.test('nothing of it works in production', async t => {
  const { NODE_ENV } = process.env
  process.env['NODE_ENV'] = 'production'
  t.teardown(() => {
    if (NODE_ENV === undefined) delete process.env['NODE_ENV']
    else process.env['NODE_ENV'] = NODE_ENV
  })
  t.throws(testOptions, { message: /production/ })
  const app = Fastify()
  t.throws(() => authTest(app), { message: /production/ })
  await t.rejects(async () => { await app.register(refreshCookie, { secret: SECRET, passwords: fastPasswords }) }, { message: /passwords.memoryCost/ })
  const { app: deployed, codes } = await warned(t, { clock: testClock() })
  t.strictSame(codes, ['FST_AUTH_WARN_TEST_OPTIONS'])
  delete process.env['NODE_ENV']
  t.throws(() => authTest(deployed).clock, { message: /no registration/ })
})

t.test('a test clock moves only forward, by durations', async t => {
  const clock = testClock(1000)
  clock.advance('1m')
  clock.advance(5)
  t.equal(clock(), 1065)
  for (const wrong of [-1, 0.5, 'soon']) t.throws(() => clock.advance(wrong as number), { message: /not a duration/ })
})

t.test('a link of another site has no Origin, its script has one', async t => {
  const { auth } = await testing(t)
  const page = auth.browser().pageOf('https://evil.example')
  t.strictSame([(await page.open('/origin')).body, (await page.inject('/origin')).body], ['none', 'https://evil.example'])
})
