import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import Fastify, { type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { type RefreshCookieOptions } from '../../lib/index.js'
import { loggedIn, ORIGIN, SECRET, server, userTable } from '../support/server.js'

const PHONE = 'http://192.168.1.7:5173'
const UPSTREAM = 'localhost:3000'
const REFUSED = 'This request comes from another site: add its origin to trustedOrigins if it is yours'
const MISSING = 'No refresh token was sent: log in'

/** The reply to a page of one origin, from a server that sees another Host. */
async function refresh (t: Test, headers: Record<string, string>, options: RefreshCookieOptions = {}, fastifyOptions: FastifyServerOptions = {}) {
  const { app } = await server(t, options, fastifyOptions)
  return await app.inject({ method: 'POST', url: '/auth/refresh', headers })
}

async function inProduction (t: Test, headers: Record<string, string>) {
  const before = process.env['NODE_ENV']
  t.teardown(() => before === undefined ? delete process.env['NODE_ENV'] : Object.assign(process.env, { NODE_ENV: before }))
  process.env['NODE_ENV'] = 'production'
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret: SECRET })
  return await app.inject({ method: 'POST', url: '/auth/refresh', headers })
}

t.test('CSRF policy behind a proxy that changes Host: outside production the refusal names both hosts and the fix', async t => {
  const answer = await refresh(t, { origin: PHONE, host: UPSTREAM })
  t.match(answer.json(), { statusCode: 403, code: 'FST_AUTH_CROSS_SITE', error: 'Forbidden', message: /^This request comes from a page of http:\/\/192\.168\.1\.7:5173, but its Host is localhost:3000\. .*changeOrigin: false.*trustedOrigins/ })
  t.equal(Number(answer.headers['content-length']), Buffer.byteLength(answer.body))
})

t.test('CSRF policy: the refusal of a page of the same host over plain http says so', async t => {
  const answer = await refresh(t, { origin: 'http://app.example', host: 'app.example', 'sec-fetch-site': 'same-site' })
  t.match(answer.json(), { statusCode: 403, message: /^This request comes from a page of http:\/\/app\.example, of the same host but another scheme.*serve all pages over https/ })
})

t.test('CSRF policy: the refusal of a page without an origin names its Referrer-Policy', async t => {
  t.match((await refresh(t, { origin: 'null', host: 'app.example' })).json(), { statusCode: 403, message: /Referrer-Policy: same-origin/ })
})

t.test('CSRF policy: in production the refusal repeats nothing from the request', async t => {
  t.equal((await inProduction(t, { origin: PHONE, host: UPSTREAM })).json().message, REFUSED)
})

t.test('CSRF policy: the refusal names hosts only if both are spelled as browsers spell them', async t => {
  const STRANGE: ReadonlyArray<readonly [origin: string, host: string]> = [
    ['*', UPSTREAM], ['javascript:alert(1)', UPSTREAM], [`${PHONE}/path`, UPSTREAM], ['http://<script>', UPSTREAM], ['http://EVIL.example', UPSTREAM],
    [PHONE, 'a b'], [PHONE, '<script>'], [PHONE, 'user@host'], [PHONE, 'host/path'], [PHONE, 'host?query'], [PHONE, 'HOST'], [PHONE, ''], [PHONE, 'host:99999']
  ]
  for (const [origin, host] of STRANGE) {
    t.equal((await refresh(t, { origin, host })).json().message, REFUSED, JSON.stringify([origin, host]))
  }
  t.equal((await refresh(t, { 'sec-fetch-site': 'cross-site', host: UPSTREAM })).json().message, REFUSED, 'nor without an Origin')
})

t.test('log injection: hosts from the request are not logged', async t => {
  const lines: string[] = []
  await refresh(t, { origin: PHONE, host: UPSTREAM }, {}, { logger: { level: 'trace', stream: { write (line) { lines.push(line) } } } })
  t.match(lines.join(''), REFUSED)
  t.notMatch(lines.join(''), '192.168.1.7')
})

t.test('a cookie of another site: outside production the 401 names SameSite', async t => {
  const page = { origin: 'http://127.0.0.1:5173', 'sec-fetch-site': 'cross-site' }
  const trusting: RefreshCookieOptions = { trustedOrigins: [page.origin] }
  t.match((await refresh(t, page, trusting)).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING', message: /of another site than the API.*127\.0\.0\.1.*sameSite: 'none', partitioned: true/ })
  t.equal((await refresh(t, page, { ...trusting, refreshToken: { transport: 'body' } })).json().message, MISSING, 'no cookie at all')
})

t.test('Secure cookie over plain http: outside production the 401 explains the missing cookie', async t => {
  t.match((await refresh(t, {})).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_MISSING', message: /^No refresh token was sent: log in\. .*rejected the cookie.*plain http.*docs\/cookies\.md/ })
  t.equal((await refresh(t, { origin: ORIGIN, host: 'app.example', 'x-forwarded-proto': 'https' }, {}, { trustProxy: true })).json().message, MISSING, 'https')
  t.equal((await refresh(t, { 'sec-fetch-site': 'same-origin' })).json().message, MISSING, 'a browser that keeps the cookie, as at localhost')
  t.equal((await refresh(t, {}, { cookie: { secure: false } })).json().message, MISSING, 'a cookie that is not Secure')
  t.equal((await refresh(t, {}, { refreshToken: { transport: 'body' } })).json().message, MISSING, 'no cookie at all')
  t.equal((await inProduction(t, {})).json().message, MISSING, 'production')
})

t.test('a cookie.domain that does not cover the host: outside production the 401 says so', async t => {
  const options: RefreshCookieOptions = { cookie: { domain: 'example.com' } }
  for (const host of ['localhost:3000', 'badexample.com', 'example.com.evil.example']) t.match((await refresh(t, { host, 'sec-fetch-site': 'same-origin' }, options)).json(), { message: /cookie\.domain does not cover this host/ }, host)
  for (const host of ['example.com', 'app.EXAMPLE.com:8443']) t.equal((await refresh(t, { host, 'sec-fetch-site': 'same-origin' }, options)).json().message, MISSING, host)
})

t.test('a user who is not found: outside production the 401 names users.findById', async t => {
  const users = userTable()
  let isFound = true
  const { ada } = await loggedIn(t, { users: { ...users, findById: async id => isFound ? await users.findById(id) : null } })
  isFound = false
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED', message: /users\.findById, which gets the id as text, did not find it/ })
})

t.test('an app with its own error handler keeps its error bodies', async t => {
  for (const body of [{ title: 'no' }, { code: 'constructor' }, 'no', '{', 'null', Buffer.from('no')]) {
    const app = Fastify()
    t.teardown(async () => { await app.close() })
    app.setErrorHandler(async (_error, _request, reply) => await reply.code(403).send(body))
    await app.register(refreshCookie, { secret: SECRET })
    const answer = await app.inject({ method: 'POST', url: '/auth/refresh', headers: { origin: PHONE, host: UPSTREAM } })
    t.equal(answer.body, typeof body === 'string' || Buffer.isBuffer(body) ? String(body) : JSON.stringify(body))
  }
})

t.test('CSRF policy behind @fastify/http-proxy: a page on a phone is accepted if the proxy forwards Host', async t => {
  const { app } = await server(t)
  const upstream = await app.listen({ host: '127.0.0.1', port: 0 })
  const statuses: number[] = []
  const keepsHost: FastifyHttpProxyOptions['replyOptions'] = { rewriteRequestHeaders: ({ headers: { host } }, headers) => ({ ...headers, host }) }
  for (const replyOptions of [{}, keepsHost]) {
    const proxy = Fastify()
    t.teardown(async () => { await proxy.close() })
    await proxy.register(httpProxy, { upstream, prefix: '/auth', rewritePrefix: '/auth', replyOptions })
    const answer = await proxy.inject({ method: 'POST', url: '/auth/refresh?optional=true', headers: { origin: PHONE, host: new URL(PHONE).host } })
    statuses.push(answer.statusCode)
  }
  t.strictSame(statuses, [403, 204])
})

t.test("a body of the host's own error handler without a message gets none", async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  app.setErrorHandler((error: Error & { code?: string }, _request, reply) => { reply.code(401).send({ code: error.code }) })
  await app.register(refreshCookie, { secret: SECRET })
  t.strictSame((await app.inject({ method: 'POST', url: '/auth/refresh' })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
})
