import t from 'tap'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { FAST_HASHING, forget, HOST, loggedIn, ORIGIN, PASSWORD, server, sessionOf, setCookies, type Answer, type LoggedIn } from '../support/server.js'

const REFUSED = { statusCode: 403, code: 'FST_AUTH_CROSS_SITE' }
const TRUSTED = 'https://admin.example'

/** Every state-changing route, with a request that succeeds. */
const CHANGING: Array<{ method: 'POST' | 'DELETE', path: string, payload?: object }> = [
  { method: 'POST', path: '/auth/signup', payload: { username: 'bob', password: PASSWORD } },
  { method: 'POST', path: '/auth/login', payload: { username: 'ada', password: PASSWORD } },
  { method: 'POST', path: '/auth/refresh' },
  { method: 'POST', path: '/auth/logout' },
  { method: 'POST', path: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'another good password' } },
  { method: 'POST', path: '/auth/reauthenticate', payload: { password: PASSWORD } },
  { method: 'DELETE', path: '/auth/sessions' },
  { method: 'DELETE', path: '/auth/sessions/:id' }
]

/** Requests without a cookie by site, origin and host: 401 if the CSRF policy lets them pass. */
const WIRE: ReadonlyArray<readonly [options: RefreshCookieOptions, headers: Record<string, string>, status: number]> = [
  [{}, { host: HOST }, 401],
  [{}, { host: `${HOST}:8443`, origin: `${ORIGIN}:8443` }, 401],
  [{}, { host: HOST, origin: `${ORIGIN}:8443` }, 403],
  [{}, { host: HOST, origin: ORIGIN, 'sec-fetch-site': 'cross-site' }, 403],
  [{}, { host: HOST, origin: TRUSTED }, 403],
  [{ trustedOrigins: [TRUSTED] }, { host: HOST, origin: TRUSTED, 'sec-fetch-site': 'cross-site' }, 401],
  [{ trustedOrigins: [TRUSTED], cookie: { sameSite: 'none' } }, { host: HOST }, 403],
  [{ trustedOrigins: [TRUSTED], cookie: { sameSite: 'none' } }, { host: HOST, 'sec-fetch-site': 'same-origin' }, 401]
]

t.test('CSRF: the policy gets Sec-Fetch-Site, Origin, Host and the options', async t => {
  for (const [options, headers, status] of WIRE) {
    const { app } = await server(t, options)
    t.match(await app.inject({ method: 'POST', url: '/auth/refresh', headers }), { statusCode: status }, JSON.stringify([options, headers]))
  }
})

/** Requests of other sites' pages, as browsers send them. */
const FOREIGN: Array<Record<string, string>> = [
  { 'sec-fetch-site': 'cross-site', origin: `http://${HOST}` },
  { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
  { 'sec-fetch-site': 'same-site', origin: 'https://blog.app.example' },
  { 'sec-fetch-site': 'cross-site', origin: 'null' },
  { 'sec-fetch-site': 'cross-site' },
  { origin: 'https://evil.example' },
  { origin: 'null' }
]

for (const { method, path, payload } of CHANGING) {
  t.test(`CSRF: ${method} ${path} from another site has no effect`, async t => {
    let checked = 0
    const s = await loggedIn(t, { passwords: { ...FAST_HASHING, check: () => { checked++ } } })
    s.wait('5m')
    forget(s.events)
    checked = 0
    for (const headers of FOREIGN) {
      const answer = await send(s, headers)
      t.match(answer.json(), REFUSED)
      t.match(answer.headers, { 'cache-control': 'no-store', 'set-cookie': undefined, 'www-authenticate': undefined })
    }
    t.strictSame([...s.store.calls, ...s.users.calls], [])
    t.equal(checked, 0)
    t.strictSame(s.events.map(({ type }) => type), FOREIGN.map(() => 'cross_site_refused'))

    t.match(await s.ada.get('/auth/sessions'), { statusCode: 200 })
    const own = await send(s, { origin: ORIGIN, 'sec-fetch-site': 'same-origin' })
    t.ok(own.statusCode < 300, 'and the same request of our own page succeeds')
  })

  async function send (s: LoggedIn, headers: Record<string, string>): Promise<Answer> {
    const cookie = String(s.ada.jar.header('/auth'))
    return await s.app.inject({
      method,
      url: path.replace(':id', sessionOf(s.ada)),
      headers: { host: HOST, cookie, authorization: `Bearer ${String(s.ada.accessToken)}`, ...headers },
      ...(payload && { payload })
    })
  }
}

t.test('CSRF: with a SameSite=None cookie the refusal asks for the missing Origin header', async t => {
  const { app } = await loggedIn(t, { cookie: { sameSite: 'none' }, trustedOrigins: [TRUSTED] })
  const answer = await app.inject({ method: 'POST', url: '/auth/logout' })
  t.match(answer.json(), { ...REFUSED, message: /^This request has no Origin header/ })
})

t.test('CSRF: the body of a request of another site is not parsed', async t => {
  const { app } = await loggedIn(t)
  const headers = { host: HOST, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  const bodies: Array<[type: string, payload: string]> = [
    ['text/plain', `{"username":"ada","password":"${PASSWORD}"}`],
    ['application/x-www-form-urlencoded', `username=ada&password=${PASSWORD}`],
    ['multipart/form-data; boundary=x', '--x--'],
    ['application/json', '{'],
    ['application/json', ' '.repeat(17 * 1024)]
  ]
  for (const [type, payload] of bodies) {
    const answer = await app.inject({ method: 'POST', url: '/auth/login', headers: { ...headers, 'content-type': type }, payload })
    t.match(answer.json(), REFUSED, type)
  }
})

t.test('login CSRF: an http page of the same host cannot log in over https', async t => {
  const { app, store } = await loggedIn(t)
  const login = async (site: string): Promise<Answer> => await app.inject({
    method: 'POST',
    url: '/auth/login',
    headers: { host: HOST, origin: `http://${HOST}`, 'sec-fetch-site': site },
    payload: { username: 'ada', password: PASSWORD }
  })
  const answer = await login('cross-site')
  t.match(answer.json(), REFUSED)
  t.strictSame([setCookies(answer), store.calls], [[], []])
  t.match(await login('same-origin'), { statusCode: 200 }, 'and the page whose origin a proxy changed to http logs in')
})

t.test('CSRF: reading is not refused, since other sites cannot read the response', async t => {
  const { ada } = await loggedIn(t)
  for (const headers of FOREIGN) {
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await ada.send({ method, url: '/auth/sessions', headers })
      t.match(answer, { statusCode: 200, headers: { 'access-control-allow-origin': undefined } })
    }
  }
})

t.test('CORS: no route of the plugin sends CORS headers', async t => {
  const { app } = await loggedIn(t, { trustedOrigins: [TRUSTED] })
  const preflight = { origin: TRUSTED, 'access-control-request-method': 'POST' }
  const answers = [
    await app.inject({ method: 'OPTIONS', url: '/auth/login', headers: preflight }),
    await app.inject({ method: 'POST', url: '/auth/login', headers: { origin: TRUSTED }, payload: { username: 'ada', password: PASSWORD } })
  ]
  t.strictSame(answers.map(({ statusCode }) => statusCode), [404, 200])
  for (const { headers } of answers) t.strictSame(Object.keys(headers).filter(name => name.startsWith('access-control')), [])
})

t.test('CSRF: routes of the app are not checked by the plugin', async t => {
  const { ada } = await loggedIn(t)
  t.match(await ada.send({ method: 'GET', url: '/me', headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } }), { statusCode: 200 })
})
