import { inEveryBrowser } from './support/browsers.js'
import { statuses } from './support/pages.js'
import { REFRESH, site } from './support/site.js'

const OK = [200, { id: '1' }]

inEveryBrowser('20 parallel requests with an expired token cost one refresh', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m', tab)

  const answers = await tab.run(() => Promise.all(Array.from({ length: 20 }, () => ask('/me'))))
  t.strictSame(answers, Array(20).fill(OK))
  t.equal(s.network.count('/me'), 20, 'no request has the old token')
  t.strictSame(s.outcomes(), { rotate: 1 })
})

inEveryBrowser('20 parallel requests with a refused token cost one refresh', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m') // the page does not know: its clock is slow

  const answers = await tab.run(() => Promise.all(Array.from({ length: 20 }, () => ask('/me'))))
  t.strictSame(answers, Array(20).fill(OK))
  t.strictSame(s.outcomes(), { rotate: 1 })
})

inEveryBrowser('two tabs with five requests each cost one refresh', async (t, browser) => {
  const s = await site(t)
  const tabs = [await s.signedUp(browser), await browser.open(s.url())]
  t.strictSame(await statuses(...tabs), ['in', 'in'])
  for (let time = 1; time <= 5; time++) {
    await s.sleep('20m', ...tabs)
    const answers = await Promise.all(tabs.map(tab => tab.run(() => Promise.all(Array.from({ length: 5 }, () => ask('/me'))))))
    t.strictSame(answers.flat(), Array(10).fill(OK))
  }
  t.strictSame(s.outcomes(), { hold: 1, rotate: 5 }, 'a hold when the second tab was opened')
})

inEveryBrowser('an idle tab uses the token of the active one', async (t, browser) => {
  const s = await site(t)
  const [busy, idle] = [await s.signedUp(browser), await browser.open(s.url())]
  await statuses(idle)
  await s.sleep('20m', busy, idle)
  const token = await busy.run(() => auth.token())
  t.equal(await idle.run(() => auth.token()), token)
  t.strictSame(s.outcomes(), { hold: 1, rotate: 1 })
})

inEveryBrowser('a laptop that slept for eight hours refreshes at the next use, not before', async (t, browser) => {
  const s = await site(t)
  const tabs = [await s.signedUp(browser), await browser.open(s.url()), await browser.open(s.url())]
  await statuses(...tabs)
  const before = s.network.count(REFRESH)
  await s.sleep('8h', ...tabs)
  t.strictSame(await statuses(...tabs), ['in', 'in', 'in'])
  t.equal(s.network.count(REFRESH), before)
  t.strictSame(await Promise.all(tabs.map(tab => tab.run(() => ask('/me')))), [OK, OK, OK])
  t.equal(s.outcomes()['rotate'], 1)
})

inEveryBrowser('clock skew: a clock that is a year slow, and then corrected, signs nobody out', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await tab.run(() => skip(-365 * 86_400_000))
  t.strictSame(await tab.run(() => ask('/me')), OK)
  await s.sleep('20m', tab)
  t.strictSame(await tab.run(() => ask('/me')), OK, 'by its clock the token is valid for a year, so the 401 decides')
  await tab.run(() => skip(365 * 86_400_000))
  t.strictSame(await tab.run(() => ask('/me')), OK)
  t.strictSame(s.outcomes(), { rotate: 1, hold: 1 })
})
