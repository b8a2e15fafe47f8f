import fastifyAuth from '@fastify/auth'
import fastifyCookie from '@fastify/cookie'
import fastifyJwt from '@fastify/jwt'
import fastifyRateLimit from '@fastify/rate-limit'
import fastifySwagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticate, memoryStore, refuseCrossSite, type RefreshCookieOptions } from '../../lib/index.js'
import { cookieJar } from '../support/cookie-jar.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, FAST_HASHING, openBrowser, SECRET, setCookies, testClock, userTable, type TestClock } from '../support/server.js'

const WEEK = 7 * 86_400

/** Variants of a host; returns the path of the routes, if it is not the root. */
type Host = (options: RefreshCookieOptions) => Promise<{ app: FastifyInstance, base?: string }>

/** Registers the plugin and a protected route. */
async function join (app: FastifyInstance, options: RefreshCookieOptions): Promise<void> {
  await app.register(refreshCookie, options)
  app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
}

/** A host that adds things before and after the plugin. */
function host (before: (app: FastifyInstance) => unknown, after: (app: FastifyInstance) => unknown = () => {}): Host {
  return async options => {
    const app = Fastify()
    await before(app)
    await join(app, options)
    await after(app)
    return { app }
  }
}

const HOST_SECRET = 'a secret of the host itself'

/** The host's own tokens work beside those of the plugin. */
const ownTokens = (app: FastifyInstance): void => {
  app.get('/own', async () => app.jwt.verify(app.jwt.sign({ mine: true })))
}

const zodLike = (app: FastifyInstance): void => {
  app.setValidatorCompiler(({ schema }) => (schema as { parse: (value: unknown) => never }).parse)
  app.setSerializerCompiler(({ schema }) => (schema as { stringify: (value: unknown) => string }).stringify)
}

const HOSTS: Readonly<Record<string, Host>> = {
  'without other plugins': host(() => {}),
  'with its own @fastify/jwt before us': host(app => app.register(fastifyJwt, { secret: HOST_SECRET }), ownTokens),
  'with its own @fastify/jwt after us': host(() => {}, async app => { await app.register(fastifyJwt, { secret: HOST_SECRET }); ownTokens(app) }),
  'with its own @fastify/jwt in an inner context': host(() => {}, app => app.register(async scope => { await scope.register(fastifyJwt, { secret: HOST_SECRET }); ownTokens(scope) })),
  'whose @fastify/jwt reads our cookie': host(app => app.register(fastifyJwt, { secret: SECRET, cookie: { cookieName: COOKIE, signed: false } })),
  'with namespaces of @fastify/jwt before us': host(async app => {
    for (const namespace of ['access', 'refresh', 'accessToken1', 'auth']) await app.register(fastifyJwt, { namespace, secret: HOST_SECRET })
  }),
  'with namespaces of @fastify/jwt after us': host(() => {}, async app => {
    for (const namespace of ['access', 'refresh', 'auth']) await app.register(fastifyJwt, { namespace, secret: HOST_SECRET })
  }),
  'that decorates request.user': host(app => app.decorateRequest('user', null as never)),
  'that decorates request.user after us': host(() => {}, app => app.decorateRequest('user', null as never)),
  'with its own @fastify/cookie before us': host(app => app.register(fastifyCookie, { secret: HOST_SECRET })),
  'with its own @fastify/cookie after us': host(() => {}, app => app.register(fastifyCookie)),
  'with its own @fastify/cookie that is not awaited': host(app => { app.register(fastifyCookie) }),
  'whose @fastify/cookie has options that would break the refresh cookie': host(app => app.register(fastifyCookie, {
    secret: HOST_SECRET,
    parseOptions: { domain: 'evil.example', path: '/elsewhere', httpOnly: false, secure: false, sameSite: 'none', signed: true, expires: new Date(0), maxAge: 1, partitioned: true, priority: 'low', encode: value => value.toUpperCase() }
  })),
  'whose @fastify/cookie parses nothing': host(app => app.register(fastifyCookie, { hook: false })),
  'whose @fastify/cookie parses late': host(app => app.register(fastifyCookie, { hook: 'preHandler' })),
  'with @fastify/auth': host(app => app.register(fastifyAuth)),
  'with @fastify/rate-limit': host(app => app.register(fastifyRateLimit, { max: 1000 })),
  'with its own serializer': host(app => app.setReplySerializer(payload => JSON.stringify({ id: Object(payload).id }))),
  'with compilers as those of zod': host(zodLike),
  'with compilers as those of zod after us': host(() => {}, zodLike),
  'with @fastify/swagger for OpenAPI 3': host(app => app.register(fastifySwagger, { openapi: { openapi: '3.0.3', info: { title: 'Host', version: '1' } } })),
  'with @fastify/swagger for Swagger 2': host(app => app.register(fastifySwagger, { swagger: { info: { title: 'Host', version: '1' } } })),
  'with @fastify/swagger after us': host(() => {}, app => app.register(fastifySwagger, { openapi: {} })),
  'with its own error handler': host(app => app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => { reply.code(error.statusCode ?? 500).send({ mine: true }) })),
  'with its own content types': host(app => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser(['application/json', 'text/plain', 'application/x-www-form-urlencoded'], { parseAs: 'string' }, (_request, body, done) => done(null, `the host has eaten ${body.length} bytes`))
    app.addContentTypeParser('*', (_request, _payload, done) => done(null, { anything: true }))
  }),
  'without any content types': host(app => app.removeAllContentTypeParsers()),
  'with hooks of its own': host(app => {
    app.addHook('onRequest', async request => { request.headers['x-seen'] = 'yes' })
    app.addHook('preSerialization', async (_request, _reply, payload) => payload)
    app.addHook('onSend', async (_request, reply, payload) => { reply.header('x-host', 'yes'); return payload })
  }),
  'whose Ajv coerces and removes': async options => {
    const app = Fastify({ ajv: { customOptions: { coerceTypes: 'array', removeAdditional: 'all', useDefaults: true, allErrors: true } } })
    await join(app, options)
    return { app }
  },
  'with unusual Fastify options': async options => {
    const app = Fastify({
      bodyLimit: 10,
      exposeHeadRoutes: false,
      onProtoPoisoning: 'ignore',
      onConstructorPoisoning: 'ignore',
      routerOptions: { caseSensitive: false, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true, maxParamLength: 30 }
    })
    await join(app, options)
    return { app }
  },
  'that registers the plugin under a prefix': async options => {
    const app = Fastify()
    await app.register(async api => { await api.register(async v1 => { await join(v1, options) }, { prefix: '/v1' }) }, { prefix: '/api' })
    return { app, base: '/api/v1' }
  },
  'that does not await the registration': async options => {
    const app = Fastify()
    app.register(refreshCookie, options)
    app.after(() => { app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => ({ id: auth.claims.sub })) })
    return { app }
  },
  'with a dynamic import of the plugin': async options => {
    const app = Fastify()
    await app.register(import('../../lib/index.js'), options)
    app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
    return { app }
  },
  'with the options as a function': async options => {
    const app = Fastify()
    await app.register(refreshCookie, () => options)
    app.get('/me', { onRequest: app.authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
    return { app }
  }
}

for (const [kind, build] of Object.entries(HOSTS)) {
  t.test(`a host ${kind}: signup, me, refresh, logout`, async t => {
    const clock = testClock()
    const { app, base = '' } = await build({ secret: SECRET, users: userTable(), clock, passwords: FAST_HASHING })
    t.teardown(async () => { await app.close() })
    await walk(t, app, clock, base)
    if (app.hasRoute({ method: 'GET', url: '/own' })) t.match((await app.inject('/own')).json(), { mine: true })
  })
}

/** The requests of a user on one day. */
async function walk (t: Test, app: FastifyInstance, clock: TestClock, base: string): Promise<void> {
  const ada = openBrowser(app, cookieJar(clock), `${base}/auth`)
  const signup = await ada.signup('ada')
  t.match(signup, { statusCode: 201 })
  t.match(setCookies(signup), exactly(new RegExp(`^${COOKIE}=[\\w.-]+; Max-Age=${WEEK}; Expires=[^;]+; Path=/; HttpOnly; Secure; SameSite=Strict$`)))
  t.strictSame((await ada.get(`${base}/me`)).json(), { id: '1' })
  clock.wait('1m')
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match(await ada.refresh({ headers: { 'content-type': 'application/json' } }), { statusCode: 200, headers: { 'set-cookie': undefined } })
  t.match(await ada.send({ method: 'POST', url: `${base}/auth/login`, payload: { username: ['ada'], password: 'x' } }), { statusCode: 400 })
  t.match(await ada.send({ method: 'POST', url: `${base}/auth/login`, headers: { 'content-type': 'text/plain' }, payload: '{}' }), { statusCode: 415 })
  t.match(await ada.logout(), { statusCode: 204 })
  const signedOut = await ada.refresh()
  t.match(signedOut, { statusCode: 401, headers: { 'www-authenticate': 'Bearer realm="api"', 'cache-control': 'no-store' } })
  t.match(await ada.login('ada'), { statusCode: 200 })
  t.equal((await ada.get(`${base}/auth/sessions`)).json().length, 1)
}

t.test('a config that the host gives to all routes exempts none of its own', async t => {
  for (const config of [{ rateLimit: { max: 100 } }, Object.freeze({})]) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.addHook('onRoute', route => { route.config ??= config })
    await app.register(refreshCookie, { secret: SECRET })
    app.get('/', { onRequest: authenticate }, async () => 'secret')
    app.post('/', { onRequest: refuseCrossSite }, async () => 'changed')
    t.match((await app.inject('/')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
    t.match((await app.inject({ method: 'POST', url: '/', headers: { origin: 'https://evil.example' } })).json(), { code: 'FST_AUTH_CROSS_SITE' })
    t.equal((await app.inject({ method: 'POST', url: '/auth/refresh' })).json().code, 'FST_AUTH_REFRESH_TOKEN_MISSING')
  }
})

t.test('two sibling contexts share users and sessions', async t => {
  const clock = testClock()
  const shared = { secret: SECRET, users: userTable(), store: memoryStore({ clock }), clock, passwords: FAST_HASHING }
  const app = Fastify()
  for (const prefix of ['/web', '/admin']) await app.register(async scope => { await join(scope, shared) }, { prefix })
  t.teardown(async () => { await app.close() })
  const ada = openBrowser(app, cookieJar(clock), '/web/auth')
  const bob = openBrowser(app, cookieJar(clock), '/admin/auth')
  await ada.signup('ada')
  await bob.signup('bob')
  t.strictSame((await ada.get('/admin/me')).json(), { id: '1' })
  t.strictSame((await bob.get('/web/me')).json(), { id: '2' })
  t.equal((await openBrowser(app, ada.jar, '/admin/auth').refresh()).statusCode, 200)
})

t.test('a registration in an inner context has its own request.auth', async t => {
  const clock = testClock()
  const outer = { secret: SECRET, users: userTable(), clock, passwords: FAST_HASHING }
  const inner = { ...outer, secret: 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x', users: userTable(), cookie: { name: '__Host-Http-admin' } }
  const app = Fastify()
  await join(app, outer)
  await app.register(async scope => { await join(scope, inner) }, { prefix: '/admin' })
  t.teardown(async () => { await app.close() })
  const ada = openBrowser(app, cookieJar(clock))
  const root = openBrowser(app, ada.jar, '/admin/auth')
  await ada.signup('ada')
  await root.signup('root')
  t.strictSame((await ada.get('/me')).json(), { id: '1' })
  t.match((await ada.get('/admin/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.strictSame((await root.get('/admin/me')).json(), { id: '1' })
  t.match((await root.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.equal((await root.logout()).statusCode, 204)
  t.equal((await ada.refresh()).statusCode, 200)
})

t.test("logLevel and logSerializers of register apply to the plugin's routes", async t => {
  const lines: Array<{ level: number, msg: string, auth?: unknown }> = []
  const stream = { write (line: string) { lines.push(JSON.parse(line)) } }
  const app = Fastify({ logger: { level: 'info', stream } })
  await app.register(refreshCookie, {
    secret: SECRET,
    users: userTable(),
    passwords: FAST_HASHING,
    logLevel: 'warn',
    logSerializers: { auth: () => 'hidden' }
  })
  t.teardown(async () => { await app.close() })
  const ada = openBrowser(app, cookieJar(() => 0))
  await ada.signup('ada')
  t.strictSame(lines.filter(({ msg }) => msg.startsWith('auth:') || msg === 'incoming request'), [], 'routes of the plugin log only warnings and above')
  await ada.refresh({ headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } })
  t.match(lines.filter(({ msg }) => msg.startsWith('auth:')), exactly({ level: 40, auth: 'hidden' }))
})

/** Invalid registrations, and the expected error. */
const CLASHES: ReadonlyArray<readonly [what: string, register: (app: FastifyInstance) => unknown, sentence: RegExp]> = [
  ['twice in one context', app => app.register(refreshCookie, { secret: SECRET }), /registered twice in one context.*app\.register\(/],
  ['twice, under two prefixes', app => app.register(refreshCookie, { secret: SECRET, prefix: '/other' }), /registered twice in one context.*app\.register\(/]
]

for (const [what, register, sentence] of CLASHES) {
  t.test(`registered ${what}, the error explains the fix`, async t => {
    const app = Fastify()
    await app.register(refreshCookie, { secret: SECRET })
    await t.rejects(async () => { await register(app) }, { message: sentence })
  })
}

for (const name of ['verifyAccessToken', 'reloadKeys', 'sessions', 'passwords']) {
  t.test(`if the app has its own app.${name}, the error explains the fix`, async t => {
    const app = Fastify()
    app.decorate(name, () => {})
    await t.rejects(async () => { await app.register(refreshCookie, { secret: SECRET }) }, { message: new RegExp(`app\\.${name}, which the app or another plugin has decorated already.*app\\.register\\(`) })
  })
}

t.test('if the app has its own request.auth, the error explains the fix', async t => {
  const app = Fastify()
  app.decorateRequest('auth', null as never)
  await t.rejects(async () => { await app.register(refreshCookie, { secret: SECRET }) }, { message: /request\.auth, which the app or another plugin has decorated already.*app\.register\(/ })
})

t.test('decorators of the app inside the plugin\'s context do not conflict', async t => {
  const app = Fastify()
  await app.register(async scope => { scope.decorate('authenticate', () => 'mine') })
  await app.register(async scope => { await join(scope, { secret: SECRET }) })
  await app.ready()
  t.notOk(app.hasDecorator('authenticate'))
  t.notOk(app.hasDecorator('jwt'), 'and no decorator of @fastify/jwt is left')
  t.notOk(app.hasDecorator('serializeCookie'), 'or of @fastify/cookie')
})

t.test('an invalid option stops the start with one sentence', async t => {
  await t.rejects(async () => { await Fastify().register(refreshCookie, { secret: 'short' }) }, { name: 'TypeError', message: /^option "secret"/ })
  await t.rejects(async () => { await Fastify().register(refreshCookie, {}) }, { name: 'TypeError', message: /^option "secret" is missing/ })
})
