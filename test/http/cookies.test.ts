import fastifyCookie from '@fastify/cookie'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { CookieJar } from 'tough-cookie'
import refreshCookie, { memoryStore, type RefreshCookieOptions } from '../../lib/index.js'
import { systemClock } from '../../lib/time.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, FAST_HASHING, loggedIn, openBrowser, ORIGIN, PASSWORD, payloadOf, SECRET, server, setCookies, testClock, userTable, type Answer } from '../support/server.js'

const WEEK = 604_800

/** A Set-Cookie line, parsed as browsers do. */
interface SetCookie {
  readonly name: string
  readonly value: string
  /** In alphabetical order; Expires has its own test. */
  readonly attributes: readonly string[]
}

function read (line: string): SetCookie {
  const [pair = '', ...attributes] = line.split('; ').filter(part => !part.startsWith('Expires='))
  const at = pair.indexOf('=')
  return { name: pair.slice(0, at), value: pair.slice(at + 1), attributes: attributes.sort() }
}

/** The only cookie of a reply. */
function cookieOf (answer: Answer): SetCookie {
  const [line, ...others] = setCookies(answer)
  if (line === undefined || others.length > 0) throw new Error(`a reply with ${others.length} cookies too many`)
  return read(line)
}

/** Settings, their default name, and the attributes beside HttpOnly and Max-Age. */
const VARIANTS: Array<[cookie: NonNullable<RefreshCookieOptions['cookie']>, name: string, attributes: string[]]> = [
  [{}, '__Host-Http-refresh', ['Path=/', 'SameSite=Strict', 'Secure']],
  [{ sameSite: 'none', partitioned: true }, '__Host-Http-refresh', ['Partitioned', 'Path=/', 'SameSite=None', 'Secure']],
  [{ domain: 'app.example', path: '/auth', sameSite: 'lax' }, '__Secure-refresh', ['Domain=app.example', 'Path=/auth', 'SameSite=Lax', 'Secure']],
  [{ name: 'session', secure: false }, 'session', ['Path=/', 'SameSite=Strict']]
]

for (const [cookie, name, attributes] of VARIANTS) {
  t.test(`cookie ${JSON.stringify(cookie)} is set, used, and cleared with the same attributes`, async t => {
    const { browser, wait } = await server(t, { cookie, trustedOrigins: ['https://other.example'] })
    const ada = browser()
    const set = [await ada.signup('ada'), await ada.login('ada')]
    wait('30s')
    set.push(await ada.refresh())
    for (const answer of set) {
      const { value, ...rest } = cookieOf(answer)
      t.match(value, /^[\w-]+\.[\w-]+\.[\w-]+$/)
      t.strictSame(rest, { name, attributes: [...attributes, 'HttpOnly', `Max-Age=${WEEK}`].sort() })
    }
    const cleared = cookieOf(await ada.logout())
    t.strictSame(cleared, { name, value: '', attributes: [...attributes, 'HttpOnly', 'Max-Age=0'].sort() })
    t.equal(ada.jar.value(name), undefined)
  })
}

t.test('a strict cookie jar stores, sends and deletes the cookie', async t => {
  const settings: Array<[cookie: RefreshCookieOptions['cookie'], site: string]> = [
    [{}, ORIGIN],
    [{ sameSite: 'lax', path: '/auth' }, ORIGIN],
    [{ domain: 'app.example' }, 'https://app.example'],
    [{ domain: 'app.example' }, 'https://login.app.example'],
    [{ secure: false }, 'http://app.example']
  ]
  for (const [cookie, site] of settings) {
    const { app } = await server(t, { clock: systemClock, cookie })
    const jar = new CookieJar(undefined, { prefixSecurity: 'strict' })
    const { host } = new URL(site)
    const post = async (path: string, payload?: object): Promise<Answer> => {
      const url = `${site}${path}`
      const headers = { host, cookie: await jar.getCookieString(url) }
      const answer = await app.inject({ method: 'POST', url: path, headers, ...(payload && { payload }) })
      for (const line of setCookies(answer)) await jar.setCookie(line, url)
      return answer
    }

    t.match(await post('/auth/signup', { username: 'ada', password: PASSWORD }), { statusCode: 201 })
    const [held] = await jar.getCookies(`${site}/auth/refresh`)
    t.match(held, { httpOnly: true, maxAge: WEEK })
    t.match(await post('/auth/refresh'), { statusCode: 200 })
    t.match(await post('/auth/logout'), { statusCode: 204 })
    t.strictSame(await jar.getCookies(`${site}/auth/refresh`), [])
  }
})

t.test('a cookie path that covers refresh but not logout is refused; one that covers neither causes a warning', async t => {
  const PATHS: ReadonlyArray<readonly [path: string, result: 'fits' | 'warns' | 'throws', options?: RefreshCookieOptions]> = [
    ['/', 'fits'],
    ['/api', 'fits'],
    ['/api/auth', 'fits'],
    ['/api/auth/', 'fits'],
    ['/api/auth/refresh', 'throws'],
    ['/api/auth/refresh/', 'warns'],
    ['/api/auth/session/', 'warns', { routes: { refresh: '/session', logout: '/session/logout' } }],
    ['/api/auth/refresh', 'fits', { routes: { logout: false } }],
    ['/elsewhere', 'fits', { routes: { refresh: false } }],
    ['/api/auth/token', 'fits', { routes: { refresh: '/token/refresh', logout: '/token/logout' } }],
    ['/api/auth/logout', 'warns'],
    ['/elsewhere', 'warns', {}] // as a browser sees it, on the other side of a proxy
  ]
  for (const [path, result, options] of PATHS) {
    const warnings: object[] = []
    const app = Fastify({ logger: { level: 'warn', stream: { write: line => { warnings.push(JSON.parse(line)) } } } })
    app.register(async api => { await api.register(refreshCookie, { secret: SECRET, cookie: { path }, ...options }) }, { prefix: '/api' })
    const ready = async (): Promise<unknown> => await app.ready()
    if (result === 'throws') await t.rejects(ready(), { name: 'TypeError', message: `option "cookie.path" is '${path}': browsers would not send the cookie to '/api/auth/logout', so a logout would end no session: set it to '/api/auth', or leave it out` })
    else await t.resolves(ready(), path)
    t.match(warnings, result === 'warns' ? exactly({ code: 'FST_AUTH_WARN_COOKIE_PATH', path, refresh: `/api/auth${options?.routes?.refresh || '/refresh'}` }) : exactly())
    await app.close()
  }
})

t.test('session fixation: a cookie name that begins with the byte 0xA0 is ignored, so it neither logs in nor locks out', async t => {
  const { app, browser } = await server(t)
  const [ada, mallory] = [browser(), browser()]
  await ada.signup('ada')
  await mallory.signup('mallory')
  // Set by a sibling sub-domain with Domain: browsers do not apply the rules of "__Host-" to this name.
  const tossed = `\u00a0${COOKIE}=${mallory.cookie()}`
  const refresh = async (cookie: string): Promise<Answer> => await app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie } })
  t.match((await refresh(tossed)).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  for (const cookie of [`${tossed}; ${COOKIE}=${ada.cookie()}`, `${COOKIE}=${ada.cookie()}; ${tossed}`]) {
    t.equal(payloadOf((await refresh(cookie)).json().access_token)['sub'], '1')
  }
})

/** A browser (RFC 6265), and the app on one host before and after its settings changed. */
async function changed (t: Test, before: Partial<RefreshCookieOptions>, after: Partial<RefreshCookieOptions>, host = 'api.app.example') {
  const clock = testClock()
  const shared = { clock, users: userTable(), store: memoryStore({ clock }) }
  const apps = { before: await server(t, { ...shared, ...before }), after: await server(t, { ...shared, ...after }) }
  const jar = new CookieJar(undefined, { prefixSecurity: 'strict' })
  const post = async (when: 'before' | 'after', path: string, at = host): Promise<Answer> => {
    const url = `https://${at}/auth${path}`
    const payload = path === '/login' || path === '/signup' ? { username: 'ada', password: PASSWORD } : undefined
    const answer = await apps[when].app.inject({ method: 'POST', url: `/auth${path}`, headers: { host: at, cookie: await jar.getCookieString(url) }, ...(payload && { payload }) })
    for (const line of setCookies(answer)) await jar.setCookie(line, url)
    return answer
  }
  return { ...apps, clock, jar, post }
}

/** Cookie settings before and after a deployment. */
const CHANGES: Array<[before: RefreshCookieOptions['cookie'], after: RefreshCookieOptions['cookie']]> = [
  [{ domain: 'app.example' }, { domain: 'api.app.example' }],
  [{ domain: 'api.app.example' }, { domain: 'app.example' }],
  [{ path: '/auth' }, { path: '/auth/' }],
  [{ name: 'sid', path: '/auth' }, { name: 'sid' }],
  [{ name: 'sid' }, { name: 'sid', path: '/auth' }],
  [{ name: 'sid' }, { name: 'sid', domain: 'app.example' }]
]

for (const [before, after] of CHANGES) {
  t.test(`a deployment with ${JSON.stringify(after)} after ${JSON.stringify(before)} logs nobody out`, async t => {
    const { post, clock, jar } = await changed(t, { cookie: before }, { cookie: after })
    t.match(await post('before', '/signup'), { statusCode: 201 })
    for (const [path, statusCode] of [['/refresh', 200], ['/refresh', 200], ['/login', 200], ['/refresh', 200], ['/refresh', 200], ['/logout', 204], ['/refresh', 401], ['/login', 200], ['/refresh', 200]] as const) {
      clock.wait('1m')
      t.match(await post('after', path), { statusCode }, path)
    }
    t.equal((await jar.getCookies('https://api.app.example/auth/refresh')).length, 2, 'while the browser still sends the former cookie')
  })

  t.test(`a former cookie ${JSON.stringify(before)} is cleared by refresh, login and logout`, async t => {
    for (const path of ['/refresh', '/login', '/logout']) {
      const former = [{ ...before }]
      const { post, clock, jar } = await changed(t, { cookie: before }, { cookie: { ...after, former } })
      await post('before', '/signup')
      clock.wait('1m')
      t.match(await post('after', path), { statusCode: path === '/logout' ? 204 : 200 })
      // The former cookie may have another name, which is no longer read.
      t.equal((await jar.getCookies('https://api.app.example/auth/refresh')).length, path === '/logout' ? 0 : 1, path)
    }
  })
}

t.test('a held refresh clears no former cookie, since some cookie jars treat it as the current one', async t => {
  const { post } = await changed(t, { cookie: { name: 'sid', domain: 'api.app.example' } }, { cookie: { name: 'sid', former: [{ domain: 'api.app.example' }] } })
  await post('after', '/signup')
  t.strictSame(setCookies(await post('after', '/refresh')), [])
})

t.test('cookie tossing: a cookie of a parent domain that another secret signed is ignored', async t => {
  const { post, clock } = await changed(t, { cookie: { domain: 'app.example' } }, { cookie: { domain: 'staging.app.example' }, secret: 'm'.repeat(3) + SECRET })
  await post('before', '/signup')
  for (const [path, statusCode] of [['/refresh', 401], ['/login', 200], ['/refresh', 200], ['/logout', 204], ['/login', 200], ['/refresh', 200]] as const) {
    clock.wait('1m')
    t.match(await post('after', path, 'api.staging.app.example'), { statusCode }, path)
  }
})

t.test('the cookie has Expires beside Max-Age, by the clock of the app, unless it ends with the browser', async t => {
  const { ada, browser } = await loggedIn(t)
  t.match(setCookies(await ada.login('ada')), exactly(/; Expires=Thu, 08 Jan 2026 00:00:00 GMT/))
  t.notMatch(setCookies(await browser().login('ada', { remember: false })), /Expires/)
  t.match(setCookies(await ada.logout()), exactly(/; Max-Age=0; .*Expires=Thu, 01 Jan 1970 00:00:00 GMT/))
})

t.test('Java\'s cookie jar: a cookie in double quotes refreshes and logs out', async t => {
  const { app, ada, wait } = await loggedIn(t)
  const post = async (url: string, value = ''): Promise<Answer> => await app.inject({ method: 'POST', url, headers: { cookie: `$Version="1"; ${COOKIE}="${value}";$Path="/"` } })
  wait('30s')
  const refreshed = await post('/auth/refresh', ada.cookie())
  t.match(refreshed, { statusCode: 200 })
  const { value } = cookieOf(refreshed)
  t.match(await post('/auth/logout', value), { statusCode: 204 })
  t.match((await post('/auth/refresh', value)).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('a logout with an unreadable cookie ends no session and emits logout_failed', async t => {
  const { app, ada, events } = await loggedIn(t)
  const logout = async (headers: Record<string, string>): Promise<void> => {
    events.splice(0)
    t.match(await app.inject({ method: 'POST', url: '/auth/logout', headers }), { statusCode: 204 })
  }
  await logout({ cookie: `${COOKIE}=garbage` })
  t.match(events, exactly({ type: 'logout_failed' }))
  await logout({})
  t.match(events, exactly())
  await logout({ cookie: `${COOKIE}=garbage; ${COOKIE}=${ada.cookie()}` })
  t.match(events, exactly({ type: 'logout', subject: '1' }))
})

t.test('cookies of the app stay, and of the refresh cookie the last one', async t => {
  const { browser } = await server(t, {}, {}, app => {
    app.post('/raw', async ({ auth }, reply) => {
      reply.header('set-cookie', 'theme=dark; Path=/')
      reply.header('set-cookie', 'lang=en')
      await auth.login('1')
      await auth.login('2')
      reply.header('set-cookie', ['a=1', `x${COOKIE}=2`])
      return {}
    })
    app.post('/clear', async ({ auth }, reply) => {
      reply.header('set-cookie', 'theme=dark; Path=/')
      await auth.login('1')
      await auth.logout()
      return {}
    })
  })
  const ada = browser()
  await ada.signup('ada')
  await browser().signup('bob')
  const post = async (url: string): Promise<SetCookie[]> => setCookies(await ada.send({ method: 'POST', url })).map(read)
  const raw = await post('/raw')
  t.strictSame(raw.map(({ name }) => name), ['theme', 'lang', COOKIE, 'a', `x${COOKIE}`])
  t.match(payloadOf(raw[2]?.value), { sub: '2' })
  t.match(await post('/clear'), exactly({ name: 'theme' }, { name: COOKIE, value: '', attributes: exactly('HttpOnly', 'Max-Age=0', 'Path=/', 'SameSite=Strict', 'Secure') }))
})

t.test('@fastify/cookie of the host sets its cookies, and its options do not affect the refresh cookie', async t => {
  const s = await server(t, {}, {}, app => {
    app.register(async scope => {
      await scope.register(fastifyCookie, { secret: 'a secret of the host', parseOptions: { domain: 'evil.example', httpOnly: false, secure: false, signed: true, path: '/elsewhere' } })
      scope.post('/theme', async ({ auth }, reply) => {
        reply.setCookie('theme', 'dark')
        await auth.login('1')
        reply.setCookie('lang', 'en')
        return {}
      })
    })
  })
  await s.browser().signup('ada')
  const cookies = setCookies(await s.app.inject({ method: 'POST', url: '/theme' })).map(read)
  t.strictSame(cookies.map(({ name }) => name).sort(), [COOKIE, 'lang', 'theme'])
  t.strictSame(cookies.find(({ name }) => name === COOKIE)?.attributes, ['HttpOnly', `Max-Age=${WEEK}`, 'Path=/', 'SameSite=Strict', 'Secure'])
})

t.test('information leak: the refresh token is in no body and no other header', async t => {
  const { ada, wait } = await loggedIn(t)
  wait('30s')
  const requests = [() => ada.signup('bob'), () => ada.login('ada'), () => ada.refresh(), () => ada.get('/auth/sessions'), () => ada.get('/me')]
  for (const send of requests) {
    const answer = await send()
    const { 'set-cookie': _, ...headers } = answer.headers
    t.ok(answer.statusCode < 300)
    t.notMatch(JSON.stringify([answer.body, headers]), String(ada.cookie()))
  }
})

t.test('the cookie stays below the size limit of browsers, for the longest subject', async t => {
  const sub = 'ü'.repeat(255)
  const { app } = await server(t, { users: {} }, {}, app => {
    app.post('/enter', async ({ auth }) => await auth.login(sub, { claims: { roles: Array(400).fill('reader') }, remember: false }))
  })
  const { name, value } = cookieOf(await app.inject({ method: 'POST', url: '/enter' }))
  t.equal(payloadOf(value)['sub'], sub)
  t.ok(name.length + value.length <= 4096, 'RFC 6265bis section 5.6')
})

t.test('two registrations with two cookie names keep two sessions in one jar', async t => {
  const inner = { secret: SECRET, users: userTable(), clock: testClock(), passwords: FAST_HASHING, prefix: '/admin', cookie: { name: '__Host-admin' } }
  const { app, browser } = await server(t, {}, {}, app => { app.register(async scope => { await scope.register(refreshCookie, inner) }) })
  const ada = browser()
  const admin = openBrowser(app, ada.jar, '/admin')
  await ada.signup('ada')
  await admin.signup('root')
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match(await admin.logout(), { statusCode: 204 })
  t.match((await admin.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  t.match(await ada.refresh(), { statusCode: 200 })
})
