import t from 'tap'
import { browser, signedIn } from './support/browser.js'
import { LIFETIME, refusal } from './support/fake-server.js'
import { idle } from './support/fake-time.js'

const EXPIRED = LIFETIME * 1000
const REFRESH = '/auth/refresh'

t.test('a request to the API carries the access token and its own headers', async t => {
  const { server, signedIn } = browser(t)
  const { fetch } = await signedIn()
  const answer = await fetch('/api/me', { headers: { accept: 'text/x' } })
  t.match(await answer.json(), { sub: 'ann' })
  t.equal(server.arrivals.at(-1)?.headers.get('accept'), 'text/x')
})

const targets: ReadonlyArray<readonly [name: string, input: RequestInfo | URL, prefix?: string]> = [
  ['a relative URL', 'api/me'],
  ['a URL object', new URL('https://app.test/api/me')],
  ['a Request', new Request('https://app.test/api/me', { headers: { 'x-own': '1' } })],
  ['a URL beside the prefix', '/authors'],
  ['a route of the plugin', '/auth/sessions'],
  ['the origin of the prefix', 'https://api.test/me', 'https://api.test/auth']
]

for (const [name, input, prefix = '/auth'] of targets) {
  t.test(`the access token is sent to ${name}`, async t => {
    const { server, signedIn } = browser(t)
    await (await signedIn({ prefix })).fetch(input)
    t.match(server.arrivals.at(-1)?.headers.get('authorization'), /^Bearer ./)
  })
}

const elsewhere: ReadonlyArray<readonly [name: string, input: RequestInfo | URL, prefix?: string]> = [
  ['another origin', 'https://evil.test/api/me'],
  ['another port', 'https://app.test:8443/api/me'],
  ['plain http', 'http://app.test/api/me'],
  ['the page while the API is elsewhere', '/api/me', 'https://api.test/auth'],
  ['a route of the plugin of another origin', 'https://evil.test/auth/sessions'],
  ['another origin in a Request', new Request('https://evil.test/api/me')]
]

for (const [name, input, prefix = '/auth'] of elsewhere) {
  t.test(`token leakage: no token is sent to ${name}, and its 401 is passed on`, async t => {
    const { server, signedIn } = browser(t)
    const ann = await signedIn({ prefix })
    t.equal((await ann.fetch(input)).status, 401)
    t.equal(server.arrivals.at(-1)?.headers.get('authorization'), null)
    t.equal(server.count(REFRESH), 0)
  })
}

t.test('cookies of an API on another origin are sent and stored, unless the caller says otherwise', async t => {
  const { server, signedIn } = browser(t)
  const { fetch } = await signedIn({ prefix: 'https://api.test/auth' })
  const credentials: unknown[] = []
  for (const init of [undefined, { method: 'POST' }, { credentials: 'omit' }] as const) {
    await fetch('https://api.test/me', init)
    credentials.push(server.arrivals.at(-1)?.init?.credentials)
  }
  t.strictSame(credentials, ['include', 'include', 'omit'])
})

t.test('race: a refresh of another tab waits for a password change, whose cookie it then sends', async t => {
  const { server, tab, signedIn, time } = browser(t)
  const ann = await signedIn()
  const other = tab()
  await other.init()
  const answer = server.hold('/auth/password')
  const change = ann.fetch('/auth/password', { method: 'POST' })
  await idle()
  const before = server.count(REFRESH)
  const refresh = other.refresh()
  await idle()
  t.equal(server.count(REFRESH), before, 'the tab lock is held')
  answer()
  await change
  await time.advance(50)
  t.match(await refresh, { status: 'in' })
  t.equal(server.count(REFRESH), before + 1)
})

t.test('on the own origin the credentials are those of the platform, which a redirect to another origin may not need', async t => {
  const { server, ann } = await signedIn(t)
  await ann.fetch('/api/me')
  t.notOk('credentials' in (server.arrivals.at(-1)?.init ?? {}))
})

t.test('the caller’s own Authorization header stays, and its 401 is passed on', async t => {
  const { server, ann } = await signedIn(t)
  const authorization = 'Basic YTpi'
  await ann.fetch('/api/me', { headers: { authorization } })
  await ann.fetch(new Request('https://app.test/api/me', { headers: { authorization } }))
  t.same(server.arrivals.slice(-2).map(({ headers }) => headers.get('authorization')), [authorization, authorization])
  t.equal(server.count(REFRESH), 0)
})

t.test('an invalid URL rejects as with the platform’s fetch', async t => {
  const { signedIn } = browser(t)
  await t.rejects((await signedIn()).fetch('https://['), TypeError)
})

t.test('after a logout requests are sent without a token, and a 401 is passed on', async t => {
  const { server, tab } = browser(t)
  const nobody = tab()
  await nobody.init()
  t.equal((await nobody.fetch('/api/me')).status, 401)
  t.equal((await nobody.fetch(new Request('https://app.test/api/me'))).status, 401)
  t.equal(await nobody.token(), null)
  t.equal(server.count(REFRESH), 1)
})

t.test('a request before init waits for its result', async t => {
  const { server, tab } = browser(t)
  server.cookie = 'ann'
  const ann = tab()
  const [answer, state] = await Promise.all([ann.fetch('/api/me'), ann.init()])
  t.match(await answer.json(), { sub: 'ann' })
  t.match(state, { status: 'in' })
  t.equal(server.count(REFRESH), 1)
})

t.test('a late 401 is repeated with the new token, without another refresh', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()
  const release = server.hold('/api/slow')
  const slow = ann.fetch('/api/slow')
  await idle()
  await ann.fetch('/api/me')
  t.equal(server.count(REFRESH), 1)

  release()
  t.equal((await slow).status, 200)
  t.equal(server.count(REFRESH), 1)
})

t.test('a request is repeated at most once', async t => {
  const { server, ann } = await signedIn(t)
  const refused = () => refusal(401, 'FST_AUTH_SESSION_ENDED')
  server.script('/api/me', refused, refused, refused)
  t.equal((await ann.fetch('/api/me')).status, 401)
  t.equal(server.count('/api/me'), 2)
  t.equal(server.count(REFRESH), 1)
})

t.test('the body of a 401 that is passed on is unread', async t => {
  const { server, ann } = await signedIn(t)
  const refused = () => refusal(401, 'FST_AUTH_SESSION_ENDED')
  server.script('/api/me', refused, refused)
  t.match(await (await ann.fetch('/api/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('rate limits: a wrong password is sent once, and its 401 is passed on', async t => {
  const { server, ann } = await signedIn(t)
  server.script('/auth/password', refusal(401, 'FST_AUTH_CREDENTIALS_INVALID'))
  const answer = await ann.fetch('/auth/password', { method: 'POST', body: '{}' })
  t.match(await answer.json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.equal(server.count('/auth/password'), 1)
  t.equal(server.count(REFRESH), 0)
})

t.test('a route of the plugin that refuses the token is repeated once', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()
  t.equal((await ann.fetch('/auth/sessions')).status, 200)
  t.equal(server.count('/auth/sessions'), 2)
})

t.test('a 401 whose body does not have the code is repeated by its challenge', async t => {
  const { server, signedIn } = browser(t)
  server.script('/api/me', new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer realm="api", error="invalid_token"' } }))
  t.equal((await (await signedIn()).fetch('/api/me')).status, 200)
})

t.test("rate limits: a 401 of the app's own is passed on without a refresh, and the token stays", async t => {
  const { server, ann } = await signedIn(t)
  const token = await ann.token()
  for (const own of [new Response(null, { status: 401 }), Response.json({ message: 'upstream wants other credentials' }, { status: 401, headers: { 'www-authenticate': 'Basic' } })]) {
    server.script('/api/me', own)
    t.equal((await ann.fetch('/api/me')).status, 401)
  }
  t.equal(server.count('/api/me'), 2)
  t.equal(server.count(REFRESH), 0)
  t.equal(await ann.token(), token)
})

t.test('a refused token is not used again, even if the refresh fails', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()
  server.script(REFRESH, 'offline')
  await t.rejects(ann.fetch('/api/me'), { name: 'AuthError' })
  await t.rejects(ann.fetch('/api/me'), { name: 'AuthError' })
  t.equal(server.count('/api/me'), 1)
  t.match(ann.state, { status: 'in' })
})

t.test('the 401 is passed on if the session turns out to have ended', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()
  server.ended = 'FST_AUTH_SESSION_ENDED'
  t.equal((await ann.fetch('/api/me')).status, 401)
  t.match(ann.state, { status: 'out' })
  t.equal(server.count('/api/me'), 1)
})

t.test('responses other than a 401 are passed on', async t => {
  const { server, ann } = await signedIn(t)
  server.script('/api/me', refusal(403, 'FST_AUTH_FRESH_LOGIN_REQUIRED'), refusal(500, 'FST_ERR'), 'offline')
  t.equal((await ann.fetch('/api/me')).status, 403)
  t.equal((await ann.fetch('/api/me')).status, 500)
  await t.rejects(ann.fetch('/api/me'), TypeError)
  t.equal(server.count(REFRESH), 0)
})

t.test('account confusion: no request is repeated as another user who logged in meanwhile', async t => {
  const { server, tab, ann } = await signedIn(t)
  const other = tab()
  server.forgetTokens()
  const release = server.hold('/api/orders')
  const order = ann.fetch('/api/orders', { method: 'POST', body: 'a book' })
  await idle()
  await other.login({ username: 'bob', password: 'right' })
  release()

  const answer = await order
  t.match(await answer.json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_INVALID' }, 'the original answer, unread')
  t.equal(server.count('/api/orders'), 1)
  t.match(ann.state, { claims: { sub: 'bob' } })
})

t.test('account confusion: no request is sent as another user who logged in during the refresh', async t => {
  const { server, time, tab, ann } = await signedIn(t)
  const other = tab()
  await time.advance(EXPIRED)
  const login = other.login({ username: 'bob', password: 'right' })
  const answer = await ann.fetch('/api/orders', { method: 'POST', body: 'a book' })
  await login
  t.equal(answer.status, 401)
  t.same(server.arrivals.filter(({ path }) => path === '/api/orders').map(({ sub }) => sub), [null])
})

t.test('account confusion: no request is sent without a token after a logout meanwhile', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED)
  server.ended = 'FST_AUTH_SESSION_ENDED'
  t.equal((await ann.fetch('/api/orders', { method: 'POST' })).status, 401)
  t.match(server.arrivals.at(-1)?.headers.get('authorization'), /^Bearer ./, 'a route for everybody would take it otherwise')
})

const form = new FormData()
form.set('title', 'a book')

const bodies: ReadonlyArray<readonly [name: string, body: BodyInit, arrives: RegExp]> = [
  ['a string', 'a book', /^a book$/],
  ['a blob', new Blob(['a book']), /^a book$/],
  ['a form', form, /name="title"\r\n\r\na book\r\n/],
  ['parameters', new URLSearchParams({ title: 'a book' }), /^title=a\+book$/],
  ['bytes', new TextEncoder().encode('a book'), /^a book$/]
]

for (const [name, body, arrives] of bodies) {
  t.test(`a body that is ${name} is sent again, in a Request too`, async t => {
    const { server, ann } = await signedIn(t)
    const init = { method: 'POST', body, headers: { 'x-own': '1' } }
    for (const send of [() => ann.fetch('/api/orders', init), () => ann.fetch(new Request('https://app.test/api/orders', init))]) {
      server.forgetTokens()
      t.equal((await send()).status, 200)
    }
    const sent = server.arrivals.filter(({ path }) => path === '/api/orders')
    t.same(sent.map(({ method, headers }) => [method, headers.get('x-own')]), Array(4).fill(['POST', '1']))
    for (const { body } of sent) t.match(body, arrives)
  })
}

t.test('a stream is never sent again: its 401 is passed on, and the next request succeeds', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()
  const body = new Blob(['a book']).stream()
  t.equal((await ann.fetch('/api/orders', { method: 'POST', body, duplex: 'half' } as RequestInit)).status, 401) // the DOM's types do not know duplex
  t.equal(server.count('/api/orders'), 1)
  t.equal((await ann.fetch('/api/me')).status, 200)
})

t.test('an abort during the refresh rejects at once, and only its own request', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED)
  const release = server.hold(REFRESH)
  const caller = new AbortController()
  const impatient = ann.fetch('/api/me', { signal: caller.signal })
  const patient = ann.fetch('/api/me')
  await idle()
  caller.abort(new Error('changed my mind'))
  await t.rejects(impatient, { message: 'changed my mind' })

  release()
  t.equal((await patient).status, 200)
  t.equal(server.count('/api/me'), 1)
  t.equal(server.count(REFRESH), 1)
})

t.test('an abort after a 401 rejects at once, by the signal of a Request, too', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()
  server.hold(REFRESH)
  const caller = new AbortController()
  const request = ann.fetch(new Request('https://app.test/api/me', { signal: caller.signal }))
  await idle()
  caller.abort()
  await t.rejects(request, { name: 'AbortError' })
})

t.test('an aborted signal rejects at once', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED)
  server.hold(REFRESH)
  await t.rejects(ann.fetch('/api/me', { signal: AbortSignal.abort() }), { name: 'AbortError' })
})

t.test('an abort during the response rejects as with the platform’s fetch', async t => {
  const { server, ann } = await signedIn(t)
  server.hold('/api/me')
  const caller = new AbortController()
  const request = ann.fetch('/api/me', { signal: caller.signal })
  await idle()
  caller.abort()
  await t.rejects(request, { name: 'AbortError' })
})

t.test('memory leak: a signal of many requests keeps no listener', async t => {
  const { ann } = await signedIn(t)
  const { signal } = new AbortController()
  let listeners = 0
  const { addEventListener: add, removeEventListener: remove } = signal
  signal.addEventListener = (...listener: Parameters<typeof add>) => { listeners++; add.apply(signal, listener) }
  signal.removeEventListener = (...listener: Parameters<typeof remove>) => { listeners--; remove.apply(signal, listener) }
  const before = listeners
  // Without the platform's own listeners: a Request and the server add some too.
  await ann.fetch('https://evil.test/', { signal })
  const others = listeners - before
  await ann.fetch('/api/me', { signal })
  t.equal(listeners - before, 2 * others)
})

t.test('the option fetch sends all requests', async t => {
  const { server, tab } = browser(t)
  const urls: string[] = []
  const ann = tab({
    fetch (input, init) {
      urls.push(String(input))
      return server.fetch(input, init)
    }
  })
  await ann.login({ username: 'ann', password: 'right' })
  await ann.fetch('/api/me')
  await ann.fetch('https://elsewhere.test/')
  t.same(urls, ['https://app.test/auth/login', '/api/me', 'https://elsewhere.test/'])
})

t.test('a later replacement of the platform’s fetch is used', async t => {
  const { ann } = await signedIn(t)
  globalThis.fetch = async () => Response.json('mocked')
  t.equal(await (await ann.fetch('/api/me')).json(), 'mocked')
})

t.test('headers of the second argument replace those of a Request, as with the platform’s fetch', async t => {
  const { server, ann } = await signedIn(t)
  await ann.fetch(new Request('https://app.test/api/me', { headers: { 'x-own': '1' } }), { headers: { 'x-own': '2' } })
  t.equal(server.arrivals.at(-1)?.headers.get('x-own'), '2')
})
