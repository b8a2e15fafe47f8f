import { exactly } from '../support/exactly.js'
import { inEveryBrowser } from './support/browsers.js'
import { states, statuses } from './support/pages.js'
import { ADA, BOB, LOGOUT, REFRESH, site } from './support/site.js'

const OK = [200, { id: '1' }]

inEveryBrowser('a logout reaches the other tabs at once, without a request', async (t, browser) => {
  const s = await site(t)
  const [one, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(other)
  const heard = other.run(() => until('out'))
  await one.run(async () => { await auth.logout() })
  t.match(await heard, { status: 'out' })
  t.equal(s.network.count(REFRESH), 1, 'from opening the other tab')
  t.match(await other.run(() => ask('/me')), exactly(401, Object))
  t.strictSame(s.network.arrivals.at(-1)?.headers.authorization, undefined)
})

inEveryBrowser('a login reaches the other tabs at once, without a request', async (t, browser) => {
  const s = await site(t)
  const [one, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await one.run(async () => { await auth.logout() })
  await other.run(async () => { await until('out') })
  const before = s.network.count(REFRESH)
  const heard = other.run(() => until('in'))
  await one.run(async person => { await auth.login(person) }, ADA)
  t.match(await heard, { status: 'in', claims: { sub: '1' } })
  t.strictSame(await other.run(() => ask('/me')), OK)
  t.equal(s.network.count(REFRESH), before)
})

inEveryBrowser('race: a logout during a refresh of another tab wins', async (t, browser) => {
  const s = await site(t)
  const [one, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(other)
  await s.sleep('20m', one, other)
  const refresh = s.network.hold(REFRESH, 'after')
  const renewal = other.run(() => ask('/me').catch(() => {}))
  await refresh.arrived
  const logout = one.run(async () => (await auth.logout()).status)
  await one.run(async () => { await until('out') })
  t.equal(s.network.count(LOGOUT), 0, 'it waits for the end of the refresh')
  await refresh.release()
  t.equal(await logout, 'out')
  await renewal
  await other.run(async () => { await until('out') })

  await Promise.all([one.reload(), other.reload()])
  t.strictSame(await statuses(one, other), ['out', 'out'])
  t.equal(s.network.arrivals.at(-1)?.headers.cookie, undefined)
})

inEveryBrowser('a logout without a network is sent by the next page, and only once', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  s.network.lose(LOGOUT)
  t.equal(await tab.run(() => auth.logout().catch(({ name }) => name)), 'AuthError')
  t.strictSame(await tab.run(() => auth.state.status), 'out')
  await tab.reload()
  t.strictSame(await statuses(tab), ['out'])
  await tab.run(async () => { await navigator.locks.request(`auth:${location.origin}/auth/`, () => {}) }) // which the logout holds
  t.match(s.events, exactly({ type: 'logout' }))
  t.equal(s.network.count(LOGOUT), 2)
  await tab.reload()
  t.strictSame(await statuses(tab), ['out'])
  t.equal(s.network.count(LOGOUT), 2)
  t.equal(s.network.count(REFRESH), 0)
})

inEveryBrowser('a page that is closed right after a logout stays logged out', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  const blank = await browser.open('about:blank')
  const logout = s.network.hold(LOGOUT)
  await tab.run(() => { auth.logout().catch(() => {}) })
  await logout.arrived
  await tab.close()
  await logout.release()
  t.match(s.events, exactly({ type: 'logout' }))
  await blank.visit(s.url())
  t.strictSame(await statuses(blank), ['out'])
})

inEveryBrowser('an anonymous page asks the server once', async (t, browser) => {
  const s = await site(t)
  const tab = await browser.open(s.url())
  t.match(await states(tab), exactly({ status: 'out', error: undefined }))
  for (let time = 0; time < 3; time++) {
    await tab.reload()
    t.strictSame(await statuses(tab), ['out'])
  }
  const other = await browser.open(s.url())
  t.strictSame(await statuses(other), ['out'])
  t.match(await other.run(() => ask('/me')), exactly(401, Object))
  t.equal(s.network.count(REFRESH), 1)
})

inEveryBrowser('account confusion: a request is not repeated as another user who signed in meanwhile in another tab', async (t, browser) => {
  const s = await site(t)
  const [one, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(other)
  await s.sleep('20m')
  const order = s.network.hold('/api/echo')
  const answer = one.run(() => ask('/api/echo', { method: 'POST', body: 'a book' }))
  await order.arrived
  const switched = one.run(() => new Promise<void>(resolve => {
    auth.subscribe(({ claims }) => { if (claims?.sub === '2') resolve() })
  }))
  await other.run(async person => { await auth.signup(person) }, BOB)
  await switched
  await order.release()

  t.match(await answer, exactly(401, { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' }))
  t.equal(s.network.count('/api/echo'), 1)
  t.match(await states(one, other), exactly({ claims: { sub: '2' } }, { claims: { sub: '2' } }))
  t.match(await one.run(() => ask('/api/echo', { method: 'POST', body: 'a book' })), exactly(200, { sub: '2' }))
})

inEveryBrowser('race: a login in another tab during a refresh is not overwritten', async (t, browser) => {
  const s = await site(t)
  const [one, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(other)
  await s.sleep('20m', one, other)
  const refresh = s.network.hold(REFRESH, 'after')
  const renewal = one.run(() => auth.refresh().then(({ claims }) => claims?.sub))
  await refresh.arrived
  const signup = other.run(person => auth.signup(person).then(({ claims }) => claims?.sub), BOB)
  t.equal(s.network.count('/auth/signup'), 0, 'it waits for the lock')
  await refresh.release()
  t.strictSame([await renewal, await signup], ['1', '2'])
  await Promise.all([one.reload(), other.reload()])
  t.match(await states(one, other), exactly({ claims: { sub: '2' } }, { claims: { sub: '2' } }))
})
