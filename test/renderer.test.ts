import Fastify from 'fastify'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type RefreshCookieOptions } from '../lib/index.js'
import { getSession, PageSessionError, refreshSession } from '../lib/renderer.js'
import { exactly } from './support/exactly.js'
import { COOKIE, forget, loggedIn, sessionOf, type LoggedIn } from './support/server.js'

const TYPED = { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const LINK = { ...TYPED, 'sec-fetch-site': 'cross-site' }

/** An API that listens, the headers that arrived there, and the Cookie header of Ada's browser. */
async function api (t: Test, options: RefreshCookieOptions = {}): Promise<LoggedIn & { url: string, received: Array<Record<string, unknown>>, cookies: () => string }> {
  const received: Array<Record<string, unknown>> = []
  const s = await loggedIn(t, { routes: { session: '/session' }, ...options }, {}, app => {
    app.addHook('onRequest', async request => { received.push(request.headers) })
  })
  received.length = 0
  const origin = await s.app.listen({ port: 0, host: '127.0.0.1' })
  return { ...s, received, url: `${origin}/auth`, cookies: () => `theme=dark; ${String(s.ada.jar.header('/'))}; other=1` }
}

t.test('getSession names the user, from headers of any kind', async t => {
  const s = await api(t)
  const cookie = s.cookies()
  for (const from of [cookie, new Headers({ cookie }), { cookie }, { cookie: ['theme=dark', String(s.ada.jar.header('/'))] }, { ...TYPED, cookie }]) {
    t.match(await getSession(from, { url: s.url }), { sub: '1', sid: sessionOf(s.ada), claims: {} })
  }
  t.match(await getSession(cookie, { url: new URL(`${s.url}/`) }), { sub: '1' })
})

t.test('getSession forwards the refresh cookie and nothing else that identifies the user', async t => {
  const s = await api(t)
  const headers = { ...LINK, cookie: s.cookies(), authorization: 'Bearer secret', 'user-agent': 'Firefox', 'accept-language': 'de' }
  await getSession(headers, { url: s.url })
  t.equal(s.received[0]?.['cookie'], s.ada.jar.header('/'))
  t.strictSame([s.received[0]?.['authorization'], s.received[0]?.['sec-fetch-site']], [undefined, 'none'])
  t.not(s.received[0]?.['user-agent'], 'Firefox')
  await getSession(headers, { url: s.url, forwardUserAgent: true })
  t.equal(s.received[1]?.['user-agent'], 'Firefox')
})

t.test('without the refresh cookie there is no request', async t => {
  for (const from of [null, undefined, '', 'theme=dark', `x${COOKIE}=1`, {}, { cookie: undefined }, new Headers()]) {
    t.equal(await getSession(from, { url: 'http://127.0.0.1:1/auth' }), null)
    if (typeof from !== 'string') t.equal(await refreshSession(from, { url: 'http://127.0.0.1:1/auth' }), null)
  }
  t.equal(await getSession('refresh=1', { url: 'http://127.0.0.1:1', cookieName: 'session' }), null)
})

t.test('a promise or a request instead of headers is an error, and not nobody', async t => {
  for (const wrong of [Promise.resolve(new Headers()), new Request('http://127.0.0.1')] as unknown as Headers[]) {
    for (const call of [getSession, refreshSession]) await t.rejects(async () => { await call(wrong, { url: 'http://127.0.0.1:1/auth' }) }, { name: 'TypeError', message: /await headers\(\)/ })
  }
})

t.test('a url that is missing or none is an error, also for a visitor', async t => {
  for (const options of [undefined, {}, { url: '/auth' }, { url: undefined }, 'http://127.0.0.1'] as unknown as Array<{ url: string }>) {
    for (const call of [getSession, refreshSession]) await t.rejects(async () => { await call({}, options) }, { name: 'TypeError', message: /^the option "url" of getSession and refreshSession is/ })
  }
  await t.rejects(refreshSession(`${COOKIE}=x`, { url: 'http://127.0.0.1:1/auth' }), { name: 'TypeError', message: /takes the headers of a request/ })
})

t.test('headers with a property or a header of the name headers are headers', async t => {
  const s = await api(t)
  /** As `headers()` of Next.js 16 gives them. */
  class HeadersAdapter extends Headers {
    readonly headers = { cookie: s.cookies() }
  }
  for (const from of [new HeadersAdapter({ cookie: s.cookies() }), { cookie: s.cookies(), headers: 'x' }, { cookie: s.cookies(), headers: ['x'] }]) {
    t.match(await getSession(from, { url: s.url }), { sub: '1' })
  }
})

t.test('nobody is null: an invalid cookie, an ended session', async t => {
  const s = await api(t)
  const cookie = s.cookies()
  t.equal(await getSession(`${COOKIE}=x`, { url: s.url }), null)
  await s.ada.logout()
  t.equal(await getSession(cookie, { url: s.url }), null)
})

t.test('clickjacking: a frame and fetch of another site see nobody', async t => {
  const s = await api(t)
  const cookie = s.cookies()
  t.equal(await getSession({ ...LINK, 'sec-fetch-dest': 'iframe', cookie }, { url: s.url }), null)
  t.equal(await getSession({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', cookie }, { url: s.url }), null)
  t.match(await getSession({ ...LINK, cookie }, { url: s.url }), { sub: '1' }, 'a link does')
})

t.test('cross-site WebSocket hijacking, CSRF: a foreign Origin sees nobody', async t => {
  const s = await api(t)
  const [cookie, host] = [s.cookies(), 'web.example']
  const form = { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  for (const origin of ['https://evil.example', 'https://web.example:8443', 'null', 'web.example']) {
    t.equal(await getSession({ cookie, host, origin, upgrade: 'websocket' }, { url: s.url }), null, `an upgrade by ${origin}`)
    t.equal(await getSession({ ...form, cookie, host, origin }, { url: s.url }), null, `a form of ${origin}`)
  }
  t.equal(await getSession({ cookie, origin: 'https://web.example' }, { url: s.url }), null, 'without a Host')
  t.equal(await getSession({ ...form, cookie, host, origin: 'http://web.example' }, { url: s.url }), null, 'a form of a page over http, which Firefox calls same-site')
  const own = { cookie, origin: 'https://web.example' }
  t.match(await getSession({ ...own, host, upgrade: 'websocket' }, { url: s.url }), { sub: '1' })
  for (const forwarded of [host, `${host}, proxy.internal`, `${host}:443`, 'WEB.example']) {
    t.match(await getSession({ ...own, host: '10.0.0.7:3000', 'x-forwarded-host': forwarded }, { url: s.url }), { sub: '1' }, forwarded)
  }
  t.match(await getSession({ ...own, host: '10.0.0.7:3000', 'sec-fetch-site': 'same-origin' }, { url: s.url }), { sub: '1' })
})

t.test('a response that is no session is a failure, not a user', async t => {
  const bodies = ['', '<html>', '{}', '"x"', 'null', '[]', '{"sub":1}', '{"sub":']
  const server = createServer((_request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).end(bodies[0]) })
  t.teardown(() => { server.close().closeAllConnections() })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo // it listens on TCP
  for (; bodies.length > 0; bodies.shift()) {
    await t.rejects(getSession(`${COOKIE}=x`, { url: `http://127.0.0.1:${port}` }), { name: 'PageSessionError', status: 200, message: /check the url/ }, String(bodies[0]))
  }
})

t.test('with a SameSite=None cookie the headers are needed', async t => {
  const s = await api(t, { cookie: { sameSite: 'none' }, trustedOrigins: ['https://app.example'] })
  const cookie = s.cookies()
  await t.rejects(getSession(cookie, { url: s.url }), { name: 'PageSessionError', status: 403, message: /pass all headers/ })
  t.match(await getSession({ ...TYPED, cookie }, { url: s.url }), { sub: '1' })
  s.wait('31s')
  t.match(await refreshSession({ ...TYPED, cookie }, { url: s.url }), { cookie: /theme=dark/ })
})

t.test('a cookie of another name is given as cookieName', async t => {
  const s = await api(t, { cookie: { name: '__Host-mine' } })
  const cookie = String(s.ada.jar.header('/'))
  t.equal(await getSession(cookie, { url: s.url }), null)
  t.match(await getSession(cookie, { url: s.url, cookieName: '__Host-mine' }), { sub: '1' })
})

t.test('a failure is never "nobody": 5xx, an unreachable API, a slow one, a redirect, a missing route', async t => {
  const s = await api(t)
  s.store.faults.push({ moment: 'before', kind: 'throw' })
  await t.rejects(getSession(s.cookies(), { url: s.url }), PageSessionError)
  await t.rejects(getSession(s.cookies(), { url: 'http://127.0.0.1:1/auth' }), { name: 'PageSessionError', status: undefined, message: /unreachable/, cause: Error })
  await t.rejects(getSession(s.cookies(), { url: `${s.url}/nowhere` }), { status: 404, message: /routes: \{ session/ })

  const slow = createServer((request, response) => {
    if (request.url === '/away/session') response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
  })
  t.teardown(() => { slow.close().closeAllConnections() })
  await new Promise<void>(resolve => { slow.listen(0, '127.0.0.1', resolve) })
  const { port } = slow.address() as AddressInfo // it listens on TCP
  await t.rejects(getSession(s.cookies(), { url: `http://127.0.0.1:${port}`, timeout: 50 }), { status: undefined, cause: { name: 'TimeoutError' } })
  await t.rejects(getSession(s.cookies(), { url: `http://127.0.0.1:${port}/away` }), { status: 302, message: /302/ })
})

t.test('a 401 or 403 of a proxy is a failure, and not nobody', async t => {
  const s = await api(t)
  const proxy = createServer((request, response) => { response.writeHead(Number(request.url?.split('/')[1]), { 'content-type': 'text/html' }).end('<h1>No</h1>') })
  t.teardown(() => { proxy.close() })
  await new Promise<void>(resolve => { proxy.listen(0, '127.0.0.1', resolve) })
  const { port } = proxy.address() as AddressInfo // it listens on TCP
  for (const status of [401, 403]) await t.rejects(getSession({ ...TYPED, cookie: s.cookies() }, { url: `http://127.0.0.1:${port}/${status}` }), { name: 'PageSessionError', status })
})

t.test('refreshSession refreshes on a navigation, once per grace period', async t => {
  const s = await api(t)
  s.wait('31s')
  const cookie = s.cookies()
  const refreshes = await Promise.all(Array.from({ length: 8 }, () => refreshSession({ ...TYPED, cookie }, { url: s.url })))
  t.equal(new Set(refreshes.map(refreshed => String(refreshed?.setCookie))).size, 1, 'parallel navigations get one cookie')
  t.match(refreshes[0]?.setCookie, exactly(/^__Host-Http-refresh=.*HttpOnly/))
  s.ada.jar.store([...refreshes[0]?.setCookie ?? []])
  t.equal(refreshes[0]?.cookie, `theme=dark; other=1; ${String(s.ada.jar.header('/'))}`)
  t.match(await getSession(cookie, { url: s.url }), { sub: '1' }, 'a render with the old cookie')
  t.match(await getSession(refreshes[0]?.cookie, { url: s.url }), { sub: '1' })
  t.equal(await refreshSession({ ...TYPED, cookie: s.cookies() }, { url: s.url }), null, 'held')
  t.equal(s.events.filter(event => event.type === 'refresh' && event.outcome === 'rotate').length, 1)
})

t.test('refreshSession pauses after a refresh', async t => {
  const s = await api(t, { clock: () => Date.now() / 1000, refreshToken: { grace: 0, recoverLostReply: false } })
  s.received.length = 0
  t.equal(await refreshSession({ ...TYPED, cookie: s.cookies() }, { url: s.url }), null)
  t.strictSame(s.received, [], 'without a request')
  t.equal(await refreshSession({ ...TYPED, cookie: `${COOKIE}=a.%.c` }, { url: s.url }), null)
  t.equal(await refreshSession({ ...TYPED, cookie: `${COOKIE}=a` }, { url: s.url }), null)
  t.equal(s.received.length, 2, 'an unreadable cookie is left to the API')
  t.match(await refreshSession({ ...TYPED, cookie: `${s.cookies()}; ${COOKIE}=x` }, { url: s.url }), { cookie: /theme/ }, 'and several cookies')
})

t.test('refreshSession pauses after a refresh, whatever the name of the cookie', async t => {
  const cookieName = '__Host-shop.refresh'
  const s = await api(t, { clock: () => Date.now() / 1000, refreshToken: { grace: 0, recoverLostReply: false }, cookie: { name: cookieName } })
  s.received.length = 0
  t.equal(await refreshSession({ ...TYPED, cookie: s.cookies() }, { url: s.url, cookieName }), null)
  t.strictSame(s.received, [])
})

t.test('refreshSession trusts no time in the future: the clocks of both servers differ', async t => {
  const s = await api(t, { clock: () => Date.now() / 1000 + 3600 })
  s.received.length = 0
  t.equal(await refreshSession({ ...TYPED, cookie: s.cookies() }, { url: s.url }), null)
  t.equal(s.received.length, 1)
})

t.test('refreshSession does nothing for other requests', async t => {
  const s = await api(t)
  s.wait('31s')
  const cookie = s.cookies()
  s.received.length = 0
  const others = [
    { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', cookie },
    { ...LINK, 'sec-fetch-dest': 'iframe', cookie },
    { ...TYPED, 'sec-purpose': 'prefetch;prerender', cookie },
    { ...LINK, cookie },
    { ...LINK, 'sec-fetch-site': 'same-site', cookie },
    { accept: 'image/*', cookie },
    { cookie }
  ]
  for (const headers of others) t.equal(await refreshSession(headers, { url: s.url }), null)
  t.strictSame(s.received, [])
  t.match(await refreshSession({ accept: 'text/html,*/*', cookie }, { url: s.url }), { setCookie: exactly(/refresh=/) }, 'but in a browser without Fetch Metadata')
})

t.test('refreshSession keeps the session if the refresh is refused or fails', async t => {
  const s = await api(t)
  s.wait('31s')
  const cookie = s.cookies()
  t.equal(await refreshSession({ ...TYPED, cookie: `${COOKIE}=x` }, { url: s.url }), null)
  t.equal(await refreshSession({ ...TYPED, cookie }, { url: 'http://127.0.0.1:1' }), null)
  s.store.faults.push({ moment: 'before', kind: 'throw' })
  t.equal(await refreshSession({ ...TYPED, cookie }, { url: s.url }), null)
  t.match(await refreshSession({ ...TYPED, cookie }, { url: s.url }), { setCookie: exactly(/refresh=/) })
})

t.test('refreshSession drops a cookie that the response clears', async t => {
  const app = Fastify()
  app.post('/auth/refresh', async (_request, reply) => reply.header('set-cookie', ['refresh=; Path=/; Max-Age=0', `${COOKIE}=new; Path=/`, 'LB=abc==; Path=/', 'sid=; Path=/; Max-Age=0']).send({}))
  t.teardown(async () => { await app.close() })
  const url = `${await app.listen({ port: 0, host: '127.0.0.1' })}/auth`
  t.match(await refreshSession({ ...TYPED, cookie: `refresh=old; ${COOKIE}=old; sid=a` }, { url }), { cookie: `sid=a; ${COOKIE}=new`, setCookie: exactly('refresh=; Path=/; Max-Age=0', `${COOKIE}=new; Path=/`) }, 'and no other cookie of the API, set or cleared')
  await app.close()

  const named = Fastify()
  named.post('/auth/refresh', async (_request, reply) => reply.header('set-cookie', [`${COOKIE}=; Path=/; Max-Age=0`, 'mine=new; Path=/']).send({}))
  t.teardown(async () => { await named.close() })
  const mine = { url: `${await named.listen({ port: 0, host: '127.0.0.1' })}/auth`, cookieName: 'mine' }
  t.match(await refreshSession({ ...TYPED, cookie: `${COOKIE}=old; mine=old` }, mine), { cookie: 'mine=new' }, 'a former default name')
})

t.test('session fixation: a cookie whose name begins with the byte 0xA0 is not that of the user', async t => {
  const s = await api(t)
  const planted = `\xa0${String(s.ada.jar.header('/'))}`
  for (const headers of [{ ...TYPED, cookie: planted }, { ...TYPED, cookie: `a=1; ${planted}` }]) {
    t.equal(await getSession(headers, { url: s.url }), null)
    t.equal(await refreshSession(headers, { url: s.url }), null)
  }
  t.strictSame(s.received, [])
  t.match(await getSession(`a=1;\t ${String(s.ada.jar.header('/'))}`, { url: s.url }), { sub: '1' })
})

t.test('denial of service: a body without an end is not read', async t => {
  let sent = 0
  const endless = createServer((request, response) => {
    response.writeHead(request.url === '/ok/session' ? 200 : 500)
    const write = (): void => {
      do sent += 10_000
      while (response.write('x'.repeat(10_000)) && !response.destroyed)
    }
    response.on('drain', write)
    write()
  })
  t.teardown(() => { endless.close().closeAllConnections() })
  await new Promise<void>(resolve => { endless.listen(0, '127.0.0.1', resolve) })
  const { port } = endless.address() as AddressInfo // it listens on TCP
  for (const path of ['ok', 'failed']) {
    sent = 0
    await t.rejects(getSession(`${COOKIE}=x`, { url: `http://127.0.0.1:${port}/${path}` }), { name: 'PageSessionError' })
    t.ok(sent < 20_000_000, `${sent} bytes`) // the buffers of a connection; in 5 s, the timeout, it would be far more
  }
})

t.test('a session that was refreshed by pages lasts to its absolute end, one that was only read does not', async t => {
  const s = await api(t)
  forget(s.events)
  for (let day = 0; day < 29; day++) {
    s.wait('1d')
    const refreshed = await refreshSession({ ...TYPED, cookie: s.cookies() }, { url: s.url })
    s.ada.jar.store([...refreshed?.setCookie ?? []])
    t.match(await getSession(s.cookies(), { url: s.url }), { sub: '1' })
  }
  s.wait('1d')
  t.equal(await getSession(s.cookies(), { url: s.url }), null)
})

t.test('refreshSession pauses after a refresh, whatever characters of base64url the token has', async t => {
  const s = await api(t)
  const payload = Buffer.from(JSON.stringify({ x: '???>>>', iat: Date.now() / 1000 })).toString('base64url')
  t.match(payload, /_.*-/)
  t.equal(await refreshSession({ ...TYPED, cookie: `${COOKIE}=a.${payload}.c` }, { url: s.url }), null)
  t.equal(s.received.length, 0)
})

t.test('refreshSession leaves no body unread, which would keep the connection', async t => {
  let cancelled = 0
  t.intercept(globalThis, 'fetch', { value: async () => new Response(new ReadableStream({ cancel () { cancelled++ } })) })
  t.equal(await refreshSession({ ...TYPED, cookie: `${COOKIE}=x` }, { url: 'http://127.0.0.1:1/auth' }), null)
  t.equal(cancelled, 1)
})
