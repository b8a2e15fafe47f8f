import Fastify, { type FastifyRequest } from 'fastify'
import t from 'tap'
import refreshCookie, { memoryStore } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { faultyStore } from '../support/faulty-store.js'
import { COOKIE, SECRET } from '../support/server.js'

t.test('a hook that runs before ours gets a TypeError, and no session changes: its cookie could not be sent', async t => {
  let now = 1_800_000_000
  const store = faultyStore(memoryStore())
  const verbs: Record<string, (request: FastifyRequest) => Promise<unknown>> = {
    refresh: async ({ auth }) => await auth.refresh(),
    login: async ({ auth }) => await auth.login('ada'),
    logout: async ({ auth }) => { await auth.logout() }
  }
  const app = Fastify()
  app.addHook('onRequest', async request => { await verbs[request.url.slice(1)]?.(request) })
  await app.register(refreshCookie, { secret: SECRET, store, clock: () => now })
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  app.post('/:verb', async () => ({}))
  t.teardown(() => app.close())
  const cookie = `${COOKIE}=${(await app.inject({ method: 'POST', url: '/enter' })).cookies[0]?.value}`
  now += 60
  store.calls.length = 0
  for (const verb of Object.keys(verbs)) {
    t.match(await app.inject({ method: 'POST', url: `/${verb}`, headers: { cookie } }), { statusCode: 500, body: /register fastify-refresh-cookie before the hooks/ }, verb)
    t.strictSame(store.calls, [], verb)
  }
})

t.test('once the reply is sent or hijacked no session changes: its cookie could not be sent', async t => {
  let now = 1_800_000_000
  const store = faultyStore(memoryStore())
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, store, clock: () => now })
  const refusals: unknown[] = []
  const tryAll = async ({ auth }: FastifyRequest): Promise<void> => {
    for (const change of [() => auth.refresh(), () => auth.login('ada'), () => auth.logout()]) await change().catch((error: unknown) => refusals.push(error))
  }
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  app.post('/answered', { onResponse: tryAll }, async () => ({}))
  app.post('/sent', async (request, reply) => {
    reply.send({})
    await tryAll(request)
    return reply
  })
  app.post('/hijacked', async (request, reply) => {
    reply.hijack()
    await tryAll(request)
    reply.raw.end()
  })
  app.post('/streamed', async (request, reply) => {
    reply.raw.writeHead(200)
    await tryAll(request)
    reply.raw.end()
    return reply
  })
  t.teardown(() => app.close())
  const cookie = `${COOKIE}=${(await app.inject({ method: 'POST', url: '/enter' })).cookies[0]?.value}`
  now += 60
  store.calls.length = 0
  for (const url of ['/answered', '/sent', '/hijacked', '/streamed']) {
    refusals.length = 0
    await app.inject({ method: 'POST', url, headers: { cookie } })
    t.match(refusals, exactly(...Array.from({ length: 3 }, () => ({ name: 'TypeError', message: /before the reply is sent or hijacked/ }))), url)
  }
  t.strictSame(store.calls, [])
})

t.test('the time limit of a request is that of its reply: a socket or a stream that stays open has it for each call', async t => {
  let passed = 0
  const now = performance.now.bind(performance)
  t.intercept(performance, 'now', { value: () => now() + passed })
  const store = memoryStore()
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, store: { ...store, async get (id) { passed += 2000; return await store.get(id) } } })
  const identifyThrice = async ({ auth }: FastifyRequest): Promise<string[]> => {
    const codes: string[] = []
    for (let nth = 0; nth < 3; nth++) await auth.identify().then(() => codes.push('ok'), error => codes.push(error.code))
    return codes
  }
  let onStream: string[] = []
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  app.get('/page', async request => await identifyThrice(request))
  app.get('/stream', async (request, reply) => {
    reply.hijack()
    onStream = await identifyThrice(request)
    reply.raw.end()
  })
  t.teardown(() => app.close())
  const cookie = `${COOKIE}=${(await app.inject({ method: 'POST', url: '/enter' })).cookies[0]?.value}`
  t.strictSame((await app.inject({ url: '/page', headers: { cookie } })).json(), ['ok', 'ok', 'FST_AUTH_STORE_UNAVAILABLE'])
  await app.inject({ url: '/stream', headers: { cookie } })
  t.strictSame(onStream, ['ok', 'ok', 'ok'])
})
