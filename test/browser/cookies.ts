import { memoryStore } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { testClock, userTable } from '../support/server.js'
import { inBrowser, inEveryBrowser } from './support/browsers.js'
import { selfSigned } from './support/network.js'
import { otherSite } from './support/other-site.js'
import { idle, states, statuses } from './support/pages.js'
import { ADA, HOST, REFRESH, site, type Site } from './support/site.js'

const OK = [200, { id: '1' }]

inEveryBrowser('XSS: no script can read a refresh token, and no token is in storage', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  t.match(s.network.arrivals, exactly())
  await tab.reload()
  await statuses(tab)
  t.match(s.network.arrivals.at(-1)?.headers.cookie, /^__Host-Http-refresh=./, 'the cookie is there')
  t.strictSame(await tab.run(async () => ({
    cookie: document.cookie,
    cookies: 'cookieStore' in globalThis ? (await cookieStore.getAll()).length : 0,
    answer: (await fetch('/auth/refresh', { method: 'POST' })).headers.get('set-cookie'),
    stored: Object.values({ ...localStorage, ...sessionStorage })
  })), { cookie: '', cookies: 0, answer: null, stored: [''] })
})

inEveryBrowser('the __Host- cookie is stored over http on localhost names', async (t, browser) => {
  const s = await site(t)
  for (const host of [HOST, 'localhost', 'app.localhost']) {
    const tab = await browser.open(s.url('/page', host))
    await tab.run(async username => { await auth.signup({ username, password: 'correct horse battery staple' }) }, host)
    await tab.reload()
    t.strictSame(await statuses(tab), ['in'], host)
  }
})

inEveryBrowser('the __Host- cookie is stored over https', async (t, browser) => {
  const certificate = await selfSigned(t)
  if (certificate === undefined) return
  const s = await site(t, {}, { certificate })
  const tab = await s.signedUp(browser, s.url('/page', 'localhost'))
  await s.sleep('20m')
  await tab.reload()
  t.strictSame(await statuses(tab), ['in'])
  t.strictSame(s.outcomes(), { rotate: 1 })
})

inEveryBrowser('cookie tossing: a sibling sub-domain cannot set a cookie with our prefix', async (t, browser) => {
  const s = await site(t)
  const evil = await otherSite(t, app => app.get('/toss', async (_request, reply) => await reply
    .header('set-cookie', '__Host-Http-refresh=evil; Domain=shop.localhost; Path=/auth; Secure; HttpOnly')
    .type('text/html').send('<!doctype html><link rel="icon" href="data:,">')))
  const tab = await s.signedUp(browser, s.url('/page', 'app.shop.localhost'))
  const attacker = await browser.open(evil.url('/toss', 'evil.shop.localhost'))
  await attacker.run(() => {
    document.cookie = '__Host-Http-refresh=evil; Domain=shop.localhost; Path=/auth; Secure'
    document.cookie = 'harmless=1; Domain=shop.localhost; Path=/auth'
  })
  await s.sleep('20m', tab)
  t.strictSame(await tab.run(() => ask('/me')), OK)
  const sent = s.network.arrivals.find(({ path }) => path === REFRESH)?.headers.cookie
  t.match(sent, /harmless=1/, 'the tossed cookie is another one')
  t.notMatch(sent, /evil/)
})

inEveryBrowser('session fixation: a cookie of a sibling sub-domain under our name after the byte 0xA0 is ignored', async (t, browser) => {
  const s = await site(t)
  const mallory = s.browser()
  await mallory.signup('mallory')
  const evil = await otherSite(t, app => app.get('/toss', async (_request, reply) => {
    reply.raw.setHeader('set-cookie', `\u00a0__Host-Http-refresh=${mallory.cookie()}; Domain=shop.localhost; Path=/`)
    return reply.redirect('/') // without a body: with one, Node writes the byte as UTF-8
  }))
  const app = s.url('/page', 'app.shop.localhost')
  await browser.open(evil.url('/toss', 'evil.shop.localhost'))
  const stranger = await browser.open(app)
  t.strictSame(await stranger.run(async () => (await (await fetch('/auth/refresh', { method: 'POST' })).json()).code), 'FST_AUTH_REFRESH_TOKEN_MISSING', 'nobody is signed in as the attacker')
  t.match(s.network.arrivals.at(-1)?.headers.cookie, /^\u00a0__Host-Http-refresh=./, 'although the browser sends the cookie')

  const tab = await s.signedUp(browser, app)
  await s.sleep('20m', tab)
  t.strictSame(await tab.run(() => ask('/me')), [200, { id: '2' }], 'nobody is locked out')
})

inBrowser('Chromium', 'a cookie that becomes partitioned logs nobody out, and the former one is cleared if it is configured', async (t, browser) => {
  const clock = testClock()
  const shared = { clock, store: memoryStore({ clock }), users: userTable(), trustedOrigins: ['http://localhost:4160'] }
  const before = await site(t, { ...shared, cookie: { sameSite: 'none' } })
  const after = await site(t, { ...shared, cookie: { sameSite: 'none', partitioned: true } })
  const clearing = await site(t, { ...shared, cookie: { sameSite: 'none', partitioned: true, former: [{}] } })
  // Cookies ignore ports: to the browser the three are deployments of one site.
  const post = async (site: Site, route: string, body?: object): Promise<number> => {
    clock.wait('1m')
    const tab = await browser.open(site.url('/page', 'localhost'))
    return await tab.run(async ([url, body]) => (await fetch(url, { method: 'POST', ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) })).status, [`/auth/${route}`, body] as const)
  }
  const cookies = (site: Site): number => site.network.arrivals.at(-1)?.headers.cookie?.split('; ').length ?? 0

  t.equal(await post(before, 'signup', ADA), 201)
  for (const [route, status, body] of [['refresh', 200], ['refresh', 200], ['login', 200, ADA], ['refresh', 200], ['logout', 204], ['login', 200, ADA], ['refresh', 200]] as const) {
    t.equal(await post(after, route, body), status, route)
  }
  t.equal(cookies(after), 2, 'the former cookie is still there')
  t.equal(await post(clearing, 'refresh'), 200)
  t.equal(await post(clearing, 'refresh'), 200)
  t.equal(cookies(clearing), 1)
})

inEveryBrowser('cookie tossing: a tossed cookie without a prefix signs out, and signs nobody in as somebody else', async (t, browser) => {
  const s = await site(t, { cookie: { secure: false } })
  const mallory = s.browser()
  await mallory.signup('mallory')
  const evil = await otherSite(t)
  const tab = await s.signedUp(browser, s.url('/page', 'app.shop.localhost'))
  const attacker = await browser.open(evil.url('/', 'evil.shop.localhost'))
  await attacker.run(value => { document.cookie = `refresh=${value}; Domain=shop.localhost; Path=/auth` }, mallory.jar.value('refresh'))
  await s.sleep('20m', tab)
  t.match(await tab.run(() => ask('/me')), exactly(401, Object))
  t.match(await states(tab), exactly({ status: 'out', error: { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' } }))
})

inEveryBrowser('token theft: a copied cookie ends the session for both sides, and the owner is told why', async (t, browser) => {
  const s = await site(t)
  const owner = await s.signedUp(browser)
  await owner.reload()
  const cookie = String(s.network.arrivals.find(({ path }) => path === '/page')?.headers.cookie)
  const steal = async () => await s.app.inject({ method: 'POST', url: REFRESH, headers: { host: 'shop.test', cookie } })
  t.match(await statuses(owner), exactly('in'))

  await s.sleep('20m', owner)
  t.strictSame(await owner.run(() => ask('/me')), OK)
  await s.sleep('20m', owner)
  const stolen = await steal()
  t.match(stolen, { statusCode: 200 }, 'the previous generation is accepted until the owner returns')
  t.match(await owner.run(() => ask('/me')), exactly(401, Object))
  t.match(await states(owner), exactly({ status: 'out', error: { status: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED', message: /it may have been stolen/ } }))
  const again = String(stolen.headers['set-cookie']).split(';', 1)[0]
  t.match(await s.app.inject({ method: 'POST', url: REFRESH, headers: { host: 'shop.test', cookie: again } }), { statusCode: 401 }, 'the attacker is out too')
  t.match(s.outcomes(), { recover: 1, reuse: 1 })
})

inEveryBrowser('a page from the back/forward cache asks again who is signed in', async (t, browser) => {
  const s = await site(t)
  const elsewhere = await otherSite(t)
  const [away, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(other)
  await away.run(() => addEventListener('pageshow', ({ persisted }) => { document.title = `kept: ${persisted}` }))
  await idle(away)
  await away.visit(elsewhere.url())
  await other.run(async () => { await fetch('/auth/logout', { method: 'POST' }) }) // without the client, so no message is sent
  await away.back()
  t.match(await states(away), exactly({ status: 'out', error: undefined }))
  t.equal(await away.run(() => document.title), 'kept: true')
  t.match(await away.run(() => ask('/me')), exactly(401, Object))
})

inEveryBrowser('a page in the back/forward cache misses no logout: the browser evicts it', async (t, browser) => {
  const s = await site(t)
  const elsewhere = await otherSite(t)
  const [away, other] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(other)
  await away.visit(elsewhere.url())
  await other.run(async () => { await auth.logout() })
  await away.back()
  t.strictSame(await statuses(away), ['out'])
  t.match(await away.run(() => ask('/me')), exactly(401, Object))
})
