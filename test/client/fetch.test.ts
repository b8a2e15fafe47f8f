import t from 'tap'
import { browser } from './support/browser.js'
import { LIFETIME, refusal } from './support/fake-server.js'
import { idle } from './support/fake-time.js'

const EXPIRED = LIFETIME * 1000
const REFRESH = '/auth/refresh'

t.test('a request to the API carries the token, and its own headers', async t => {
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
  t.test(`the token goes with a request to ${name}`, async t => {
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
  t.test(`no token goes with a request to ${name}, and its 401 is the answer`, async t => {
    const { server, signedIn } = browser(t)
    const ann = await signedIn({ prefix })
    t.equal((await ann.fetch(input)).status, 401)
    t.equal(server.arrivals.at(-1)?.headers.get('authorization'), null)
    t.equal(server.count(REFRESH), 0)
  })
}

t.test('an Authorization header that was given stays, and its 401 is the answer', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  const authorization = 'Basic YTpi'
  await ann.fetch('/api/me', { headers: { authorization } })
  await ann.fetch(new Request('https://app.test/api/me', { headers: { authorization } }))
  t.same(server.arrivals.slice(-2).map(({ headers }) => headers.get('authorization')), [authorization, authorization])
  t.equal(server.count(REFRESH), 0)
})

t.test('a URL that is none rejects as with the platform', async t => {
  const { signedIn } = browser(t)
  await t.rejects((await signedIn()).fetch('https://['), TypeError)
})

t.test('who is signed out sends requests without a token, and gets the 401', async t => {
  const { server, tab } = browser(t)
  const nobody = tab()
  await nobody.init()
  t.equal((await nobody.fetch('/api/me')).status, 401)
  t.equal((await nobody.fetch(new Request('https://app.test/api/me'))).status, 401)
  t.equal(await nobody.token(), null)
  t.equal(server.count(REFRESH), 1)
})

t.test('a request before init waits for what it finds', async t => {
  const { server, tab } = browser(t)
  server.cookie = 'ann'
  const ann = tab()
  const [answer, state] = await Promise.all([ann.fetch('/api/me'), ann.init()])
  t.match(await answer.json(), { sub: 'ann' })
  t.match(state, { status: 'in' })
  t.equal(server.count(REFRESH), 1)
})

t.test('a 401 that comes late is only repeated', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
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

t.test('a request is repeated once and no more', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  const refused = () => refusal(401, 'FST_AUTH_SESSION_ENDED')
  server.script('/api/me', refused, refused, refused)
  t.equal((await ann.fetch('/api/me')).status, 401)
  t.equal(server.count('/api/me'), 2)
  t.equal(server.count(REFRESH), 1)
})

t.test('the body of a 401 that is given is unread', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  const refused = () => refusal(401, 'FST_AUTH_SESSION_ENDED')
  server.script('/api/me', refused, refused)
  t.match(await (await ann.fetch('/api/me')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('a password that is wrong is sent once, and its 401 is the answer', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.script('/auth/password', refusal(401, 'FST_AUTH_CREDENTIALS_INVALID'))
  const answer = await ann.fetch('/auth/password', { method: 'POST', body: '{}' })
  t.match(await answer.json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.equal(server.count('/auth/password'), 1)
  t.equal(server.count(REFRESH), 0)
})

t.test('a route of the plugin that refuses the token is asked once more', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.forgetTokens()
  t.equal((await ann.fetch('/auth/sessions')).status, 200)
  t.equal(server.count('/auth/sessions'), 2)
})

t.test('a 401 without a body is repeated too', async t => {
  const { server, signedIn } = browser(t)
  server.script('/api/me', new Response(null, { status: 401 }))
  t.equal((await (await signedIn()).fetch('/api/me')).status, 200)
})

t.test('a token that was refused is not used again, even if it cannot be renewed', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.forgetTokens()
  server.script(REFRESH, 'offline')
  await t.rejects(ann.fetch('/api/me'), { name: 'AuthError' })
  await t.rejects(ann.fetch('/api/me'), { name: 'AuthError' })
  t.equal(server.count('/api/me'), 1)
  t.match(ann.state, { status: 'in' })
})

t.test('a 401 after which the server ends the session is the answer', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.forgetTokens()
  server.ended = 'FST_AUTH_SESSION_ENDED'
  t.equal((await ann.fetch('/api/me')).status, 401)
  t.match(ann.state, { status: 'out' })
  t.equal(server.count('/api/me'), 1)
})

t.test('other answers than a 401 are given as they are', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.script('/api/me', refusal(403, 'FST_AUTH_FRESH_LOGIN_REQUIRED'), refusal(500, 'FST_ERR'), 'offline')
  t.equal((await ann.fetch('/api/me')).status, 403)
  t.equal((await ann.fetch('/api/me')).status, 500)
  await t.rejects(ann.fetch('/api/me'), TypeError)
  t.equal(server.count(REFRESH), 0)
})

t.test('nothing is repeated as somebody else who signed in meanwhile', async t => {
  const { server, signedIn, tab } = browser(t)
  const ann = await signedIn()
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

t.test('nothing is sent as somebody else who signed in while the token was renewed', async t => {
  const { server, time, signedIn, tab } = browser(t)
  const ann = await signedIn()
  const other = tab()
  await time.advance(EXPIRED)
  const login = other.login({ username: 'bob', password: 'right' })
  const answer = await ann.fetch('/api/orders', { method: 'POST', body: 'a book' })
  await login
  t.equal(answer.status, 401)
  t.same(server.arrivals.filter(({ path }) => path === '/api/orders').map(({ sub }) => sub), [null])
})

t.test('nothing is sent without a token for who was signed out meanwhile', async t => {
  const { server, time, signedIn } = browser(t)
  const ann = await signedIn()
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
  t.test(`a body that is ${name} is sent again`, async t => {
    const { server, signedIn } = browser(t)
    const ann = await signedIn()
    server.forgetTokens()
    t.equal((await ann.fetch('/api/orders', { method: 'POST', body })).status, 200)
    const sent = server.arrivals.filter(({ path }) => path === '/api/orders')
    t.equal(sent.length, 2)
    for (const { body } of sent) t.match(body, arrives)
  })

  t.test(`a Request whose body is ${name} is sent again`, async t => {
    const { server, signedIn } = browser(t)
    const ann = await signedIn()
    server.forgetTokens()
    const request = new Request('https://app.test/api/orders', { method: 'POST', body, headers: { 'x-own': '1' } })
    t.equal((await ann.fetch(request)).status, 200)
    const sent = server.arrivals.filter(({ path }) => path === '/api/orders')
    t.same(sent.map(({ method, headers }) => [method, headers.get('x-own')]), [['POST', '1'], ['POST', '1']])
    for (const { body } of sent) t.match(body, arrives)
  })
}

t.test('a stream is never sent again: its 401 is the answer, and the next request is fine', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.forgetTokens()
  const body = new Blob(['a book']).stream()
  t.equal((await ann.fetch('/api/orders', { method: 'POST', body, duplex: 'half' } as RequestInit)).status, 401) // the DOM's types do not know duplex
  t.equal(server.count('/api/orders'), 1)
  t.equal((await ann.fetch('/api/me')).status, 200)
})

t.test('who aborts while the token is renewed is rejected at once, and alone', async t => {
  const { server, time, signedIn } = browser(t)
  const ann = await signedIn()
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

t.test('who aborts after a 401 is rejected at once too, by the signal of a Request as well', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.forgetTokens()
  server.hold(REFRESH)
  const caller = new AbortController()
  const request = ann.fetch(new Request('https://app.test/api/me', { signal: caller.signal }))
  await idle()
  caller.abort()
  await t.rejects(request, { name: 'AbortError' })
})

t.test('who aborted before is rejected at once', async t => {
  const { server, time, signedIn } = browser(t)
  const ann = await signedIn()
  await time.advance(EXPIRED)
  server.hold(REFRESH)
  await t.rejects(ann.fetch('/api/me', { signal: AbortSignal.abort() }), { name: 'AbortError' })
})

t.test('who aborts while the API answers is rejected as with the platform', async t => {
  const { server, signedIn } = browser(t)
  const ann = await signedIn()
  server.hold('/api/me')
  const caller = new AbortController()
  const request = ann.fetch('/api/me', { signal: caller.signal })
  await idle()
  caller.abort()
  await t.rejects(request, { name: 'AbortError' })
})

t.test('a signal that serves many requests keeps none of them', async t => {
  const { signedIn } = browser(t)
  const ann = await signedIn()
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

t.test('the fetch that was given sends everything', async t => {
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

t.test('a fetch that replaces the platform\'s later is the one that is used', async t => {
  const { signedIn } = browser(t)
  const ann = await signedIn()
  globalThis.fetch = async () => Response.json('mocked')
  t.equal(await (await ann.fetch('/api/me')).json(), 'mocked')
})
