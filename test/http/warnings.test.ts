import cors, { type FastifyCorsOptions } from '@fastify/cors'
import swagger from '@fastify/swagger'
import cluster from 'node:cluster'
import { channel } from 'node:diagnostics_channel'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticate, authenticateOptional, refuseCrossSite, requireFreshLogin, type RefreshCookieOptions } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { SECRET, userTable } from '../support/server.js'

const HOST = 'app.example'
const STRANGER = 'https://stranger.example'

/** A server that keeps the codes of its warnings. */
function logging (t: Test, { trustProxy = false }: { trustProxy?: boolean } = {}): { app: FastifyInstance, codes: () => unknown[], lines: Array<{ code?: unknown }> } {
  const lines: Array<{ code?: unknown }> = []
  const app = Fastify({ trustProxy, logger: { level: 'warn', stream: { write (line: string) { lines.push(JSON.parse(line)) } } } })
  t.teardown(async () => { await app.close() })
  return { app, lines, codes: () => lines.flatMap(({ code }) => code ?? []) }
}

const OPTIONS: RefreshCookieOptions = { secret: SECRET, users: userTable() }

t.test('the default options cause no warning', async t => {
  const { app, lines } = logging(t)
  await app.register(cors, { origin: false })
  await app.register(refreshCookie, OPTIONS)
  await app.inject({ method: 'POST', url: '/auth/refresh?optional=true', headers: { host: HOST } })
  t.strictSame(lines, [])
})

t.test('sessions in the memory of a worker of node:cluster cause a warning', async t => {
  t.intercept(cluster, 'isWorker', { value: true })
  const { app, codes } = logging(t)
  await app.register(refreshCookie, OPTIONS)
  t.strictSame(codes(), ['FST_AUTH_WARN_MEMORY_STORE'])
})

t.test('@fastify/swagger that is registered too late to see our routes causes a warning, and a document without them', async t => {
  for (const document of [{ openapi: {} }, {}]) {
    const { app, lines } = logging(t)
    await app.register(refreshCookie, OPTIONS)
    await app.register(swagger, document)
    app.get('/me', { onRequest: authenticate }, async () => 'ada')
    await app.ready()
    t.match(lines, exactly({ code: 'FST_AUTH_WARN_PLUGIN_LATE', plugin: '@fastify/swagger' }))
    t.strictSame(Object.keys(app.swagger().paths ?? {}), ['/me'])
  }
})

t.test('routes with an imported hook that no registration covers cause a warning with their names', async t => {
  const { app, lines } = logging(t)
  app.register(async scope => {
    await scope.register(refreshCookie, OPTIONS)
    scope.get('/covered', { onRequest: authenticate }, async () => 'ada')
    scope.register(async inner => { inner.get('/inner', { preHandler: [authenticateOptional] }, async () => 'ada') })
  })
  app.register(async scope => {
    scope.get('/optional', { onRequest: [authenticateOptional] }, async () => 'ada')
    scope.delete('/fresh', { preHandler: requireFreshLogin('5m') }, async () => 'ada')
    scope.post('/form', { onRequest: refuseCrossSite }, async () => 'ada')
    scope.get('/open', async () => 'ada')
  })
  await app.ready()
  t.match(lines, exactly({ code: 'FST_AUTH_WARN_UNCOVERED_ROUTES', routes: exactly('/optional', '/fresh', '/form'), more: false, msg: /fastify-plugin/ }))
  t.match((await app.inject('/optional')).json(), { statusCode: 500, code: 'FST_AUTH_NOT_REGISTERED' })
})

t.test('a warning of uncovered routes names ten, and is logged once although two copies of the package are loaded', async t => {
  const { app, lines } = logging(t)
  channel('fastify.initialization').publish({ fastify: app }) // as the second copy receives it
  for (let nth = 0; nth < 12; nth++) app.get(`/${nth}`, { onRequest: authenticate }, async () => 'ada')
  await app.ready()
  t.match(lines, exactly({ routes: Array.from({ length: 10 }, (_, nth) => `/${nth}`), more: true }))
})

t.test('@fastify/cors that is registered later works for our routes', async t => {
  const { app, lines } = logging(t)
  await app.register(refreshCookie, { ...OPTIONS, trustedOrigins: ['https://page.example'] })
  await app.register(cors, { origin: 'https://page.example', credentials: true })
  const { headers } = await app.inject({ method: 'POST', url: '/auth/refresh', headers: { origin: 'https://page.example' } })
  t.equal(headers['access-control-allow-origin'], 'https://page.example')
  t.strictSame(lines, [])
})

t.test('X-Forwarded-For while trustProxy is off causes one warning', async t => {
  for (const trustProxy of [false, true]) {
    const { app, codes } = logging(t, { trustProxy })
    await app.register(refreshCookie, OPTIONS)
    const ask = async (headers: object): Promise<unknown> => await app.inject({ method: 'POST', url: '/auth/refresh?optional=true', headers: { host: HOST, ...headers } })
    await ask({})
    await ask({ 'x-forwarded-for': '203.0.113.9, 127.0.0.1' }) // as from a gateway of serverless functions
    t.strictSame(codes(), [])
    for (let nth = 0; nth < 2; nth++) await ask({ 'x-forwarded-for': '203.0.113.9' })
    t.strictSame(codes(), trustProxy ? [] : ['FST_AUTH_WARN_TRUST_PROXY'])
  }
})

const DROPPED: ReadonlyArray<readonly [title: string, headers: Record<string, string>, options: RefreshCookieOptions, code: string | null]> = [
  ['an own page over plain http', { origin: `http://${HOST}` }, {}, 'FST_AUTH_WARN_PLAIN_HTTP'],
  ['a trusted page over plain http', { origin: 'http://page.example' }, { trustedOrigins: ['http://page.example'] }, 'FST_AUTH_WARN_PLAIN_HTTP'],
  ['another page over plain http', { origin: 'http://stranger.example' }, {}, null],
  ['an own page over plain http, without Secure', { origin: `http://${HOST}` }, { cookie: { secure: false } }, null],
  ['an own page over plain http, without a cookie', { origin: `http://${HOST}` }, { refreshToken: { transport: 'body' } }, null],
  ['a renderer in a private network', { origin: `http://${HOST}`, 'sec-fetch-mode': 'cors' }, {}, null],
  ['an own page over https', { origin: `https://${HOST}` }, {}, null],
  ...['localhost', 'localhost:5173', 'app.localhost:5173', '127.0.0.1:3000', '[::1]:3000'].map(host => [`a page at ${host}`, { host, origin: `http://${host}` }, {}, null] as const),
  ['a page whose name begins as localhost', { host: 'localhost.example', origin: 'http://localhost.example' }, {}, 'FST_AUTH_WARN_PLAIN_HTTP'],
  ['a host that cookie.domain does not cover', { host: 'localhost:3000', 'sec-fetch-site': 'same-origin' }, { cookie: { domain: 'app.example' } }, 'FST_AUTH_WARN_COOKIE_DOMAIN'],
  ['a host that cookie.domain covers', { host: 'www.app.example', 'sec-fetch-site': 'same-origin' }, { cookie: { domain: 'app.example' } }, null],
  ['a script of a trusted page on another site', { origin: 'https://page.example', 'sec-fetch-site': 'cross-site' }, { trustedOrigins: ['https://page.example'] }, 'FST_AUTH_WARN_OTHER_SITE'],
  ['a form of a trusted page on another site', { origin: 'https://page.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }, { trustedOrigins: ['https://page.example'] }, null],
  ['a script of a trusted page on the same site', { origin: 'https://page.example', 'sec-fetch-site': 'same-site' }, { trustedOrigins: ['https://page.example'] }, null],
  ['a script of another page on another site', { origin: STRANGER, 'sec-fetch-site': 'cross-site' }, { trustedOrigins: ['https://page.example'] }, null],
  ['a script of a trusted page on another site, with SameSite=None', { origin: 'https://page.example', 'sec-fetch-site': 'cross-site' }, { trustedOrigins: ['https://page.example'], cookie: { sameSite: 'none', partitioned: true } }, null],
  ['a script of a trusted page on another site, without a cookie', { origin: 'https://page.example', 'sec-fetch-site': 'cross-site' }, { trustedOrigins: ['https://page.example'], refreshToken: { transport: 'body' } }, null]
]

for (const [title, headers, options, code] of DROPPED) {
  t.test(`a cookie that browsers drop: ${title} causes ${code === null ? 'no' : 'one'} warning`, async t => {
    const { app, codes } = logging(t)
    await app.register(refreshCookie, { ...OPTIONS, ...options })
    for (let nth = 0; nth < 2; nth++) await app.inject({ method: 'POST', url: '/auth/refresh?optional=true', headers: { host: HOST, ...headers } })
    t.strictSame(codes().filter(code => code !== 'FST_AUTH_WARN_COOKIE_NAME'), code === null ? [] : [code])
  })
}

const CORS: ReadonlyArray<readonly [title: string, options: FastifyCorsOptions, origin: string | undefined, warns: boolean]> = [
  ['"*" with credentials', { origin: '*', credentials: true }, STRANGER, true],
  ['any origin with credentials', { origin: true, credentials: true }, STRANGER, true],
  ['any origin with credentials, to a request without Origin', { origin: true, credentials: true }, undefined, false],
  ['any origin with credentials, to a trusted page', { origin: true, credentials: true }, 'https://page.example', false],
  ['any origin with credentials, to a page of its own', { origin: true, credentials: true }, `https://${HOST}`, false],
  ['any origin without credentials', { origin: true }, STRANGER, false],
  ['one origin with credentials', { origin: 'https://page.example', credentials: true }, STRANGER, false]
]

for (const [title, options, origin, warns] of CORS) {
  t.test(`CORS headers for ${title} cause ${warns ? 'one' : 'no'} warning`, async t => {
    const { app, codes } = logging(t)
    await app.register(cors, options)
    await app.register(refreshCookie, { ...OPTIONS, trustedOrigins: ['https://page.example'] })
    for (let nth = 0; nth < 2; nth++) await app.inject({ method: 'POST', url: '/auth/refresh?optional=true', headers: { host: HOST, ...(origin !== undefined && { origin }) } })
    t.strictSame(codes(), warns ? ['FST_AUTH_WARN_CORS'] : [])
  })
}

const SCRIPT = { origin: 'https://page.example', 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' }
const MISSING: ReadonlyArray<readonly [title: string, options: FastifyCorsOptions | null, headers: Record<string, string>, transport: 'cookie' | 'body', warns: boolean]> = [
  ['none, to a script of a trusted page', null, SCRIPT, 'cookie', true],
  ['no credentials, to a script of a trusted page', { origin: 'https://page.example' }, SCRIPT, 'cookie', true],
  ['credentials, to a script of a trusted page', { origin: 'https://page.example', credentials: true }, SCRIPT, 'cookie', false],
  ['none, to a script of a trusted page, without a cookie', null, SCRIPT, 'body', false],
  ['none, to a script through the proxy of a trusted page', null, { ...SCRIPT, 'sec-fetch-site': 'same-origin' }, 'cookie', false],
  ['none, to a form of a trusted page', null, { ...SCRIPT, 'sec-fetch-mode': 'navigate' }, 'cookie', false],
  ['none, to a script of a stranger', null, { ...SCRIPT, origin: STRANGER }, 'cookie', false]
]

for (const [title, options, headers, transport, warns] of MISSING) {
  t.test(`CORS headers with ${title} cause ${warns ? 'one' : 'no'} warning`, async t => {
    const { app, codes } = logging(t)
    if (options !== null) await app.register(cors, options)
    await app.register(refreshCookie, { ...OPTIONS, trustedOrigins: ['https://page.example'], refreshToken: { transport } })
    for (let nth = 0; nth < 2; nth++) await app.inject({ method: 'POST', url: '/auth/refresh?optional=true', headers: { host: HOST, ...headers } })
    t.strictSame(codes(), warns ? ['FST_AUTH_WARN_CORS_MISSING'] : [])
  })
}
