import fastifyAuth from '@fastify/auth'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type InjectOptions, type onRequestHookHandler } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticate, authenticateOptional, authenticateStrict, AuthError, memoryStore, requireFreshLogin, statelessStore, type AccessClaims, type AuthenticateHook, type SessionStore } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { faultyStore } from '../support/faulty-store.js'
import { COOKIE, loggedIn, SECRET, sessionOf, START, type Answer, type LoggedIn } from '../support/server.js'
import { newSession } from '../support/session.js'
import { claimsOf, forged, headerOf, jws, keyOf } from '../tokens/forge.js'

const MISSING = 'FST_AUTH_ACCESS_TOKEN_MISSING'
const INVALID = 'FST_AUTH_ACCESS_TOKEN_INVALID'
const EXPIRED = 'FST_AUTH_ACCESS_TOKEN_EXPIRED'
const ENDED = 'FST_AUTH_SESSION_ENDED'

const whoAsks = async ({ auth }: FastifyRequest): Promise<object> => ({ id: auth.claims?.sub ?? null })

/** The id in the reply, or the code of the refusal. */
function seen (answer: Answer): unknown {
  const { code, id } = answer.json()
  return code ?? id
}

/** A bare app with the plugin, a clock that stands still, and the additions of `extend`. */
async function app (extend: (app: FastifyInstance) => unknown = () => {}, options: object = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, clock: () => START, ...options })
  app.setNotFoundHandler((_request, reply) => { reply.code(404).send({ code: 'NOT_FOUND' }) })
  await extend(app)
  return app
}

const GOOD = { authorization: `Bearer ${forged('access')}` }
const BAD = { authorization: 'Bearer x.y.z' }

t.test('an access token is read only from "Authorization: Bearer"', async t => {
  const good = forged('access')
  const HEADERS: ReadonlyArray<readonly [authorization: string | undefined, answer: string]> = [
    [`Bearer ${good}`, '1'], [`bearer ${good}`, '1'], [`BEARER ${good}`, '1'], [`bEaReR ${good}`, '1'],
    [undefined, MISSING], ['', MISSING], ['Bearer', MISSING], ['bearer', MISSING], [good, MISSING], [`Bearer${good}`, MISSING], [`Bearer\t${good}`, MISSING], [` Bearer ${good}`, MISSING],
    [`Basic ${good}`, MISSING], ['Basic YWRhOnNlY3JldA==', MISSING], [`Token ${good}`, MISSING], [`Bearer: ${good}`, MISSING], [`Bearer=${good}`, MISSING], [`DPoP ${good}`, MISSING], [`Bearers ${good}`, MISSING],
    ['Bearer ', INVALID], [`Bearer ${good} `, INVALID], [`Bearer ${good},`, INVALID], [`Bearer ${good}, Basic x`, INVALID], [`Bearer ${good} ${good}`, INVALID], [`Bearer "${good}"`, INVALID], [`Bearer Bearer ${good}`, INVALID], ['Bearer null', INVALID], ['Bearer undefined', INVALID], ['Bearer [object Object]', INVALID]
  ]
  const server = await app(app => app.get('/', { onRequest: app.authenticate }, whoAsks))
  for (const [authorization, answer] of HEADERS) {
    t.equal(seen(await server.inject({ url: '/', headers: authorization === undefined ? {} : { authorization } })), answer, String(authorization))
  }
})

t.test('no cookie, query or body is accepted as an access token', async t => {
  const good = forged('access')
  const server = await app(app => app.post('/', { onRequest: app.authenticate }, whoAsks))
  const cookies = [COOKIE, 'token', 'access_token', 'jwt'].map(name => `${name}=${good}`).join('; ')
  const SOURCES: readonly InjectOptions[] = [
    { headers: { cookie: cookies } },
    { headers: { cookie: cookies, authorization: 'Basic YWRhOnNlY3JldA==' } },
    { query: { access_token: good, token: good } },
    { payload: { access_token: good } },
    { headers: { 'x-access-token': good, 'proxy-authorization': `Bearer ${good}` } }
  ]
  for (const source of SOURCES) t.equal(seen(await server.inject({ method: 'POST', url: '/', ...source })), MISSING, JSON.stringify(source).slice(0, 60))
})

t.test('a refusal has a challenge, without an error if the token is missing (RFC 6750 section 3.1)', async t => {
  const server = await app(app => app.get('/', { onRequest: app.authenticate }, whoAsks))
  t.match(await server.inject('/'), { statusCode: 401, headers: { 'www-authenticate': 'Bearer realm="api"' } })
  const refused = await server.inject({ url: '/', headers: BAD })
  t.match(refused, { statusCode: 401, headers: { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' } })
  t.strictSame(Object.keys(refused.json()).sort(), ['code', 'error', 'message', 'statusCode'])
})

t.test('a hook called without its callback throws an error that explains its use', async t => {
  for (const call of ['authenticate', 'authenticateOptional'] as const) {
    const server = await app(app => {
      const hook = app[call] as unknown as (request: FastifyRequest, reply: FastifyReply) => void // as JavaScript may call it
      app.get('/', { onRequest: async (request, reply) => hook(request, reply) }, whoAsks)
    })
    t.match(await server.inject({ url: '/', headers: GOOD }), { statusCode: 500, payload: /takes a callback: write \{ onRequest: authenticate \}/ })
  }
  const misplaced = await app(app => { app.get('/', { preParsing: app.authenticate as never }, whoAsks) })
  t.match(await misplaced.inject({ url: '/', headers: GOOD }), { statusCode: 500, payload: /takes a callback/ })
})

/** Every position of a hook before a handler. */
const PLACES: Readonly<Record<string, (app: FastifyInstance) => void>> = {
  onRequest: app => { app.get('/', { onRequest: app.authenticate }, whoAsks) },
  'a list of hooks': app => { app.get('/', { onRequest: [(_request, _reply, done) => done(), app.authenticate] }, whoAsks) },
  preValidation: app => { app.get('/', { preValidation: app.authenticate }, whoAsks) },
  preHandler: app => { app.get('/', { preHandler: app.authenticate }, whoAsks) },
  'an asynchronous hook': app => { app.get('/', { onRequest: async request => { await request.auth.authenticate() } }, whoAsks) },
  'the handler': app => { app.get('/', async request => ({ id: (await request.auth.authenticate()).sub })) },
  'a strict hook': app => { app.get('/', { preHandler: app.authenticateStrict }, whoAsks) },
  'a hook of the whole context': app => { app.addHook('onRequest', app.authenticate).get('/', whoAsks) },
  'a hook of an inner context': app => { app.register(async scope => { scope.addHook('preHandler', scope.authenticate).get('/', whoAsks) }) }
}

for (const [place, protect] of Object.entries(PLACES)) {
  t.test(`${place} protects a route`, async t => {
    const store = memoryStore({ clock: () => START })
    const server = await app(protect, { store })
    await store.create(newSession({ id: 'session-1', subject: '1' }))
    t.equal(seen(await server.inject({ url: '/', headers: GOOD })), '1')
    t.equal(seen(await server.inject('/')), MISSING)
    t.equal(seen(await server.inject({ url: '/', headers: BAD })), INVALID)
  })
}

t.test('a protected context leaves routes outside of it open', async t => {
  const server = await app(async app => {
    app.get('/health', async () => ({ id: 'healthy' }))
    await app.register(async scope => {
      scope.addHook('onRequest', scope.authenticate)
      scope.get('/mine', whoAsks)
      scope.route({ method: 'OPTIONS', url: '/mine', handler: whoAsks })
    })
  })
  t.equal(seen(await server.inject('/health')), 'healthy')
  for (const method of ['GET', 'OPTIONS'] as const) {
    t.equal(seen(await server.inject({ method, url: '/mine' })), MISSING, method)
    t.equal(seen(await server.inject({ method, url: '/mine', headers: GOOD })), '1', method)
  }
  t.match(await server.inject({ method: 'HEAD', url: '/mine' }), { statusCode: 401, headers: { 'www-authenticate': /^Bearer/ } })
  t.match(await server.inject({ method: 'HEAD', url: '/mine', headers: GOOD }), { statusCode: 200, body: '' })
})

t.test('a hook at the root protects everything except the plugin\'s own routes, which protect themselves', async t => {
  const server = await app(app => { app.addHook('onRequest', app.authenticate).get('/', whoAsks) })
  for (const url of ['/', '/nowhere', '/auth/sessions']) t.equal(seen(await server.inject(url)), MISSING, url)
  t.equal(seen(await server.inject({ method: 'POST', url: '/auth/refresh' })), 'FST_AUTH_REFRESH_TOKEN_MISSING')
})

t.test('authenticateOptional accepts a missing token and refuses an invalid one', async t => {
  const server = await app(app => app.get('/', { onRequest: app.authenticateOptional }, whoAsks))
  const expired = { authorization: `Bearer ${forged('access', { claims: { iat: START - 700, exp: START - 100, auth_time: START - 700 } })}` }
  t.equal(seen(await server.inject('/')), null)
  t.equal(seen(await server.inject({ url: '/', headers: { authorization: 'Basic YWRhOnNlY3JldA==' } })), null)
  t.equal(seen(await server.inject({ url: '/', headers: GOOD })), '1')
  t.equal(seen(await server.inject({ url: '/', headers: BAD })), INVALID)
  t.equal(seen(await server.inject({ url: '/', headers: expired })), EXPIRED)
  t.equal(seen(await server.inject({ url: '/', headers: { authorization: 'Bearer ' } })), INVALID)
})

t.test('authenticateStrict', async t => {
  const strictly = async (t: Test): Promise<LoggedIn & { ask (): Promise<Answer> }> => {
    const s = await loggedIn(t, {}, {}, app => { app.get('/strict', { onRequest: app.authenticateStrict }, whoAsks) })
    return { ...s, ask: async () => await s.ada.get('/strict') }
  }

  t.test('asks the store once', async t => {
    const { ask, store } = await strictly(t)
    t.equal(seen(await ask()), '1')
    t.strictSame(store.calls, ['get'])
  })

  t.test('refuses an ended session while its access token is still accepted elsewhere', async t => {
    const { ask, ada } = await strictly(t)
    const { accessToken } = ada
    await ada.logout()
    ada.accessToken = accessToken
    t.match(await ask(), { statusCode: 401, headers: { 'www-authenticate': /error="invalid_token"/ } })
    t.equal(seen(await ask()), ENDED)
    t.equal(seen(await ada.get('/me')), '1')
  })

  t.test('refuses a session that the store does not know', async t => {
    const { ask, ada } = await strictly(t)
    ada.accessToken = forged('access')
    t.equal(seen(await ask()), ENDED)
  })

  t.test('answers 503 with Retry-After if the store is unavailable', async t => {
    const { ask, store, ada } = await strictly(t)
    store.faults.push({ moment: 'before', kind: 'throw', call: 'get' })
    const answer = await ask()
    t.match(answer, { statusCode: 503, headers: { 'retry-after': /^[2-5]$/ } })
    t.equal(seen(answer), 'FST_AUTH_STORE_UNAVAILABLE')
    t.equal(seen(await ada.get('/me')), '1', 'the other hook needs no store')
    t.equal(seen(await ask()), '1', 'and it was a moment')
  })

  t.test('does not ask the store about an invalid token', async t => {
    const { app, store } = await strictly(t)
    t.equal(seen(await app.inject('/strict')), MISSING)
    t.equal(seen(await app.inject({ url: '/strict', headers: BAD })), INVALID)
    t.strictSame(store.calls, [])
  })

  t.test('stops the start with a store that keeps no sessions', async t => {
    const server = await app(() => {}, { store: statelessStore() })
    t.throws(() => server.get('/', { onRequest: server.authenticateStrict }, whoAsks), { name: 'TypeError', message: /authenticateStrict needs a store/ })
    t.doesNotThrow(() => server.get('/', { onRequest: server.authenticate }, whoAsks))
  })
})

t.test('works beside another strategy in @fastify/auth', async t => {
  const basic: onRequestHookHandler = (request, _reply, done) => {
    done(request.headers['x-key'] === 'letmein' ? undefined : Object.assign(new Error('no key'), { code: 'NO_KEY', statusCode: 401 }))
  }
  const server = await app(async app => {
    await app.register(fastifyAuth)
    app.get('/or', { preHandler: app.auth([basic, app.authenticate]) }, whoAsks)
    app.get('/either', { preHandler: app.auth([app.authenticate, basic]) }, whoAsks)
    app.get('/and', { preHandler: app.auth([app.authenticate, basic], { relation: 'and' }) }, whoAsks)
    app.get('/all', { preHandler: app.auth([app.authenticate, basic], { run: 'all' }) }, whoAsks)
    app.get('/strict', { preHandler: app.auth([app.authenticateStrict]) }, whoAsks)
    app.get('/optional', { preHandler: app.auth([app.authenticateOptional]) }, whoAsks)
  })
  const key = { 'x-key': 'letmein' }
  const ANSWERS: ReadonlyArray<readonly [url: string, headers: Record<string, string>, answer: unknown]> = [
    ['/or', GOOD, '1'], ['/or', key, null], ['/or', {}, MISSING], ['/or', BAD, INVALID],
    ['/either', GOOD, '1'], ['/either', key, null], ['/either', {}, 'NO_KEY'],
    ['/and', { ...GOOD, ...key }, '1'], ['/and', GOOD, 'NO_KEY'], ['/and', key, MISSING], ['/and', { ...BAD, ...key }, INVALID],
    ['/all', GOOD, '1'], ['/all', key, null],
    ['/strict', {}, MISSING], ['/strict', GOOD, ENDED],
    ['/optional', {}, null], ['/optional', BAD, INVALID]
  ]
  for (const [url, headers, answer] of ANSWERS) t.equal(seen(await server.inject({ url, headers })), answer, `${url} ${Object.keys(headers)}`)
  t.match(await server.inject('/strict'), { statusCode: 401, headers: { 'www-authenticate': /^Bearer/ } })
})

t.test("the host's own error handler keeps the challenge", async t => {
  const server = await app(app => {
    app.setErrorHandler((error: AuthError, _request, reply) => { reply.code(error.statusCode).send({ code: error.code, mine: true }) })
    app.get('/', { onRequest: app.authenticate }, whoAsks)
    app.get('/strict', { preHandler: app.authenticateStrict }, whoAsks)
  })
  for (const url of ['/', '/strict']) {
    const answer = await server.inject({ url, headers: BAD })
    t.match(answer, { statusCode: 401, headers: { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' } })
    t.strictSame(answer.json(), { code: INVALID, mine: true })
  }
})

t.test('if only the store knows whether a session has ended, it is asked, and the refusal is the same', async t => {
  // A starting instance does not know earlier revocations.
  const subscribe: NonNullable<SessionStore['subscribe']> = (_listener, connected) => {
    connected?.(true)
    return () => {}
  }
  for (const lives of [true, false]) {
    const store = { ...memoryStore({ clock: () => START }), subscribe }
    const server = await app(app => app.get('/', { onRequest: app.authenticate }, whoAsks), { store, revocation: 'immediate' })
    if (lives) await store.create(newSession({ id: 'session-1', subject: '1' }))
    const answer = await server.inject({ url: '/', headers: GOOD })
    t.equal(seen(answer), lives ? '1' : ENDED)
    t.match(answer.headers, { 'www-authenticate': lives ? undefined : /error="invalid_token"/ })
  }
})

t.test('an error after the hook is not treated as a refusal', async t => {
  const server = await app(app => app.get('/', { onRequest: [app.authenticate, () => { throw new Error('a bug of the app') }] }, whoAsks))
  t.match(await server.inject({ url: '/', headers: GOOD }), { statusCode: 500, headers: { 'www-authenticate': undefined } })
})

t.test('app.verifyAccessToken verifies a token from elsewhere, e.g. a WebSocket', async t => {
  const server = await app()
  t.match(await server.verifyAccessToken(forged('access')), claimsOf('access'))
  const REFUSED: ReadonlyArray<readonly [token: string, code: string]> = [
    ['', INVALID], ['x', INVALID], [forged('refresh'), INVALID], [`Bearer ${forged('access')}`, INVALID],
    [forged('access', { claims: { iat: START - 600, exp: START, auth_time: START - 600 } }), EXPIRED]
  ]
  for (const [token, code] of REFUSED) await t.rejects(server.verifyAccessToken(token), { code, statusCode: 401 }, token.slice(0, 20))
  await t.rejects(server.verifyAccessToken('x'), AuthError)
  for (const none of [undefined, null, 1]) await t.rejects(server.verifyAccessToken(none as never), { code: MISSING }, 'as called from JavaScript')
})

t.test('request.auth.claims is null before a hook has authenticated', async t => {
  const server = await app(app => app.get('/', whoAsks))
  t.equal(seen(await server.inject({ url: '/', headers: GOOD })), null)
})

t.test('privilege escalation: claims are frozen, so a handler cannot change them for later requests', async t => {
  const server = await app(app => {
    app.get('/spoil', { onRequest: app.authenticate }, async ({ auth }) => Object.assign(auth.claims, { sub: 'root', role: 'admin' }))
    app.get('/', { onRequest: app.authenticate }, async ({ auth }) => auth.claims)
  })
  t.match(await server.inject({ url: '/spoil', headers: GOOD }), { statusCode: 500 })
  t.strictSame((await server.inject({ url: '/', headers: GOOD })).json(), claimsOf('access'))
  const claims = await server.verifyAccessToken(forged('access'))
  t.throws(() => Object.assign(claims, { sub: 'root' }), TypeError)
})

t.test('cache confusion: a thousand concurrent requests each get their own user', async t => {
  const server = await app(app => {
    app.get('/:id', { onRequest: app.authenticate }, async ({ auth }) => {
      await new Promise(resolve => setImmediate(resolve))
      return { id: auth.claims.sub }
    })
  })
  const people = Array.from({ length: 1000 }, (_, i) => `person-${i % 7}`)
  const tokens = new Map(people.map(sub => [sub, `Bearer ${forged('access', { claims: { sub } })}`]))
  const answers = await Promise.all(people.map(async sub => await server.inject({ url: `/${sub}`, headers: { authorization: String(tokens.get(sub)) } })))
  t.strictSame(answers.map(seen), people)
})

t.test('a hook that runs before the plugin can authenticate the request', async t => {
  const app = Fastify()
  let early: AccessClaims | undefined
  app.addHook('onRequest', async request => { early = await request.auth.authenticate() })
  app.register(refreshCookie, { secret: SECRET, clock: () => START })
  app.post('/enter', async ({ auth }) => await auth.login(auth.claims.sub))
  const answer = await app.inject({ method: 'POST', url: '/enter', headers: GOOD })
  t.match(answer, { statusCode: 200, headers: { 'set-cookie': exactly(new RegExp(`^${COOKIE}=`)) } })
  t.equal(early?.sub, '1')
})

t.test('a hook that runs before the plugin cannot log in, and gets an error that explains it', async t => {
  const app = Fastify()
  app.addHook('onRequest', async ({ auth }) => { await auth.login('1') })
  app.register(refreshCookie, { secret: SECRET, store: faultyStore(memoryStore()) })
  app.get('/', whoAsks)
  t.match(await app.inject('/'), { statusCode: 500, body: /register fastify-refresh-cookie before/ })
})

t.test('request.auth is one object per request', async t => {
  const s = await loggedIn(t, {}, {}, app => {
    app.get('/same', { onRequest: app.authenticate }, async request => {
      const { auth } = request
      return { id: auth === request.auth && auth.claims.sid === sessionOf(s.ada) }
    })
  })
  t.equal(seen(await s.ada.get('/same')), true)
})

/** Hooks that require a token. */
const IMPORTED: Readonly<Record<string, AuthenticateHook>> = { authenticate, authenticateStrict, "requireFreshLogin('5m')": requireFreshLogin('5m') }

/** Every position of a route with an imported hook: before, after and below a registration. */
const COVERED: Readonly<Record<string, (app: FastifyInstance, hook: AuthenticateHook, plugin: () => void) => void>> = {
  'before the plugin': (app, onRequest, plugin) => { app.get('/', { onRequest }, whoAsks); plugin() },
  'after the plugin': (app, onRequest, plugin) => { plugin(); app.get('/', { onRequest }, whoAsks) },
  'in a context that was registered before the plugin': (app, preHandler, plugin) => { app.register(async scope => { scope.get('/', { preHandler }, whoAsks) }); plugin() },
  'in a context below the plugin': (app, onRequest, plugin) => { plugin(); app.register(async scope => { scope.get('/', { onRequest }, whoAsks) }) },
  'by a hook of the whole app': (app, hook, plugin) => { app.addHook('onRequest', hook); plugin(); app.get('/', whoAsks) },
  'by a hook of a context': (app, hook, plugin) => { plugin(); app.register(async scope => { scope.addHook('preHandler', hook).get('/', whoAsks) }) }
}

for (const [place, protect] of Object.entries(COVERED)) {
  t.test(`an imported hook protects a route ${place}`, async t => {
    for (const [name, hook] of Object.entries(IMPORTED)) {
      const store = memoryStore({ clock: () => START })
      await store.create(newSession({ id: 'session-1', subject: '1' }))
      const app = Fastify()
      protect(app, hook, () => { app.register(refreshCookie, { secret: SECRET, clock: () => START, store }) })
      t.equal(seen(await app.inject('/')), MISSING, name)
      t.equal(seen(await app.inject({ url: '/', headers: BAD })), INVALID, name)
      t.equal(seen(await app.inject({ url: '/', headers: GOOD })), '1', name)
      t.match((await app.inject('/')).headers, { 'www-authenticate': /^Bearer/ }, name)
    }
  })
}

t.test('broken access control: a route with an imported hook outside of every registration is never open', async t => {
  for (const [name, hook] of Object.entries({ ...IMPORTED, authenticateOptional })) {
    const alone = Fastify()
    alone.get('/', { onRequest: hook }, whoAsks)
    const beside = Fastify()
    beside.register(async scope => { await scope.register(refreshCookie, { secret: SECRET, clock: () => START }) })
    beside.get('/', { onRequest: hook }, whoAsks)
    beside.register(async scope => { scope.addHook('preHandler', hook).get('/other', whoAsks) })
    for (const [app, url] of [[alone, '/'], [beside, '/'], [beside, '/other']] as const) {
      for (const headers of [{}, GOOD, BAD]) t.match((await app.inject({ url, headers })).json(), { statusCode: 500, code: 'FST_AUTH_NOT_REGISTERED', message: /No registration of fastify-refresh-cookie covers this route/ }, `${name} ${url}`)
    }
  }
})

t.test('requireFreshLogin in place of a hook that it returns is an error at start', async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret: SECRET })
  for (const uncalled of [requireFreshLogin, app.requireFreshLogin]) {
    // @ts-expect-error: for those who write JavaScript
    t.throws(() => app.get('/uncalled', { onRequest: uncalled }, async () => 'ok'), { name: 'TypeError', message: /write requireFreshLogin\('5m'\)/ })
  }
})

t.test('a clock with fractions makes no login older than it is', async t => {
  let now = START + 0.9
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret: SECRET, clock: () => now })
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  for (const maxAge of [0, 60] as const) app.get(`/${maxAge}`, { onRequest: requireFreshLogin(maxAge) }, async () => 'ok')
  const authorization = `Bearer ${(await app.inject({ method: 'POST', url: '/enter' })).json().access_token}`
  const statusOf = async (url: string): Promise<number> => (await app.inject({ url, headers: { authorization } })).statusCode
  t.equal(await statusOf('/0'), 200)
  now = START + 60.9
  t.equal(await statusOf('/60'), 200)
  now = START + 61
  t.equal(await statusOf('/60'), 403)
})

t.test('an imported hook uses the nearest of two registrations, a hook of an app its own', async t => {
  const inner = keyOf('access', `${SECRET}inner`)
  const ofInner = { authorization: `Bearer ${jws(headerOf('access', inner), claimsOf('access'), inner.secret)}` }
  const server = await app(async outer => {
    outer.get('/outer', { onRequest: authenticate }, whoAsks)
    await outer.register(async scope => {
      await scope.register(refreshCookie, { secret: `${SECRET}inner`, clock: () => START, prefix: '/inner' })
      scope.get('/nearest', { onRequest: authenticate }, whoAsks)
      scope.get('/inner-alias', { onRequest: scope.authenticate }, whoAsks)
      scope.get('/outer-alias', { onRequest: outer.authenticate }, async () => ({ id: 'the outer one' }))
    })
  })
  const ANSWERS: ReadonlyArray<readonly [url: string, ofOuter: unknown, ofInner: unknown]> = [
    ['/outer', '1', INVALID], ['/nearest', INVALID, '1'], ['/inner-alias', INVALID, '1'], ['/outer-alias', 'the outer one', INVALID]
  ]
  for (const [url, ...answers] of ANSWERS) t.strictSame([seen(await server.inject({ url, headers: GOOD })), seen(await server.inject({ url, headers: ofInner }))], answers, url)
})

t.test('below an imported hook of the whole app the routes of each registration stay reachable', async t => {
  const app = Fastify()
  for (const hook of [authenticate, authenticateStrict, requireFreshLogin('5m')]) app.addHook('onRequest', hook)
  const store = memoryStore({ clock: () => START })
  await store.create(newSession({ id: 'session-1', subject: '1' }))
  app.register(refreshCookie, { secret: SECRET, clock: () => START, store })
  app.register(async scope => { await scope.register(refreshCookie, { secret: `${SECRET}inner`, prefix: '/inner' }) })
  app.get('/', whoAsks)
  for (const prefix of ['/auth', '/inner']) {
    t.equal(seen(await app.inject({ method: 'POST', url: `${prefix}/refresh` })), 'FST_AUTH_REFRESH_TOKEN_MISSING', prefix)
    t.equal(seen(await app.inject(`${prefix}/sessions`)), MISSING, prefix)
  }
  t.strictSame([seen(await app.inject('/')), seen(await app.inject({ url: '/', headers: GOOD }))], [MISSING, '1'])
})

t.test('broken access control: an imported strict hook without a store that keeps sessions stops the start', async t => {
  const app = Fastify()
  const message = /authenticateStrict needs a store that keeps sessions/
  app.get('/before', { onRequest: authenticateStrict }, whoAsks)
  await app.register(refreshCookie, { secret: SECRET, clock: () => START, store: statelessStore() })
  t.throws(() => app.get('/', { preHandler: [authenticateStrict] }, whoAsks), { name: 'TypeError', message })
  app.register(async scope => { scope.addHook('onRequest', authenticateStrict).get('/context', whoAsks) })
  for (const url of ['/before', '/context']) t.match((await app.inject({ url, headers: GOOD })).json(), { statusCode: 500, message }, url)
})

t.test('if the app has a decorator with the name of a hook it is kept, with a warning', async t => {
  for (const name of ['authenticate', 'authenticateOptional', 'authenticateStrict', 'requireFreshLogin'] as const) {
    const warnings: object[] = []
    const server = Fastify({ logger: { level: 'warn', stream: { write (line: string) { warnings.push(JSON.parse(line)) } } } })
    const own = () => 'mine'
    server.decorate<unknown, string>(name, own)
    await server.register(refreshCookie, { secret: SECRET, clock: () => START, store: statelessStore() })
    server.get('/', { onRequest: [authenticate, authenticateOptional, requireFreshLogin('5m')] }, whoAsks)
    t.equal(server[name], own)
    t.match(warnings, exactly({ code: 'FST_AUTH_WARN_NAME_TAKEN', decorator: name }))
    t.strictSame([seen(await server.inject('/')), seen(await server.inject({ url: '/', headers: GOOD }))], [MISSING, '1'])
  }
})

t.test('request.auth works in a context that was created before the plugin', async t => {
  const app = Fastify()
  app.register(async scope => { scope.get('/', async ({ auth }) => await auth.login('1')) })
  app.register(refreshCookie, { secret: SECRET })
  t.match(await app.inject('/'), { statusCode: 200, headers: { 'set-cookie': exactly(new RegExp(`^${COOKIE}=`)) } })
})

t.test('request.auth.claimsOrNull is null for an anonymous request', async t => {
  const server = await app(app => app.get('/', { onRequest: authenticateOptional }, async ({ auth }) => ({ id: auth.claimsOrNull?.sub ?? null })))
  t.strictSame([seen(await server.inject('/')), seen(await server.inject({ url: '/', headers: GOOD })), seen(await server.inject({ url: '/', headers: BAD }))], [null, '1', INVALID])
})
