import { INSECURE_HOST, inEveryBrowser, type Browser } from './support/browsers.js'
import { statuses } from './support/pages.js'
import { HOST, REFRESH, site, type Site } from './support/site.js'

const OK = [200, { id: '1' }]
const IN = ['in', 'in', 'in', 'in', 'in']
/** Strict single use, as in most tutorials. */
const STRICT = { refreshToken: { grace: 0, recoverLostReply: false } } as const
/** A cookie for a host without a secure context, where browsers have no locks. */
const INSECURE = { cookie: { secure: false } } as const

async function fiveTabs (s: Site, browser: Browser, host = HOST) {
  const first = await s.signedUp(browser, s.url('/page', host))
  return [first, ...await Promise.all(Array.from({ length: 4 }, () => browser.open(s.url('/page', host))))]
}

for (const [grace, options] of [['30 s of grace', {}], ['no grace', STRICT]] as const) {
  inEveryBrowser(`five tabs that reload at once stay signed in, with locks and ${grace}`, async (t, browser) => {
    const s = await site(t, options)
    const tabs = await fiveTabs(s, browser)
    t.strictSame(await statuses(...tabs), IN)
    for (let round = 0; round < 3; round++) {
      await s.sleep('20m')
      await Promise.all(tabs.map(tab => tab.reload()))
      t.strictSame(await statuses(...tabs), IN)
    }
    const outcomes = s.outcomes()
    t.comment(outcomes)
    t.match(outcomes, { replay: undefined, recover: undefined, reuse: undefined })
  })
}

inEveryBrowser('five tabs that reload at once stay signed in, without locks and with 30 s of grace', async (t, browser) => {
  const s = await site(t, INSECURE)
  const tabs = await fiveTabs(s, browser, INSECURE_HOST)
  t.equal(await tabs[0]?.run(() => navigator.locks), undefined)
  for (let round = 0; round < 3; round++) {
    await s.sleep('20m')
    await Promise.all(tabs.map(tab => tab.reload()))
    t.strictSame(await statuses(...tabs), IN)
  }
  const outcomes = s.outcomes()
  t.comment(outcomes)
  t.match(outcomes, { rotate: 3, recover: undefined, reuse: undefined })
})

inEveryBrowser('without locks and without grace two tabs end their session, which is why grace exists', async (t, browser) => {
  const s = await site(t, { ...STRICT, ...INSECURE })
  const tabs = [await s.signedUp(browser, s.url('/page', INSECURE_HOST)), await browser.open(s.url('/page', INSECURE_HOST))]
  await statuses(...tabs)
  await s.sleep('20m')
  const held = [s.network.hold(REFRESH, 'after'), s.network.hold(REFRESH, 'after')]
  const answers = tabs.map(tab => tab.run(async () => (await auth.fetch('/me')).status))
  for (const { arrived } of held) await arrived
  for (const { release } of held) await release()
  await Promise.all(answers)
  t.match(s.outcomes(), { reuse: 1 })
})

for (const moment of ['before', 'after'] as const) {
  inEveryBrowser(`a reload during a refresh, ${moment} the server worked, signs nobody out`, async (t, browser) => {
    const s = await site(t)
    const tab = await s.signedUp(browser)
    await s.sleep('20m', tab)
    const refresh = s.network.hold(REFRESH, moment)
    const cut = tab.run(() => { ask('/me').catch(() => {}) })
    await refresh.arrived
    await cut
    await tab.reload()
    t.strictSame(await statuses(tab), ['in'])
    await refresh.release()
    await s.sleep('20m', tab)
    t.strictSame(await tab.run(() => ask('/me')), OK)
    t.strictSame(s.outcomes(), { rotate: 2, replay: 1 })
  })
}

inEveryBrowser('a page with its own refresh, without keepalive, that is reloaded meanwhile stays signed in', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m', tab)
  const refresh = s.network.hold(REFRESH, 'after')
  await tab.run(() => { fetch('/auth/refresh', { method: 'POST' }).catch(() => {}) })
  await refresh.arrived
  await tab.reload()
  await refresh.release()
  for (let round = 0; round < 3; round++) {
    t.strictSame(await tab.run(() => ask('/me')), OK)
    await s.sleep('20m', tab)
  }
  t.strictSame(s.outcomes(), { rotate: 3, replay: 1 })
})

for (const moment of ['before', 'after'] as const) {
  inEveryBrowser(`a tab that is closed during a refresh, ${moment} the server worked, leaves the other signed in`, async (t, browser) => {
    const s = await site(t)
    const [closed, other] = [await s.signedUp(browser), await browser.open(s.url())]
    await statuses(other)
    await s.sleep('20m', closed, other)
    const refresh = s.network.hold(REFRESH, moment)
    await closed.run(() => { ask('/me').catch(() => {}) })
    await refresh.arrived
    const waiting = other.run(() => ask('/me'))
    await closed.close()
    t.strictSame(await waiting, OK, 'the lock of the closed tab is released')
    await refresh.release()
    await s.sleep('20m', other)
    t.strictSame(await other.run(() => ask('/me')), OK)
    t.strictSame(s.outcomes(), { hold: 1, rotate: 2, replay: 1 })
  })
}

inEveryBrowser('the last tab, closed during a refresh, still gets its cookie', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m', tab)
  const refresh = s.network.hold(REFRESH, 'after')
  const blank = await browser.open('about:blank')
  await tab.run(() => { ask('/me').catch(() => {}) })
  await refresh.arrived
  await tab.close()
  await refresh.release()
  await s.sleep('20m')
  await blank.visit(s.url())
  t.strictSame(await statuses(blank), ['in'])
  t.strictSame(s.outcomes(), { rotate: 2 }, 'otherwise it would be a recovery')
})

inEveryBrowser('a user who navigates away during a refresh and returns is signed in', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m', tab)
  const refresh = s.network.hold(REFRESH, 'after')
  await tab.run(() => { ask('/me').catch(() => {}) })
  await refresh.arrived
  await tab.visit('about:blank')
  await refresh.release()
  await s.sleep('20m')
  await tab.visit(s.url())
  t.strictSame(await statuses(tab), ['in'])
  t.strictSame(s.outcomes(), { rotate: 2 })
})
