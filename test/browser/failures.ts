import { exactly } from '../support/exactly.js'
import { inEveryBrowser } from './support/browsers.js'
import { pageWith, states, statuses } from './support/pages.js'
import { REFRESH, site } from './support/site.js'

const OK = [200, { id: '1' }]

/** Responses of something other than the plugin, and the error that the page gets. */
const FAILURES: ReadonlyArray<readonly [name: string, answer: readonly [status: number, body: string, headers?: Record<string, string>] | null, told: object]> = [
  ['no network', null, { status: undefined }],
  ['a server error', [500, '{"statusCode":500,"code":"FST_ERR","error":"","message":""}'], { status: 500, code: 'FST_ERR' }],
  ['a store outage', [503, '{"code":"FST_AUTH_STORE_UNAVAILABLE"}', { 'retry-after': '1' }], { status: 503, code: 'FST_AUTH_STORE_UNAVAILABLE', retryAfter: 1 }],
  ['too many requests', [429, '{"code":"FST_AUTH_TOO_MANY_ATTEMPTS"}', { 'retry-after': '1' }], { status: 429, retryAfter: 1 }],
  ['a cross-site refusal', [403, '{"code":"FST_AUTH_CROSS_SITE"}'], { status: 403, code: 'FST_AUTH_CROSS_SITE' }],
  ['an error page of a proxy', [502, '<h1>Bad gateway</h1>', { 'content-type': 'text/html' }], { status: 502 }],
  ['a login page of a proxy', [401, '<h1>Who are you?</h1>', { 'www-authenticate': 'Negotiate' }], { status: 401 }],
  ['a captive portal', [200, '<h1>Free WiFi</h1>', { 'content-type': 'text/html' }], { status: 200 }],
  ['a redirect to a captive portal', [302, '', { location: '/page' }], { status: undefined }]
]

inEveryBrowser('a response of something else, such as a proxy, signs nobody out, and the next try succeeds', async (t, browser) => {
  // Concurrently, since each waits a second or two before its retry.
  await Promise.all(FAILURES.map(async ([name, answer, told]) => {
    const s = await site(t)
    const tab = await s.signedUp(await browser.another())
    await s.sleep('20m', tab)
    if (answer === null) s.network.lose(REFRESH)
    else s.network.answer(REFRESH, ...answer)

    const error = await tab.run(() => auth.fetch('/me').catch(({ name, status, code, retryAfter }) => ({ name, status, code, retryAfter })))
    t.match(error, { name: 'AuthError', ...told }, name)
    t.match(await states(tab), exactly({ status: 'in', claims: { sub: '1' }, error: {} }), name)
    t.ok(await tab.run(() => recovery()), name)
    t.strictSame(await tab.run(() => ask('/me')), OK, name)
    t.match(await states(tab), exactly({ status: 'in', error: undefined }), name)
    t.strictSame([...new Set(await tab.run(() => heard))], ['in'], name)
  }))
})

inEveryBrowser('an outage of the server signs nobody out in five tabs', async (t, browser) => {
  const s = await site(t)
  const tabs = [await s.signedUp(browser), ...await Promise.all(Array.from({ length: 4 }, () => browser.open(s.url())))]
  await statuses(...tabs)
  await s.sleep('20m', ...tabs)
  for (let time = 0; time < 12; time++) s.network.answer(REFRESH, 503, '{"code":"FST_AUTH_STORE_UNAVAILABLE"}', { 'retry-after': '1' })
  t.strictSame((await Promise.all(tabs.map(tab => tab.run(() => recovery())))).map(token => typeof token), Array(5).fill('string'))
  t.strictSame(await Promise.all(tabs.map(tab => tab.run(() => ask('/me')))), Array(5).fill(OK))
  t.strictSame(new Set((await Promise.all(tabs.map(tab => tab.run(() => heard)))).flat()), new Set(['in']))
  t.match(s.outcomes(), { rotate: 1, reuse: undefined })
})

inEveryBrowser('a page that loads during an outage has the state unknown, and recovers', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  s.network.answer(REFRESH, 503, '', { 'retry-after': '1' })
  await tab.reload()
  t.match(await states(tab), exactly({ status: 'unknown', error: { status: 503 } }))
  t.ok(await tab.run(() => recovery()))
  t.match(await states(tab), exactly({ status: 'in', error: undefined }))
})

inEveryBrowser('a tab whose refresh hangs delays the others for a limited time, and keeps its lock', async (t, browser) => {
  const s = await site(t)
  const hanging = await s.signedUp(browser)
  const other = await browser.open(s.url(pageWith({ lockTimeout: 300 })))
  await statuses(other)
  await s.sleep('20m', hanging, other)
  const refresh = s.network.hold(REFRESH)
  const first = hanging.run(() => ask('/me'))
  await refresh.arrived
  t.strictSame(await other.run(() => ask('/me')), OK)
  t.match(await other.run(async () => (await navigator.locks.query()).held), exactly({ mode: 'exclusive' }))
  t.strictSame(await first, OK, 'it received the other\'s token while its own refresh hangs')
  await refresh.release()
  t.strictSame(s.outcomes(), { hold: 1, rotate: 1, replay: 1 })
})

inEveryBrowser('a lock that a page never releases costs a wait, and is not stolen', async (t, browser) => {
  const s = await site(t)
  const holder = await s.signedUp(browser)
  const other = await browser.open(s.url(pageWith({ lockTimeout: 300 })))
  await statuses(other)
  await s.sleep('20m', holder, other)
  await holder.run(() => new Promise<void>(resolve => {
    navigator.locks.request(`auth:${location.origin}/auth/`, () => {
      resolve()
      return new Promise(() => {})
    })
  }))
  t.strictSame(await other.run(() => ask('/me')), OK)
  t.match(await other.run(async () => (await navigator.locks.query()).held), exactly({ mode: 'exclusive' }))
  t.strictSame(s.outcomes(), { hold: 1, rotate: 1 })
})
