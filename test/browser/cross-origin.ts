import { inspect } from 'node:util'
import cors from '@fastify/cors'
import t, { type Test } from 'tap'
import { DOCUMENTATION } from '../support/documentation.js'
import { exactly } from '../support/exactly.js'
import { START } from '../support/server.js'
import { inEveryBrowser, type Browser } from './support/browsers.js'
import { otherSite } from './support/other-site.js'
import { pages, pageWith, states, statuses } from './support/pages.js'
import { ADA, REFRESH, site } from './support/site.js'

/** An API, its pages, and their cookie. */
interface Places {
  readonly api: string
  readonly page: string
  readonly cookie: { readonly sameSite: 'strict' | 'none', readonly partitioned?: boolean }
}

/** As printed in docs/cookies.md; the origins are those of this machine. */
const CORS = { credentials: true, methods: ['GET', 'POST', 'DELETE'], exposedHeaders: ['retry-after', 'www-authenticate', 'link'] }
const COOKIE = { sameSite: 'none', partitioned: true } as const

const OTHER_SITE: Places = { api: 'localhost', page: '127.0.0.1', cookie: COOKIE }
const SIBLING: Places = { api: 'api.shop.localhost', page: 'app.shop.localhost', cookie: { sameSite: 'strict' } }

/** The setup of the documentation on this machine: the API trusts an open page of another origin. */
async function open (t: Test, browser: Browser, { api, page, cookie }: Places) {
  let clock = () => START
  const front = await otherSite(t, app => pages(app, () => (clock() - START) * 1000))
  const trustedOrigins = [page, 'app.other.localhost'].map(host => new URL(front.url('/', host)).origin)
  const s = await site(t, { trustedOrigins, cookie }, {
    prepare: app => app.register(cors, { origin: trustedOrigins, ...CORS })
  })
  clock = s.clock
  const url = (host: string) => front.url(pageWith({ prefix: s.url('/auth', api) }), host)
  const tab = await browser.open(url(page))
  await statuses(tab)
  return { s, tab, url, me: s.url('/me', api), devices: s.url('/auth/sessions', api) }
}

t.test('the settings equal those of the documentation', async t => {
  for (const [name, value] of Object.entries({ ...CORS, cookie: COOKIE })) t.ok(DOCUMENTATION.includes(`  ${name}: ${inspect(value).replace(/(?<=\[) | (?=\])/g, '')}`), name)
})

for (const [where, places] of [['another site', OTHER_SITE], ['a sibling sub-domain', SIBLING]] as const) {
  inEveryBrowser(`a page on ${where} signs up, stays signed in and logs out`, async (t, browser) => {
    const { s, tab, me, devices } = await open(t, browser, places)
    t.strictSame(await tab.run(person => auth.signup(person).then(({ status, claims }) => [status, claims?.sub]), ADA), ['in', '1'])
    for (let hour = 0; hour < 3; hour++) {
      await s.sleep('1h', tab)
      t.strictSame(await tab.run(url => ask(url), me), [200, { id: '1' }])
    }
    t.match(await tab.run(url => ask(url, { method: 'DELETE' }), devices), exactly(204, ''))
    await tab.reload()
    t.strictSame(await statuses(tab), ['in'])
    t.strictSame(s.outcomes(), { rotate: 3, hold: 1 })
    await tab.run(async () => { await auth.logout() })
    await tab.run(async () => { await auth.refresh() })
    t.equal(s.network.arrivals.at(-1)?.headers.cookie, undefined)
    t.strictSame(await tab.run(() => document.cookie), '')
  })

  inEveryBrowser(`a page on ${where} changes its password and stays signed in`, async (t, browser) => {
    const { s, tab } = await open(t, browser, places)
    await tab.run(async person => { await auth.signup(person) }, ADA)
    const change = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ currentPassword: ADA.password, newPassword: 'a much better passphrase' }) }
    t.match(await tab.run(([url, init]) => ask(url, init), [s.url('/auth/password', places.api), change] as const), exactly(200, Object))
    t.match(await tab.run(() => auth.refresh().then(({ status }) => status)), 'in')
    await tab.reload()
    t.strictSame(await statuses(tab), ['in'])
  })

  inEveryBrowser(`a page on ${where} that is reloaded during a refresh stays signed in`, async (t, browser) => {
    const { s, tab, me } = await open(t, browser, places)
    await tab.run(async person => { await auth.signup(person) }, ADA)
    await s.sleep('1h', tab)
    const refresh = s.network.hold(REFRESH, 'after')
    await tab.run(url => { ask(url).catch(() => {}) }, me)
    await refresh.arrived
    await tab.reload()
    t.strictSame(await statuses(tab), ['in'])
    await refresh.release()
    await s.sleep('1h', tab)
    t.strictSame(await tab.run(url => ask(url), me), [200, { id: '1' }])
    t.strictSame(s.outcomes(), { rotate: 2, replay: 1 })
  })

  inEveryBrowser(`a page on ${where} can read Retry-After`, async (t, browser) => {
    const { s, tab, me } = await open(t, browser, places)
    await tab.run(async person => { await auth.signup(person) }, ADA)
    await s.sleep('1h', tab)
    s.store.faults.push({ moment: 'before', kind: 'throw' })
    const told = await tab.run(url => ask(url).catch(({ status, code, retryAfter }) => [status, code, retryAfter > 0]), me)
    t.strictSame(told, [503, 'FST_AUTH_STORE_UNAVAILABLE', true])
    t.strictSame(await statuses(tab), ['in'])
  })
}

inEveryBrowser('a partitioned cookie belongs to one embedding site: the API on a third site sees no cookie', async (t, browser) => {
  const { tab, url } = await open(t, browser, OTHER_SITE)
  await tab.run(async person => { await auth.signup(person) }, ADA)
  const third = await browser.open(url('app.other.localhost'))
  t.match(await states(third), exactly({ status: 'out', error: undefined }))
  await tab.reload()
  t.strictSame(await statuses(tab), ['in'])
})

inEveryBrowser('CORS: a page of an unlisted origin reaches no route, and stays in the state unknown', async (t, browser) => {
  const { s, tab, url } = await open(t, browser, OTHER_SITE)
  await tab.run(async person => { await auth.signup(person) }, ADA)
  const before = s.network.count(REFRESH)
  const stranger = await browser.open(url('evil.localhost'))
  t.match(await states(stranger), exactly({ status: 'unknown', error: { message: /./ } }))
  t.equal(s.network.count(REFRESH), before)
})
