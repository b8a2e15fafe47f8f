import t from 'tap'
import { AuthError } from '../../lib/client/index.js'
import { readClaims } from '../../lib/client/requests.js'
import { browser, signedIn, type Tab } from './support/browser.js'
import { LIFETIME, refusal } from './support/fake-server.js'
import { idle } from './support/fake-time.js'

const EXPIRED = LIFETIME * 1000
const REFRESH = '/auth/refresh'

t.test('20 parallel requests with an expired token cost one refresh', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED)

  const answers = await Promise.all(Array.from({ length: 20 }, () => ann.fetch('/api/me')))
  t.same(answers.map(({ status }) => status), Array(20).fill(200))
  t.equal(server.count(REFRESH), 1)
  t.equal(server.count('/api/me'), 20, 'none of them was sent with the old token')
})

t.test('20 parallel requests with a token that the server refuses cost one refresh', async t => {
  const { server, ann } = await signedIn(t)
  server.forgetTokens()

  const answers = await Promise.all(Array.from({ length: 20 }, () => ann.fetch('/api/me')))
  t.same(answers.map(({ status }) => status), Array(20).fill(200))
  t.equal(server.count(REFRESH), 1)
})

t.test('two tabs with five requests each cost one refresh', async t => {
  const { server, time, signedIn, tab } = browser(t)
  const tabs = [await signedIn(), tab()]
  await tabs[1]?.init()
  await time.advance(EXPIRED)
  const before = server.count(REFRESH)

  const answers = await Promise.all(tabs.flatMap(tab => Array.from({ length: 5 }, () => tab.fetch('/api/me'))))
  t.same(answers.map(({ status }) => status), Array(10).fill(200))
  t.equal(server.count(REFRESH) - before, 1)
})

t.test('five tabs that load at once cost one refresh', async t => {
  const { server, tab } = browser(t)
  server.cookie = 'ann'
  const states = await Promise.all(Array.from({ length: 5 }, () => tab().init()))
  t.same(states.map(({ status }) => status), Array(5).fill('in'))
  t.equal(server.count(REFRESH), 1)
})

t.test('without Web Locks each tab refreshes for itself and stays logged in', async t => {
  const { server, tab } = browser(t, { locks: false })
  server.cookie = 'ann'
  const states = await Promise.all(Array.from({ length: 3 }, () => tab().init()))
  t.same(states.map(({ status }) => status), Array(3).fill('in'))
  t.equal(server.count(REFRESH), 3)
})

t.test('the request for a refresh survives its page and stores nothing', async t => {
  const { server, tab } = browser(t)
  await tab({ headers: { 'x-app': 'shop' } }).init()
  t.match(server.arrivals[0], {
    method: 'POST',
    url: 'https://app.test/auth/refresh?optional=true',
    init: { keepalive: true, credentials: 'include', cache: 'no-store', redirect: 'error', signal: undefined }
  })
  t.equal(server.arrivals[0]?.headers.get('content-type'), 'application/json', 'which no form of another site can send')
  t.equal(server.arrivals[0]?.headers.get('x-app'), 'shop')
})

t.test('the prefix may be on another origin, with or without a slash at its end', async t => {
  const { server, tab } = browser(t)
  await tab({ prefix: 'https://api.test/v1/auth' }).init()
  await tab({ prefix: 'https://api.test/v1/auth/' }).refresh()
  t.same(server.arrivals.map(({ url }) => url), Array(2).fill('https://api.test/v1/auth/refresh?optional=true'))
})

t.test('a tab that waited for the lock takes the token of the tab that held it', async t => {
  const { server, time, locks, tab, ann } = await signedIn(t)
  const late = tab()
  const release = server.hold(REFRESH)
  const first = ann.refresh()
  await idle()
  const second = late.refresh()
  await idle()
  release()
  await Promise.all([first, second])

  t.equal(server.count(REFRESH), 1)
  t.equal(await late.token(), await ann.token())
  t.same(locks.asked.map(({ ifAvailable, signal }) => ifAvailable ? 'at once' : signal instanceof AbortSignal && 'in time').slice(-2), ['at once', 'in time'])
  t.notOk(locks.asked.some(({ steal }) => steal))
  t.equal(late.state.expiresAt, time.now() + LIFETIME * 1000)
})

t.test('a message that arrives shortly after the lock is awaited', async t => {
  const { server, time, channels, tab, ann } = await signedIn(t)
  const late = tab()
  channels.delay = 40
  const release = server.hold(REFRESH)
  const renewals = [ann.refresh(), late.refresh()]
  await idle()
  release()
  await time.advance(40)
  await Promise.all(renewals)
  t.equal(server.count(REFRESH), 1)
})

t.test('a missing message costs one more refresh', async t => {
  const { server, time, channels, tab, ann } = await signedIn(t)
  const late = tab()
  channels.delay = 1000
  const release = server.hold(REFRESH)
  const renewals = [ann.refresh(), late.refresh()]
  await idle()
  release()
  await time.advance(50)
  await Promise.all(renewals)
  t.equal(server.count(REFRESH), 2)
})

t.test('a tab stops waiting for a lock after lockTimeout, and never steals it', async t => {
  const { server, time, locks, signedIn, tab } = browser(t)
  const hanging = await signedIn({ timeout: 60_000 })
  const other = tab()
  server.hold(REFRESH)
  hanging.refresh()
  await idle()

  const renewal = other.refresh()
  await time.advance(4999)
  t.equal(server.count(REFRESH), 1)
  await time.advance(1)
  t.match(await renewal, { status: 'in' })
  t.equal(server.count(REFRESH), 2)
  t.notOk(locks.asked.some(({ steal }) => steal))
})

t.test('a hanging refresh resolves with the token of another tab', async t => {
  const { server, time, signedIn, tab } = browser(t)
  const hanging = await signedIn()
  const other = tab()
  await other.init()
  await time.advance(EXPIRED)
  server.hold(REFRESH)
  const token = hanging.token()
  await idle()
  const renewal = other.refresh()
  await time.advance(5000)
  await renewal
  t.equal(await token, await other.token())
  t.match(hanging.state, { status: 'in', error: undefined })
})

t.test('a hanging refresh resolves with a logout in another tab', async t => {
  const { server, time, signedIn, tab } = browser(t)
  const hanging = await signedIn()
  const other = tab()
  await other.init()
  server.hold(REFRESH)
  const renewal = hanging.refresh()
  await idle()
  const logout = other.logout()
  t.match(await renewal, { status: 'out' })
  await time.advance(5000)
  await logout
})

t.test('a token is refreshed once it expires within the leeway', async t => {
  const { server, time, signedIn } = browser(t)
  const ann = await signedIn({ leeway: 30 })
  await time.advance(EXPIRED - 30_001)
  const old = await ann.token()
  t.equal(server.count(REFRESH), 0)
  await time.advance(1)
  t.not(await ann.token(), old)
  t.equal(server.count(REFRESH), 1)
})

t.test('the expiry of a token is counted from its request', async t => {
  const { server, time, tab } = browser(t)
  server.cookie = 'ann'
  const start = time.now()
  const release = server.hold(REFRESH)
  const ann = tab()
  const init = ann.init()
  await time.advance(8000)
  release()
  t.equal((await init).expiresAt, start + LIFETIME * 1000)
})

t.test('a clock that is wrong by years does no harm', async t => {
  const { server, time, tab } = browser(t)
  server.cookie = 'ann'
  time.set(-10 * 365 * 86_400_000)
  const ann = tab()
  await ann.init()
  await time.advance(EXPIRED - 11_000)
  t.equal((await ann.fetch('/api/me')).status, 200)
  t.equal(server.count(REFRESH), 1)
})

t.test('after sleep the token is refreshed on the next use, not before', async t => {
  const { server, time, ann } = await signedIn(t)
  time.set(8 * 3_600_000)
  await idle()
  t.equal(server.count(REFRESH), 0)
  t.equal((await ann.fetch('/api/me')).status, 200)
  t.equal(server.count(REFRESH), 1)
})

t.test('a valid token is used while its refresh fails', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED - 5000)
  server.script(REFRESH, refusal(503, 'FST_AUTH_STORE_UNAVAILABLE'))
  t.equal((await ann.fetch('/api/me')).status, 200)
  t.match(ann.state, { status: 'in', claims: { sub: 'ann' }, error: { status: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' } })
})

/** Of Chromium, for an empty body. */
const PARSER_TEXT = 'Unexpected end of JSON input'

const failures = {
  'a server error': () => refusal(500, 'FST_ERR'),
  'a busy server': () => refusal(503, 'FST_AUTH_BUSY', { 'retry-after': '1' }),
  'too many requests': () => refusal(429, 'FST_AUTH_TOO_MANY_ATTEMPTS'),
  'a request that is taken for cross-site': () => refusal(403, 'FST_AUTH_CROSS_SITE'),
  'a route that is not there': () => refusal(404, 'NOT_FOUND'),
  'a 401 of somebody else': () => refusal(401, 'FST_BASIC_AUTH_MISSING_OR_BAD_AUTHORIZATION_HEADER'),
  'a 401 whose code is a number': () => Response.json({ code: 401 }, { status: 401 }),
  'a 401 without a code': () => Response.json({}, { status: 401 }),
  'a 401 that is a page': () => new Response('<h1>Proxy</h1>', { status: 401 }),
  // Chromium makes the message of the error enumerable.
  'a proxy without its server': () => Object.assign(new Response('', { status: 502 }), { json: async () => { throw Object.defineProperty(new SyntaxError(), 'message', { value: PARSER_TEXT, enumerable: true }) } }),
  'the page of a captive portal': () => new Response('<h1>Free WiFi</h1>'),
  'JSON that is no grant': () => Response.json({ hello: 'world' }),
  'JSON that is nothing': () => Response.json(null),
  'no content': () => new Response(null, { status: 204 }),
  'a token that is no JWT': () => Response.json({ access_token: 'opaque', expires_in: 600 }),
  'no network': () => 'offline' as const
}

for (const [name, failure] of Object.entries(failures)) {
  t.test(`${name} logs nobody out, and the next attempt succeeds`, async t => {
    const { server, time, storage, ann } = await signedIn(t)
    await time.advance(EXPIRED)
    server.script(REFRESH, failure)

    await t.rejects(ann.fetch('/api/me'), AuthError)
    t.match(ann.state, { status: 'in', claims: { sub: 'ann' }, error: AuthError })
    t.notMatch(ann.state.error?.message, PARSER_TEXT)
    t.notOk(Object.values(storage).includes('out'))
    await time.advance(2000)
    t.equal((await ann.fetch('/api/me')).status, 200)
    t.equal(ann.state.error, undefined)
  })
}

t.test('an AuthError has status, code, retryAfter and cause', async t => {
  const { server, time, tab } = browser(t)
  server.cookie = 'ann'
  const ann = tab()
  server.script(REFRESH, refusal(503, 'FST_AUTH_BUSY', { 'retry-after': '7' }), 'offline')
  await t.rejects(ann.refresh(), { name: 'AuthError', status: 503, code: 'FST_AUTH_BUSY', message: 'This is FST_AUTH_BUSY', retryAfter: 7 })
  await time.advance(7000)
  await t.rejects(ann.refresh(), { name: 'AuthError', status: undefined, code: undefined, message: /./, cause: TypeError })
})

t.test('Retry-After is honoured', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED)
  server.script(REFRESH, refusal(503, 'FST_AUTH_BUSY', { 'retry-after': '30' }))
  await t.rejects(ann.fetch('/api/me'), { name: 'AuthError', status: 503 })
  await time.advance(29_999)
  await t.rejects(ann.token(), { name: 'AuthError', status: 503 })
  t.equal(server.count(REFRESH), 1)
  await time.advance(1)
  t.ok(await ann.token())
})

t.test('without Retry-After the back-off is one to two seconds', async t => {
  const { server, time, ann } = await signedIn(t)
  await time.advance(EXPIRED)
  server.script(REFRESH, refusal(503, 'FST_AUTH_BUSY', { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' }))
  await t.rejects(ann.fetch('/api/me'), { name: 'AuthError', status: 503, retryAfter: 0 })
  await time.advance(999)
  await t.rejects(ann.refresh(), { name: 'AuthError', status: 503 })
  t.equal(server.count(REFRESH), 1)
  await time.advance(1001)
  t.match(await ann.refresh(), { status: 'in' })
})

t.test('the end of a back-off does not disturb a later refresh', async t => {
  const { server, time, ann } = await signedIn(t, { locks: false })
  server.script(REFRESH, 'offline')
  await t.rejects(ann.refresh(), { name: 'AuthError' })
  await ann.login({ username: 'ann', password: 'right' })
  const release = server.hold(REFRESH)
  const first = ann.refresh()
  await time.advance(2000)
  const second = ann.refresh()
  release()
  await Promise.all([first, second])
  t.equal(server.count(REFRESH), 2)
})

t.test('a refresh that times out rejects, and takes effect when the response arrives', async t => {
  const { server, time, tab } = browser(t)
  server.cookie = 'ann'
  const ann = tab({ timeout: 15_000 })
  const release = server.hold(REFRESH)
  const token = ann.token()
  token.catch(() => {})
  await time.advance(15_000)
  await t.rejects(token, { name: 'AuthError', status: undefined, cause: { name: 'TimeoutError' } })
  t.equal(ann.state.status, 'unknown')
  t.equal(server.arrivals[0]?.init?.signal, undefined, 'nothing aborts it')

  release()
  await idle()
  t.match(ann.state, { status: 'in', claims: { sub: 'ann' }, error: undefined })
})

t.test('a stale failure changes nothing', async t => {
  const { server, tab, signedIn } = browser(t, { locks: false })
  server.cookie = 'ann'
  const other = tab()
  const release = server.hold(REFRESH)
  server.script(REFRESH, refusal(401, 'FST_AUTH_SESSION_ENDED'))
  const renewal = other.refresh()
  await idle()
  await signedIn()
  release()
  t.match(await renewal, { status: 'in', claims: { sub: 'ann' }, error: undefined })
})

for (const [answer, scripted] of [['failure', refusal(401, 'FST_AUTH_SESSION_ENDED')], ['response', undefined]] as const) {
  t.test(`a stale ${answer} changes nothing after the login of a tab that does not share its token`, async t => {
    const { server, time, tab } = browser(t, { locks: false })
    server.cookie = 'ann'
    const [page, other] = [tab({ share: false }), tab({ share: false })]
    await page.init()
    await time.advance(EXPIRED)
    const release = server.hold(REFRESH)
    if (scripted !== undefined) server.script(REFRESH, scripted)
    const token = page.token()
    await idle()
    await other.login({ username: 'bob', password: 'right' })
    release()
    t.match(readClaims(String(await token)), { sub: 'bob' }, 'and the next refresh gets a token of the new login')
    for (const one of [page, other]) t.match(one.state, { status: 'in', claims: { sub: 'bob' }, error: undefined })
  })
}

const CHANGES: ReadonlyArray<readonly [what: string, change: (page: Tab) => Promise<unknown>, state: object]> = [
  ['the login of another user', page => page.login({ username: 'bob', password: 'right' }), { status: 'in', claims: { sub: 'bob' } }],
  ['a logout', page => page.logout(), { status: 'out' }]
]

for (const [what, change, state] of CHANGES) {
  t.test(`a stale response does not undo ${what}`, async t => {
    const { server, tab } = browser(t, { locks: false })
    server.cookie = 'ann'
    const page = tab()
    const release = server.hold(REFRESH)
    const renewal = page.refresh()
    await idle()
    await change(page)
    const token = await page.token()
    server.cookie = 'ann'
    release()
    await renewal
    await idle()
    t.match(page.state, state)
    t.equal(await page.token(), token)
  })
}

t.test('a refresh that was waiting for the lock is not sent after a logout', async t => {
  const { server, tab, ann } = await signedIn(t)
  const other = tab()
  const release = server.hold(REFRESH)
  const first = ann.refresh()
  await idle()
  const second = other.refresh()
  await idle()
  const logout = ann.logout()
  release()
  await Promise.all([first, logout])
  t.match(await second, { status: 'out' })
  t.equal(server.count(REFRESH), 1)
})
