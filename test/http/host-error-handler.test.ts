import Fastify, { type FastifyInstance, type FastifyReply, type InjectOptions, type RouteHandlerMethod, type LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { memoryStore } from '../../lib/index.js'
import { faultyStore } from '../support/faulty-store.js'
import { COOKIE, SECRET, START } from '../support/server.js'
import { claimsOf, forged } from '../tokens/forge.js'

const CHALLENGE = 'Bearer realm="api"'
const BAD_TOKEN = 'Bearer realm="api", error="invalid_token"'

const GOOD = { authorization: `Bearer ${forged('access')}` }
const BAD = { authorization: 'Bearer x.y.z' }
const EXPIRED = { authorization: `Bearer ${forged('access', { claims: { ...claimsOf('access'), exp: START - 1 } })}` }
const FORGED = { cookie: `${COOKIE}=x.y.z` }

/** A host with its own error handler, and a route for each hook and each method of request.auth. */
async function host (t: Test): Promise<{ app: FastifyInstance, store: ReturnType<typeof faultyStore> }> {
  const app = Fastify()
  const store = faultyStore(memoryStore({ clock: () => START }))
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => { reply.code(error.statusCode ?? 500).send({ mine: true }) })
  await app.register(refreshCookie, { secret: SECRET, store, clock: () => START })
  app.get('/hook', { onRequest: [app.authenticate] }, async () => ({}))
  app.get('/optional', { onRequest: [app.authenticateOptional] }, async () => ({}))
  app.get('/strict', { onRequest: [app.authenticateStrict] }, async () => ({}))
  app.get('/fresh', { onRequest: [app.requireFreshLogin('5m')] }, async () => ({}))
  app.get('/authenticate', async ({ auth }) => await auth.authenticate())
  app.get('/login', async ({ auth }) => await auth.login('1'))
  app.get('/refresh', async ({ auth }) => await auth.refresh())
  app.get('/logout', async ({ auth }) => await auth.logout())
  app.get('/sessions', async ({ auth }) => { await auth.authenticate().catch(() => null); return await auth.sessions() })
  app.get('/revoke', async ({ auth }) => { await auth.authenticate().catch(() => null); await auth.revokeSession('x') })
  app.get('/revoke-others', async ({ auth }) => { await auth.authenticate().catch(() => null); await auth.revokeOtherSessions() })
  t.teardown(async () => await app.close())
  return { app, store }
}

t.test("the host's own error handler sends the challenge of every refusal (RFC 6750 section 3)", async t => {
  const { app } = await host(t)
  const REFUSED: ReadonlyArray<readonly [url: string, headers: InjectOptions['headers'], challenge: string]> = [
    ['/hook', {}, CHALLENGE], ['/hook', BAD, BAD_TOKEN], ['/hook', EXPIRED, BAD_TOKEN],
    ['/optional', BAD, BAD_TOKEN],
    ['/strict', {}, CHALLENGE], ['/strict', BAD, BAD_TOKEN], ['/strict', GOOD, BAD_TOKEN],
    ['/fresh', {}, CHALLENGE], ['/fresh', BAD, BAD_TOKEN],
    ['/authenticate', {}, CHALLENGE], ['/authenticate', BAD, BAD_TOKEN], ['/authenticate', EXPIRED, BAD_TOKEN],
    ['/refresh', {}, CHALLENGE], ['/refresh', FORGED, CHALLENGE],
    ['/sessions', {}, CHALLENGE],
    ['/revoke', {}, CHALLENGE],
    ['/revoke-others', {}, CHALLENGE],
    ['/auth/refresh', {}, CHALLENGE], ['/auth/refresh', FORGED, CHALLENGE]
  ]
  for (const [url, headers, challenge] of REFUSED) {
    const answer = await app.inject({ method: url.startsWith('/auth/') ? 'POST' : 'GET', url, ...(headers && { headers }) })
    t.match(answer, { statusCode: 401, payload: '{"mine":true}', headers: { 'www-authenticate': challenge } }, `${url} ${JSON.stringify(headers).slice(0, 40)}`)
  }
})

t.test("the host's own error handler sends Retry-After during a store outage", async t => {
  const { app, store } = await host(t)
  const refresh = { cookie: `${COOKIE}=${forged('refresh')}` }
  const AWAY: ReadonlyArray<readonly [url: string, headers: InjectOptions['headers']]> = [
    ['/strict', GOOD], ['/login', {}], ['/refresh', refresh], ['/logout', refresh],
    ['/revoke-others', GOOD]
  ]
  for (const [url, headers] of AWAY) {
    store.faults.push(...Array(3).fill({ moment: 'before', kind: 'throw' }))
    const answer = await app.inject({ url, ...(headers && { headers }) })
    store.faults.splice(0)
    t.match(answer, { statusCode: 503, payload: '{"mine":true}', headers: { 'retry-after': /^[1-9]\d*$/ } }, url)
  }
})

t.test('a refusal that the app catches leaves no header on the reply that it sends instead', async t => {
  const { app, store } = await host(t)
  app.addHook('onRequest', async (_request, reply) => { reply.header('cache-control', 'public, max-age=60') })
  app.get('/guest', async ({ auth }) => { await auth.authenticate().catch(() => null); return {} })
  app.get('/back', async ({ auth }, reply) => { await auth.refresh().catch(() => null); return reply.redirect('/login', 303) })
  app.get('/later', async ({ auth }, reply) => { await auth.refresh().catch(() => null); return await reply.code(202).header('retry-after', '7').send({}) })
  app.get('/both', async ({ auth }) => { await auth.authenticate().catch(() => auth.refresh()) })
  const view = async (url: string): Promise<LightMyRequestResponse> => {
    store.faults.push({ moment: 'before', kind: 'throw' })
    const answer = await app.inject({ url, headers: { cookie: `${COOKIE}=${forged('refresh')}` } })
    store.faults.splice(0)
    return answer
  }
  t.match(await view('/guest'), { statusCode: 200, headers: { 'www-authenticate': undefined, 'cache-control': 'public, max-age=60' } })
  t.match(await view('/back'), { statusCode: 303, headers: { 'retry-after': undefined, 'cache-control': 'no-store' } }, 'in a redirect it would delay the browser (RFC 9110 section 10.2.3), and a cache would redirect everybody')
  t.match(await view('/both'), { statusCode: 503, headers: { 'retry-after': /\d/, 'www-authenticate': undefined } }, 'a second refusal has no headers of the first')
  t.match(await view('/later'), { statusCode: 202, headers: { 'retry-after': '7' } }, 'that of the app stays')
})

t.test('a refusal that the app turns into another error, or into a Response, has the headers of its own status', async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  app.addHook('onRequest', async (_request, reply) => { reply.header('cache-control', 'public, max-age=60') })
  await app.register(refreshCookie, { secret: SECRET })
  const refused = (answer: (reply: FastifyReply) => unknown): RouteHandlerMethod => async ({ auth }, reply) => await auth.authenticate().catch(() => answer(reply))
  app.get('/response', refused(() => new Response('no', { status: 401, headers: { 'cache-control': 'public' } })))
  app.get('/elsewhere', refused(() => new Response(null, { status: 302, headers: { location: '/login' } })))
  app.get('/bug', refused(() => { throw new Error('boom') }))
  app.get('/bad', refused(() => { throw Object.assign(new Error('bad'), { statusCode: 400 }) }))
  app.get('/twice', async ({ auth }) => { await auth.authenticate().catch(() => auth.refresh()) })
  app.get('/home', async ({ auth }, reply) => await auth.identifyOrNull() === null ? reply.redirect('/login') : 'home')
  app.get('/unchanged', refused(reply => reply.code(304).send()))
  app.get('/early', async ({ auth }, reply) => { reply.send('early'); await auth.authenticate().catch(() => null); return reply })
  const view = async (url: string): Promise<unknown[]> => {
    const { statusCode, headers } = await app.inject(url)
    return [statusCode, headers['www-authenticate'], headers['cache-control']]
  }
  t.strictSame(await view('/response'), [401, CHALLENGE, 'no-store'])
  t.strictSame(await view('/elsewhere'), [302, undefined, 'no-store'])
  t.strictSame(await view('/bug'), [500, undefined, 'no-store'])
  t.strictSame(await view('/bad'), [400, undefined, 'no-store'])
  t.strictSame(await view('/twice'), [401, CHALLENGE, 'no-store'])
  t.strictSame(await view('/home'), [302, undefined, 'no-store'])
  t.strictSame(await view('/unchanged'), [304, undefined, 'public, max-age=60'])
  t.strictSame(await view('/early'), [200, undefined, 'public, max-age=60'])
})

t.test("a body of the host's error handler may be any value", async t => {
  for (const [sent, body] of [[[{ message: 'no' }], '[{"message":"no"}]'], [{ secret: 1, toJSON: () => 'no' }, '"no"'], [null, 'null'], [5, '5'], [new Date(0), '"1970-01-01T00:00:00.000Z"']] as const) {
    for (const status of [401, 418]) {
      const app = Fastify()
      t.teardown(async () => { await app.close() })
      app.setErrorHandler((_error, _request, reply) => { reply.code(status).type('application/json').send(sent) })
      await app.register(refreshCookie, { secret: SECRET })
      t.equal((await app.inject({ method: 'POST', url: '/auth/refresh' })).body, body, `${status} ${body}`)
    }
  }
})

t.test('hooks that the app gives to every route run at ours too', async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  app.addHook('onRoute', route => { route.onSend = [route.onSend ?? []].flat().concat(async (_request, reply) => { reply.header('x-host', '1') }) })
  await app.register(refreshCookie, { secret: SECRET })
  t.match(await app.inject({ method: 'POST', url: '/auth/refresh' }), { statusCode: 401, headers: { 'x-host': '1', 'cache-control': 'no-store' } })
})

t.test('a method of request.auth that is called before the reply exists rejects as usual', async t => {
  const app = Fastify()
  let refusal: unknown
  app.addHook('onRequest', async request => { refusal = await request.auth.authenticate().catch((error: unknown) => error) })
  await app.register(refreshCookie, { secret: SECRET })
  app.get('/', async () => ({}))
  t.match(await app.inject('/'), { statusCode: 200 })
  t.match(refusal, { code: 'FST_AUTH_ACCESS_TOKEN_MISSING', statusCode: 401 })
})

t.test('an error of a hook of the host has the status on our routes that it has on those of the host', async t => {
  const HOOKS: ReadonlyArray<readonly [name: string, hook: (reply: FastifyReply) => never, statusCode: number]> = [
    ['statusCode', () => { throw Object.assign(new Error('slow down'), { statusCode: 429 }) }, 429],
    ['status', () => { throw Object.assign(new Error('slow down'), { status: 429 }) }, 429],
    ['reply.code', reply => { reply.code(429); throw new Error('slow down') }, 429],
    ['reply.code of an outage', reply => { reply.code(503); throw new Error('slow down') }, 503],
    ['frozen', () => { throw Object.freeze(Object.assign(new Error('slow down'), { statusCode: 429, code: 'FST_ERR_QUOTA', validation: [] })) }, 429],
    ['a code that is no text', () => { throw Object.assign(new Error('slow down'), { statusCode: 429, code: 7 }) }, 429],
    ['an object', () => { throw { statusCode: 418, message: 'slow down' } }, 418], // eslint-disable-line no-throw-literal
    ['a text', () => { throw 'slow down' }, 500] // eslint-disable-line no-throw-literal
  ]
  for (const [name, hook, statusCode] of HOOKS) {
    const app = Fastify()
    t.teardown(async () => await app.close())
    app.addHook('onRequest', async (_request, reply) => hook(reply))
    await app.register(refreshCookie, { secret: SECRET })
    app.get('/mine', () => 'ok')
    for (const [method, url] of [['GET', '/mine'], ['POST', '/auth/refresh']] as const) t.equal((await app.inject({ method, url })).statusCode, statusCode, `${name} ${url}`)
  }
})

t.test('information leak: an error of a hook below 500 reaches the log without tokens and hashes', async t => {
  const lines: string[] = []
  const app = Fastify({ logger: { stream: { write (line: string) { lines.push(line) } } } })
  t.teardown(async () => await app.close())
  const token = forged('access')
  app.addHook('preHandler', async () => { throw Object.assign(new Error('captcha refused'), { statusCode: 403, config: { authorization: `Bearer ${token}` } }) })
  await app.register(refreshCookie, { secret: SECRET })
  t.match(await app.inject({ method: 'POST', url: '/auth/refresh' }), { statusCode: 403, body: /captcha refused/ })
  t.match(lines.join(''), 'captcha refused')
  t.notMatch(lines.join(''), token)
})
