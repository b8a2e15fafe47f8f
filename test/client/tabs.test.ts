import t from 'tap'
import { exactly } from '../support/exactly.js'
import { browser, signedIn } from './support/browser.js'
import { idle } from './support/fake-time.js'

const REFRESH = '/auth/refresh'
const BOB = { username: 'bob', password: 'right' }

t.test('a login in one tab logs the others in, without a request', async t => {
  const { server, tab } = browser(t)
  const [one, other] = [tab(), tab()]
  await other.init()
  await one.login(BOB)
  await idle()
  t.match(other.state, { status: 'in', claims: { sub: 'bob' } })
  t.equal(await other.token(), await one.token())
  t.equal(server.count(REFRESH), 1)
})

t.test('clients of two prefixes on one page are independent', async t => {
  const { tab } = browser(t)
  const [shop, admin] = [tab({ prefix: '/auth' }), tab({ prefix: '/admin/auth' })]
  await shop.login(BOB)
  await idle()
  t.match(admin.state, { status: 'unknown' })
})

t.test('share: false keeps a token in its tab, after a login and a refresh', async t => {
  const { channels, signedIn } = browser(t)
  const ann = await signedIn({ share: false })
  await ann.refresh()
  t.notMatch(JSON.stringify(channels.messages), await ann.token() ?? '')
  t.equal(channels.messages.length, 1)
})

t.test('share: false passes a login to other tabs, which get tokens of their own', async t => {
  const { server, tab } = browser(t)
  const [one, other] = [tab({ share: false }), tab({ share: false })]
  await other.init()
  await one.login(BOB)
  await idle()
  t.match(other.state, { status: 'in', claims: { sub: 'bob' }, expiresAt: 0 })
  t.equal(server.count(REFRESH), 1)
  t.equal((await other.fetch('/api/me')).status, 200)
  t.equal(server.count(REFRESH), 2)
  t.not(await other.token(), await one.token())
})

for (const status of ['in', 'unknown'] as const) {
  t.test(`share: false refreshes after waiting for a login in another tab: ${status} before`, async t => {
    const { server, time, tab } = browser(t)
    const [one, other] = [tab({ share: false }), tab({ share: false })]
    if (status === 'in') await other.login(BOB)
    await time.advance(3_600_000)
    const release = server.hold('/auth/login')
    const login = one.login(BOB)
    const token = other.token()
    await idle()
    release()
    await time.advance(50)
    await login
    t.ok(await token)
    t.match(other.state, { claims: { sub: 'bob' } })
  })
}

t.test('share: false still passes a logout to other tabs', async t => {
  const { tab } = browser(t)
  const [one, other] = [tab({ share: false }), tab({ share: false })]
  await one.login(BOB)
  await idle()
  await one.logout()
  await idle()
  t.match(other.state, { status: 'out' })
})

t.test('back/forward cache: a restored page refreshes', async t => {
  const { server, freeze, show, ann } = await signedIn(t)
  const token = await ann.token()
  freeze(ann)
  await idle()
  show(ann)
  t.same(ann.state, { status: 'unknown', claims: undefined, expiresAt: undefined, error: undefined })
  t.not(await ann.token(), token)
  t.equal(server.count(REFRESH), 1)
})

t.test('back/forward cache: a restored page is logged out after a logout meanwhile, without a request', async t => {
  const { server, tab, freeze, show, ann } = await signedIn(t)
  const other = tab()
  await other.init()
  freeze(ann)
  await other.logout()
  await idle()
  t.match(ann.state, { status: 'in' })
  show(ann)
  await idle()
  t.match(ann.state, { status: 'out' })
  t.equal(server.count(REFRESH), 1, 'that of the other tab')
})

t.test('back/forward cache: a restored page without a connection is in the state unknown', async t => {
  const { server, show, ann } = await signedIn(t)
  server.script(REFRESH, 'offline')
  show(ann)
  await idle()
  t.match(ann.state, { status: 'unknown', error: { name: 'AuthError' } })
})

t.test('back/forward cache: a page restored during a refresh refreshes again, and every caller gets its token', async t => {
  const { server, time, tab, show } = browser(t)
  server.cookie = 'ann'
  const ann = tab()
  const release = server.hold(REFRESH)
  const answer = ann.fetch('/api/me')
  await idle()
  show(ann)
  release()
  await time.advance(50)
  t.equal((await answer).status, 200)
  t.match(ann.state, { status: 'in' })
})

t.test('the first pageshow keeps the session', async t => {
  const { show, ann } = await signedIn(t)
  const before = ann.state
  show(ann, false)
  t.equal(ann.state, before)
})

t.test('the state is the same object until it changes', async t => {
  const { tab, ann } = await signedIn(t)
  const other = tab()
  const { state } = ann
  await ann.fetch('/api/me')
  await ann.init()
  t.equal(ann.state, state)
  await ann.refresh()
  t.not(ann.state, state)

  await other.logout()
  await idle()
  const out = ann.state
  t.match(out, { status: 'out' })
  await ann.logout()
  t.equal(ann.state, out, 'signed out twice is signed out')
  t.equal(await ann.refresh(), out, 'a missing cookie is no news then')
})

t.test('a listener is notified of every change until it unsubscribes', async t => {
  const { ann } = await signedIn(t)
  const heard: unknown[] = []
  const off = ann.subscribe(state => { heard.push(state) })
  await ann.refresh()
  t.same(heard, [ann.state])
  await ann.logout()
  t.match(heard.slice(1), exactly({ status: 'out' }))
  off()
  await ann.login(BOB)
  t.equal(heard.length, 2)
})

t.test('an error of a listener is reported and does not stop the others', async t => {
  const { ann } = await signedIn(t)
  const reported = new Promise(resolve => { process.once('unhandledRejection', resolve) })
  let heard = 0
  ann.subscribe(() => { throw new Error('a bug in the page') })
  ann.subscribe(() => { heard++ })
  t.match(await ann.refresh(), { status: 'in' })
  t.equal(heard, 1)
  t.match(await reported, { message: 'a bug in the page' })
})

t.test('a disposed client neither sends nor receives messages', async t => {
  const { channels, tab, listeners, ann } = await signedIn(t)
  const other = tab()
  await other.init()
  let heard = 0
  ann.subscribe(() => { heard++ })
  ann.dispose()
  ann.dispose()
  t.equal(listeners(ann), 0)

  const told = channels.messages.length
  await ann.login(BOB)
  t.equal(channels.messages.length, told)
  await other.logout()
  await idle()
  t.match(ann.state, { status: 'in' })
  t.equal(heard, 0)
})
