import { validateHeaderValue } from 'node:http'
import t from 'tap'
import { runChecks } from '../../lib/doctor/checks.js'
import { examine } from '../../lib/doctor/command.js'
import { type DoctorRequest, type Reply, type Send } from '../../lib/doctor/connection.js'
import { probe, type Target } from '../../lib/doctor/observations.js'
import { formatJson, formatTable } from '../../lib/doctor/report.js'
import { walk } from '../../lib/doctor/walk.js'
import { START } from '../support/server.js'

const DAY = 86_400_000
const TARGET: Target = { base: 'https://app.example/auth', path: '/auth', page: 'https://app.example', site: 'same-origin' }
const ADA = { username: 'ada', password: 'correct horse battery staple', field: 'username' }

/** A reply from another machine over https. */
function reply (more: Partial<Reply> = {}): Reply {
  return { status: 204, headers: {}, body: '', sentAt: START * 1000, endedAt: START * 1000, isLoopback: false, certificateEnds: START * 1000 + 90 * DAY, ...more }
}

/** The result and what was seen of one check, where every reply is the same. */
async function judged (check: string, more: Partial<Reply>, target: Target = TARGET): Promise<string> {
  const row = runChecks(await probe(async () => reply(more), target)).find(row => row.check === check)
  return `${row?.result}: ${row?.seen}`
}

t.test('a page of another site keeps only a cookie with SameSite=None', async t => {
  const target: Target = { ...TARGET, page: 'https://shop.example', site: 'cross-site' }
  const setCookie = (sameSite: string): Partial<Reply> => ({ headers: { 'set-cookie': [`__Host-a=; Path=/; HttpOnly; Secure; SameSite=${sameSite}`] } })
  t.match(await judged('cookie', setCookie('Strict'), target), /^finding: .* browsers do not keep it for https:\/\/shop\.example/)
  t.match(await judged('cookie', setCookie('None'), target), /^ok/)
  t.match(await judged('cookie', setCookie('Strict'), { ...target, site: 'same-site' }), /^ok/)
})

t.test('a certificate that lasts', async t => {
  t.equal(await judged('tls', {}), 'ok: https, the certificate ends in 90 days')
})

t.test('a certificate that ends soon', async t => {
  t.match(await judged('tls', { certificateEnds: START * 1000 + 14 * DAY }), /^ok/)
  t.equal(await judged('tls', { certificateEnds: START * 1000 + 13 * DAY }), 'finding: https, the certificate ends in 13 days')
})

t.test('cleartext transmission: plain http to another machine', async t => {
  t.equal(await judged('tls', { certificateEnds: null }), 'finding: plain http')
})

/** The verdict on the protocol, where a refresh without a token is refused with this code, and a page of another origin with this message. */
async function protocolBy (status: number, code: string, message = ''): Promise<string> {
  const replies = await probe(async ({ path }) => reply(path === '/refresh' ? { status, body: JSON.stringify({ code }) } : { body: JSON.stringify({ message }) }), TARGET)
  const row = runChecks(replies).find(({ check }) => check === 'protocol')
  return `${row?.result}: ${row?.seen}`
}

const EXPLAINED = 'a page of https://a.example, but its Host is app.example. Forward it'

t.test('an app in production does not show what it takes the request for', async t => {
  t.equal(await protocolBy(401, 'FST_AUTH_REFRESH_TOKEN_MISSING'), 'skipped: an app in production does not show it')
})

t.test('an app outside production shows that it takes the request for https', async t => {
  t.equal(await protocolBy(401, 'FST_AUTH_REFRESH_TOKEN_MISSING', EXPLAINED), 'ok: the app takes the request for https')
})

t.test('the protocol of a request that is refused for its origin is unknown', async t => {
  t.equal(await protocolBy(403, 'FST_AUTH_CROSS_SITE', EXPLAINED), 'skipped: the request was refused before its protocol matters: see the other findings')
})

t.test('the path that arrives is read up to its query', async t => {
  const body = (route: string): string => JSON.stringify({ message: `Route POST:${route} not found` })
  t.equal(await judged('route', { status: 404, body: body('/refresh?optional=true') }), 'finding: the app received /refresh instead of /auth/refresh')
  t.equal(await judged('route', { status: 404, body: body('/refresh') }), 'finding: the app received /refresh instead of /auth/refresh')
})

t.test('an app with other cookies, without keys or without a logout has no finding', async t => {
  const setCookie = ['__Host-a=; Path=/; HttpOnly; Secure; SameSite=Strict', 'csrf=; Path=/']
  t.match(await judged('cookie', { headers: { 'set-cookie': setCookie } }), /^ok: __Host-a/)
  t.match(await judged('caching', { headers: { age: '0', 'x-cache': 'MISS', 'cache-control': 'no-store' } }), /^ok/)
  const page = reply({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<html>' })
  const spa: Send = async ({ path }) => path === '/jwks' ? page : reply({ status: path === '/logout' ? 404 : 204, headers: { 'cache-control': 'no-store' } })
  const rows = runChecks(await probe(spa, TARGET))
  t.strictSame(['cookie', 'caching', 'jwks'].map(name => rows.find(({ check }) => check === name)?.result), ['skipped', 'ok', 'skipped'])
})

t.test('pages without an origin, such as sandboxed frames, must not use the cookie', async t => {
  const headers = { 'access-control-allow-origin': 'null', 'access-control-allow-credentials': 'true' }
  t.match(await judged('cors', { headers }), /^finding: pages without an origin may use the cookie/)
})

t.test('a login whose token has another name, and an app without a logout', async t => {
  const renamed: Send = async request => request.path === '/login' && Object(request.json).password === ADA.password
    ? reply({ status: 200, headers: { 'set-cookie': ['__Host-Http-refresh=eyJ; Path=/; HttpOnly; Secure; SameSite=Strict'] }, body: '{"token":"x.y.z"}' })
    : reply({ status: request.path === '/logout' ? 404 : 401, body: '{}' })
  t.match(await walked('login', renamed), /^ok: POST \/login answered 200 with __Host-Http-refresh/)
  t.match(await walked('logout', renamed), /^skipped: POST \/logout is not served/)
  t.equal(await walked('session end', renamed), 'skipped: no logout')
})

t.test('a URL without the prefix of the routes is named first', async t => {
  const shop: Target = { ...TARGET, base: 'https://app.example/shop', path: '/shop' }
  const body = JSON.stringify({ message: 'Route POST:/refresh not found' })
  const row = runChecks(await probe(async () => reply({ status: 404, body }), shop)).find(({ check }) => check === 'route')
  t.match(row, { seen: 'the app received /refresh instead of /shop/refresh', advice: /^Give the URL of the routes: \/shop\/auth/ })
})

t.test('a Domain that does not cover the host is rejected by browsers', async t => {
  const setCookie = (domain: string): Partial<Reply> => ({ headers: { 'set-cookie': [`__Secure-a=; Path=/; Domain=${domain}; HttpOnly; Secure; SameSite=Strict`] } })
  for (const domain of ['other.example', 'pp.example', 'www.app.example']) t.match(await judged('cookie', setCookie(domain)), /browsers reject this Domain from app\.example$/, domain)
  for (const domain of ['app.example', '.APP.example', 'example']) t.match(await judged('cookie', setCookie(domain)), /^ok/, domain)
})

t.test('a refusal of the app itself shows that the proxy changed the path', async t => {
  const row = runChecks(await probe(async () => reply({ status: 401, body: JSON.stringify({ code: 'FST_AUTH_ACCESS_TOKEN_MISSING' }) }), TARGET)).find(({ check }) => check === 'route')
  t.match(row, { result: 'finding', seen: 'POST /auth/refresh answered 401 FST_AUTH_ACCESS_TOKEN_MISSING', advice: /the proxy removes or adds a part of the path/ })
})

t.test('denial of service: the message of a 404 takes linear time', async t => {
  const body = JSON.stringify({ message: `Route POST:${'a'.repeat(1_000_000)}` })
  t.equal(await judged('route', { status: 404, body }), 'finding: POST /auth/refresh answered 404')
})

t.test('other origins may read replies without credentials, which need no cookie', async t => {
  for (const origin of ['*', 'https://another-site.invalid']) {
    t.equal(await judged('cors', { headers: { 'access-control-allow-origin': origin } }), 'ok: no other origin may use the cookie', origin)
  }
})

t.test('a reply from an edge without a hit is no cached one', async t => {
  t.match(await judged('caching', { headers: { 'x-cache': 'MISS', 'cache-control': 'private, no-store' } }), /^ok/)
})

t.test('a terminal receives no control characters of the server', async t => {
  t.match(formatTable('https://app.example', [{ check: 'x', result: 'ok', seen: 'a\u001b[2Jb\u009bc' }]), 'a?[2Jb?c')
})

t.test('a terminal receives no more than 300 characters of a reply', async t => {
  t.match(formatTable('https://app.example', [{ check: 'x', result: 'ok', seen: 'a'.repeat(301) }]), /\ba{300}$/m)
})

t.test('JSON has no control or bidirectional characters of the server', async t => {
  const seen = 'a\u009bb\u202ec\u2066d\u007f\nä'
  const written = formatJson('https://app.example', [{ check: 'x', result: 'ok', seen }])
  t.match(written, /^[\n\x20-\x7e]+$/)
  t.equal(JSON.parse(written).checks[0].seen, seen)
})

/** The replies of an app behind a proxy in a walk; `sessions` is that of the list of sessions. */
function answers (sessions: Partial<Reply>, timeOf: (request: DoctorRequest) => number = () => 40, refusal: Partial<Reply> = { status: 401 }): Send {
  return async request => {
    const times = { sentAt: 0, endedAt: timeOf(request) }
    if (request.path === '/sessions') return reply({ ...sessions, ...times })
    if (request.path === '/login' && Object(request.json).password !== ADA.password) return reply({ ...refusal, ...times })
    return reply({ status: 200, headers: { 'set-cookie': ['__Host-Http-refresh=eyJ; Path=/; Secure; HttpOnly; SameSite=Strict'] }, body: '{"access_token":"t"}', ...times })
  }
}

async function walked (check: string, send: Send): Promise<string> {
  const row = (await walk(send, TARGET, ADA, '__Host-Http-refresh')).find(row => row.check === check)
  return `${row?.result}: ${row?.seen}`
}

const sessionWith = (ip: unknown): Partial<Reply> => ({ status: 200, body: JSON.stringify([{ ip: '198.51.100.1', current: false }, { ip, current: true }]) })

t.test('spoofing: an app that accepts any address that a client sends', async t => {
  t.equal(await walked('address', answers(sessionWith('192.0.2.123'))), 'finding: the app accepts any X-Forwarded-For')
})

t.test('an app that sees its proxy instead of the client', async t => {
  for (const ip of ['127.0.0.1', '10.1.2.3', '172.16.0.1', '172.31.0.1', '192.168.1.1', '100.64.0.1', '100.127.0.1', '::1', 'fd00::1', 'fc00::1']) {
    t.equal(await walked('address', answers(sessionWith(ip))), `finding: the app sees the address ${ip}`)
  }
})

t.test('an app that sees the client', async t => {
  for (const ip of ['198.51.100.7', '172.32.0.1', '100.128.0.1', '2001:db8::1']) t.equal(await walked('address', answers(sessionWith(ip))), `ok: the app sees ${ip}`)
})

t.test('an app that lists no sessions', async t => {
  for (const sessions of [{ status: 404, body: '{}' }, { status: 200, body: '[]' }, sessionWith(null)]) {
    t.equal(await walked('address', answers(sessions)), 'skipped: GET /sessions does not show it')
  }
})

t.test('user enumeration: unknown names fail faster, or slower', async t => {
  const known = (request: DoctorRequest) => Object(request.json).username === 'ada'
  t.equal(await walked('timing', answers({}, request => known(request) ? 41 : 10)), 'finding: a failed login takes 41 ms for a known name, 10 ms for an unknown one')
  t.equal(await walked('timing', answers({}, request => known(request) ? 10 : 41)), 'finding: a failed login takes 10 ms for a known name, 41 ms for an unknown one')
  t.match(await walked('timing', answers({}, request => known(request) ? 40 : 10)), /^ok/)
})

t.test('the time of a login that is not refused for its password shows nothing', async t => {
  t.equal(await walked('timing', answers({}, () => 40, { status: 400, body: '{"code":"FST_ERR_VALIDATION"}' })), 'skipped: a failed login answered 400 FST_ERR_VALIDATION')
  t.match(await walked('timing', answers({}, () => 40, { status: 401, body: '{}' })), /^ok/, "the host's error handler may change the code")
})

t.test('one slow failed login among fast ones is noise', async t => {
  let requests = 0
  t.equal(await walked('timing', answers({}, () => ++requests === 1 ? 500 : 40)), 'ok: no difference beyond noise: a failed login takes 40 ms for a known name, 40 ms for an unknown one')
})

t.test('a hostile access token stops neither the report nor the logout', async t => {
  const paths: string[] = []
  for (const token of ['a\nb', 'жeton', 'a b', '', 7]) {
    const send: Send = async request => {
      for (const [name, value] of Object.entries(request.headers ?? {})) validateHeaderValue(name, value)
      paths.push(request.path)
      const answer = await answers({})(request)
      return request.path === '/login' && answer.status === 200 ? { ...answer, body: JSON.stringify({ access_token: token }) } : answer
    }
    t.equal(await walked('login', send), 'finding: POST /login answered 200 without a usable access_token')
    t.equal(await walked('address', send), 'skipped: the login gave no usable access_token')
    t.equal(paths.at(-2), '/logout')
  }
})

t.test('cleartext transmission: no password goes to another machine over plain http', async t => {
  const sent: DoctorRequest[] = []
  const examined = async (more: Partial<Reply>): Promise<string | undefined> => {
    sent.length = 0
    const rows = await examine({ target: TARGET, account: ADA, missing: [] }, async request => {
      sent.push(request)
      return reply(more)
    })
    return rows.find(({ check }) => check === 'login')?.seen
  }
  t.equal(await examined({ certificateEnds: null }), 'no password is sent over plain http: give an https URL')
  t.notOk(sent.some(({ path }) => path === '/login'))
  t.equal(await examined({ certificateEnds: null, isLoopback: true }), 'POST /login answered 204')
})

t.test('a logout that fails', async t => {
  t.equal(await walked('logout', answers({})), 'finding: POST /logout answered 200')
})

t.test('a cookie of a path that only begins alike is not sent', async t => {
  const headers = { 'set-cookie': ['__Secure-a=; Path=/auth; HttpOnly; Secure; SameSite=Strict'] }
  t.match(await judged('cookie', { headers }), /^ok/)
  t.match(await judged('cookie', { headers }, { ...TARGET, base: 'https://app.example/authors', path: '/authors' }), /^finding: .* do not send it to \/authors\/refresh/)
})

t.test('of several cookies that a logout clears, the last is that of now', async t => {
  const headers = { 'set-cookie': ['old=; Path=/', '__Host-a=; Path=/; HttpOnly; Secure; SameSite=Strict'] }
  t.match(await judged('cookie', { headers }), /^ok: __Host-a/)
})
