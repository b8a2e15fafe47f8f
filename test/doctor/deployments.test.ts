import { generateKeyPairSync } from 'node:crypto'
import { type OutgoingHttpHeaders } from 'node:http'
import cors from '@fastify/cors'
import t from 'tap'
import { exactly } from '../support/exactly.js'
import { PASSWORD, SECRET } from '../support/server.js'
import { ACCOUNT, doctor, examined, listening, proxy, type Proxying } from './deployment.js'

const PAGE = 'https://app.example'

t.test('a healthy deployment', async t => {
  const { port, users, events, store } = await listening(t)
  const url = await proxy(t, port)

  t.test('has no finding', async t => {
    t.match(await examined([url]), {
      code: 0,
      findings: exactly(),
      rows: {
        cookie: 'ok: __Host-Http-refresh; path=/; httponly; secure; samesite=Strict',
        caching: 'ok: Cache-Control: no-store',
        login: 'skipped: needs DOCTOR_USERNAME and DOCTOR_PASSWORD'
      }
    })
  })

  t.test('is not changed without an account', async t => {
    const calls = [users.calls.length, store.calls.length]
    events.length = 0
    await doctor([url])
    t.same([users.calls.length, store.calls.length], calls)
    t.same(events.map(({ type }) => type), ['cross_site_refused', 'cross_site_refused', 'cross_site_refused', 'refresh_refused'])
  })

  t.test('is walked with an account, whose session ends', async t => {
    t.match(await examined([url], ACCOUNT), {
      code: 0,
      findings: exactly(),
      rows: {
        timing: 'ok: no difference beyond noise: a failed login takes 0 ms for a known name, 0 ms for an unknown one',
        refresh: 'ok: POST /refresh answered 200',
        grace: 'ok: the same refresh token again: 200',
        logout: 'ok: POST /logout answered 204 and cleared the cookie',
        'session end': 'ok: a refresh after the logout answered 401 FST_AUTH_SESSION_ENDED'
      }
    })
  })

  t.test('shows a table that names the findings', async t => {
    const { code, output } = await doctor([url])
    t.equal(code, 0)
    t.match(output, /^http:\/\/localhost:\d+\/auth\n\ntls +- +plain http to this machine\nclock +ok +Date/)
    t.match(output, /\n\n0 findings, 8 ok, 4 not checked$/)
  })
})

/** Replaces a text in each Set-Cookie line. */
const inCookies = (found: string | RegExp, by = '') => (headers: OutgoingHttpHeaders) => {
  const lines = [headers['set-cookie'] ?? []].flat()
  if (lines.length > 0) headers['set-cookie'] = lines.map(line => String(line).replace(found, by))
}

/** As Cloudflare Access does. */
function addJwt (headers: OutgoingHttpHeaders): void {
  headers['set-cookie'] = [...[headers['set-cookie'] ?? []].flat().map(String), 'CF_Authorization=eyJ; Path=/']
}

/** A fault, the finding it makes, and the proxy that has it. */
const FAULTS: ReadonlyArray<readonly [fault: string, expected: RegExp, proxying: Proxying, env?: typeof ACCOUNT]> = [
  ['strips the prefix', /^route: the app received \/refresh instead of \/auth\/refresh$/, { path: path => path.replace('/auth', '') }],
  ['sends another page for every path', /^route: POST \/auth\/refresh answered 200, text\/html$/, { path: () => '/page' }],
  ['answers 404 itself', /^route: POST \/auth\/refresh answered 404$/, { path: () => '/gone' }],
  ['answers without a type', /^route: POST \/auth\/refresh answered 200, no content$/, { path: () => '/nothing' }],
  ['redirects', /^route: POST \/auth\/refresh answered 302 to https:\/\/elsewhere\.example$/, { path: () => '/moved' }],
  ['cannot reach the app', /^route: POST \/auth\/refresh answered 500$/, { path: () => '/broken' }],
  ['rewrites Host and drops Sec-Fetch-Site', /^route: POST \/auth\/refresh answered 403 FST_AUTH_CROSS_SITE$/, { request: headers => { headers.host = 'upstream'; delete headers['sec-fetch-site'] } }],
  ['rewrites Host', /^host: a page of \S+ is refused by its Origin \(403 FST_AUTH_CROSS_SITE\), and the app received Host: upstream:3000$/, { request: headers => { headers.host = 'upstream:3000' } }],
  ['rewrites Host and replies', /^host: a page of \S+ is refused by its Origin \(403 FST_AUTH_CROSS_SITE\)$/, { request: headers => { headers.host = 'upstream' }, body: body => body.replace(/its Host is/, '') }],
  ['drops Origin', /^origin: a page of another site got 204$/, { request: headers => { delete headers.origin } }],
  ['drops Sec-Fetch-Site', /^fetch metadata: Sec-Fetch-Site: cross-site got 204$/, { request: headers => { delete headers['sec-fetch-site'] } }],
  ['reflects any CORS origin', /^cors: any origin may use the cookie \(Access-Control-Allow-Origin: https:\/\/another-site\.invalid with credentials\)$/, {
    reply: (headers, { headers: { origin } }) => Object.assign(headers, { 'access-control-allow-origin': origin ?? '', 'access-control-allow-credentials': 'true' })
  }],
  ['allows * with credentials', /^cors: Access-Control-Allow-Origin: \* with credentials, which browsers refuse$/, { reply: headers => Object.assign(headers, { 'access-control-allow-origin': '*', 'access-control-allow-credentials': 'true' }) }],
  ['drops Set-Cookie', /^cookie: a logout sets no cookie$/, { reply: headers => { delete headers['set-cookie'] } }],
  ['drops HttpOnly', /^cookie: .*: scripts can read it$/, { reply: inCookies('; HttpOnly') }],
  ['drops Secure', /^cookie: .*: it is sent over plain http too$/, { reply: inCookies('; Secure') }],
  ['drops SameSite', /^cookie: .*: it has no SameSite$/, { reply: inCookies('; SameSite=Strict') }],
  ['adds a Domain', /^cookie: .*: browsers reject this name/, { reply: inCookies(/$/, '; Domain=app.example') }],
  ['rewrites the Path', /^cookie: .*: browsers reject this name/, { reply: inCookies('Path=/', 'Path=/internal') }],
  ['drops the Path', /^cookie: .*: browsers reject this name/, { reply: inCookies('; Path=/') }],
  ['drops the Path of any other name', /^$/, { reply: inCookies(/__Host-Http-(.*); Path=\//, '$1') }],
  ['rewrites the Path of any other name', /^cookie: .*: browsers do not send it to \/auth\/refresh$/, { reply: inCookies(/__Host-Http-(.*)Path=\//, '$1Path=/internal') }],
  ['sets another cookie', /^$/, { reply: headers => { headers['set-cookie'] = [...[headers['set-cookie'] ?? []].flat().map(String), 'lb=1; Path=/'] } }],
  ['sets a JWT of its own', /^$/, { reply: addJwt }, ACCOUNT],
  ['sets a JWT of its own in place of the refresh cookie', /^login: POST \/login answered 200 without a refresh cookie$/, { reply: (headers, { path }) => { if (path === '/auth/login') headers['set-cookie'] = ['CF_Authorization=eyJ; Path=/'] } }, ACCOUNT],
  ['keeps Set-Cookie without a cookie', /^cookie: a logout sets no cookie$/, { reply: (headers, { path, headers: { cookie } }) => { if (path === '/auth/logout' && cookie === undefined) delete headers['set-cookie'] } }, ACCOUNT],
  ['adds cache headers', /^caching: Cache-Control: public, max-age=60$/, { reply: headers => { headers['cache-control'] = 'public, max-age=60' } }],
  ['removes cache headers', /^caching: Cache-Control: nothing$/, { reply: headers => { delete headers['cache-control'] } }],
  ['answers from a cache', /^caching: a reply came from a cache$/, { reply: headers => { headers.age = '7' } }],
  ['answers from a CDN', /^caching: a reply came from a cache$/, { reply: headers => { headers['cf-cache-status'] = 'HIT' } }],
  ['has a late clock', /^clock: the server is 9 s behind this machine$/, { reply: headers => { headers.date = new Date(Date.parse(String(headers.date)) - 10_000).toUTCString() } }],
  ['has an early clock', /^clock: the server is 10 s ahead of this machine$/, { reply: headers => { headers.date = new Date(Date.parse(String(headers.date)) + 10_000).toUTCString() } }],
  ['has no clock', /^$/, { reply: headers => { headers.date = 'soon' } }],
  ['answers unknown names differently', /^timing: a failed login answers 401 FST_AUTH_CREDENTIALS_INVALID for a known name and 401 NO_SUCH_USER for an unknown one$/, unknownNames(), ACCOUNT],
  ['keeps Set-Cookie of a login', /^login: POST \/login answered 200 without a refresh cookie$/, { reply: (headers, { path }) => { if (path === '/auth/login') delete headers['set-cookie'] } }, ACCOUNT],
  ['drops Cookie', /^refresh: POST \/refresh answered 401 FST_AUTH_REFRESH_TOKEN_MISSING grace: the same refresh token again: 401 FST_AUTH_REFRESH_TOKEN_MISSING$/, { request: headers => { delete headers.cookie } }, ACCOUNT],
  ['renames the cookie of a login', /^logout: POST \/logout answered 204, and browsers keep the cookie$/, { reply: (headers, { path }) => { if (path === '/auth/login') inCookies('Path=/', 'Path=/; Partitioned')(headers) } }, ACCOUNT],
  ['drops Set-Cookie of a logout with a cookie', /^logout: POST \/logout answered 204, and browsers keep the cookie$/, { reply: (headers, { headers: { cookie } }) => { if (cookie !== undefined) delete headers['set-cookie'] } }, ACCOUNT]
]

/** A proxy that answers 401 with another code for names that are unknown. */
function unknownNames (): Proxying {
  let logins = 0
  return { body: (body, path) => path === '/auth/login' && ++logins % 2 === 1 ? body.replace('FST_AUTH_CREDENTIALS_INVALID', 'NO_SUCH_USER') : body }
}

t.test('a proxy that', async t => {
  const { port } = await listening(t, {}, app => {
    app.post('/page', async (_request, reply) => await reply.type('text/html').send('a page'.repeat(20_000)))
    app.post('/gone', async (_request, reply) => await reply.code(404).type('text/html').send('gone'))
    app.post('/nothing', async (_request, reply) => await reply.send())
    app.post('/moved', async (_request, reply) => reply.redirect('https://elsewhere.example'))
    app.post('/broken', async () => { throw new Error('broken') })
  })
  for (const [fault, expected, proxying, env] of FAULTS) {
    t.test(fault, async t => {
      const { findings, code } = await examined([await proxy(t, port, proxying)], env)
      t.match(findings.join(' '), expected)
      t.equal(code, findings.length === 0 ? 0 : 1)
    })
  }
})

t.test('a URL under which the plugin is not registered', async t => {
  const { port } = await listening(t)
  t.match((await examined([`${await proxy(t, port)}/api/auth/`], ACCOUNT)).findings, exactly('route: the app has no route POST /api/auth/refresh'))
})

t.test('pages of another origin', async t => {
  const origin = ['--origin', PAGE]

  t.test('are fine where they are trusted and CORS names them', async t => {
    const { port } = await listening(t, { trustedOrigins: [PAGE], cookie: { sameSite: 'none' } }, () => {}, app => { app.register(cors, { origin: [PAGE], credentials: true }) })
    t.match(await examined([await proxy(t, port), ...origin]), { findings: exactly(), rows: { cors: `ok: ${PAGE} alone may use the cookie` } })
  })

  t.test('are a finding where they are not trusted', async t => {
    const { port } = await listening(t)
    t.match((await examined([await proxy(t, port), ...origin])).findings, exactly('route: POST /auth/refresh answered 403 FST_AUTH_CROSS_SITE'))
  })

  const grants: ReadonlyArray<readonly [headers: OutgoingHttpHeaders, expected: string]> = [
    [{}, `cors: ${PAGE} is not allowed (Access-Control-Allow-Origin: nothing)`],
    [{ 'access-control-allow-origin': PAGE }, `cors: ${PAGE} is allowed without credentials`],
    [{ 'access-control-allow-origin': PAGE, 'access-control-allow-credentials': 'true' }, `cors: ${PAGE} may not send Content-Type`]
  ]
  for (const [headers, expected] of grants) {
    t.test(expected, async t => {
      const { port } = await listening(t, { trustedOrigins: [PAGE], cookie: { sameSite: 'none', partitioned: true } })
      t.match((await examined([await proxy(t, port, { reply: received => Object.assign(received, headers) }), ...origin])).findings, exactly(expected))
    })
  }
})

t.test('public keys', async t => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { port } = await listening(t, { refreshToken: { secret: SECRET }, secret: undefined, keys: [{ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey }], routes: { jwks: '/jwks' } })
  const published = (body: string) => async (): Promise<string[]> => (await examined([await proxy(t, port, { body: (text, path) => path === '/auth/jwks' ? body : text })])).findings

  t.match((await examined([await proxy(t, port)])).rows, { jwks: 'ok: 1 public key' })
  t.match(await published('{"keys":[{"kid":"k1","alg":"ES256"},{"kid":"k2","alg":"ES256","d":"x"}]}')(), exactly('jwks: GET /jwks publishes a private key'))
  t.match(await published('{"keys":[null,{"kid":"k1"}]}')(), exactly('jwks: GET /jwks has no key with kid and alg'))
  t.match(await published('<html>')(), exactly('jwks: GET /jwks answered 200 without keys'))
})

t.test('two public keys are counted', async t => {
  const { port } = await listening(t, {}, app => { app.get('/auth/jwks', async () => ({ keys: [{ kid: 'a', alg: 'ES256' }, { kid: 'b', alg: 'ES256' }] })) })
  t.match((await examined([await proxy(t, port)])).rows, { jwks: 'ok: 2 public keys' })
  const closed = await listening(t, {}, app => { app.get('/auth/jwks', async (_request, reply) => await reply.code(401).send({})) })
  t.match((await examined([await proxy(t, closed.port)])).rows, { jwks: 'skipped: GET /jwks is not served' }, 'an app whose hook covers unknown paths')
})

t.test('native apps', async t => {
  const { port } = await listening(t, { refreshToken: { transport: 'body' } })
  t.match(await examined([await proxy(t, port)], ACCOUNT), {
    findings: exactly(),
    rows: { cookie: 'skipped: refresh tokens are sent in bodies', login: 'ok: POST /login answered 200 with the refresh token in its body', logout: 'skipped: the login set no cookie' }
  })
})

t.test('a wrong password of the account', async t => {
  const { port } = await listening(t)
  t.match((await examined([await proxy(t, port)], { ...ACCOUNT, DOCTOR_PASSWORD: 'a wild guess' })).findings, exactly('login: POST /login answered 401 FST_AUTH_CREDENTIALS_INVALID'))
})

t.test('a field of another name', async t => {
  const { port, app } = await listening(t, { accounts: { usernameField: 'email' } })
  await app.inject({ method: 'POST', url: '/auth/signup', payload: { email: 'ada', password: PASSWORD } })
  t.match((await examined([await proxy(t, port), '--username-field', 'email'], ACCOUNT)).findings, exactly())
})

t.test('an account that reached its rate limit', async t => {
  const { port } = await listening(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
  t.match(await examined([await proxy(t, port)], ACCOUNT), {
    findings: exactly('login: POST /login answered 429 FST_AUTH_TOO_MANY_ATTEMPTS'),
    rows: { timing: 'skipped: too many attempts: wait for the rate limit, and run again' }
  })
})

t.test('refresh tokens that work once', async t => {
  const { port } = await listening(t, { refreshToken: { grace: 0, recoverLostReply: false } })
  t.match((await examined([await proxy(t, port)], ACCOUNT)).findings, exactly('grace: the replaced refresh token again: 401 FST_AUTH_REFRESH_TOKEN_REUSED'))
})

t.test('sessions that outlive a logout', async t => {
  const { port } = await listening(t)
  t.match((await examined([await proxy(t, port, { path: path => path === '/auth/logout' ? '/auth/refresh' : path })], ACCOUNT)).findings.at(-1), /^session end: a refresh after the logout answered 200$/)
})
