import { seededRandom } from '../support/seeded-random.js'
import { forget } from '../support/server.js'
import { INSECURE_HOST, inEveryBrowser } from './support/browsers.js'
import { pageWith, statuses } from './support/pages.js'
import { HOST, REFRESH, site } from './support/site.js'

/** Of the replies that get lost: those to the 23rd, the 50th and the 153rd refresh. */
const SEED = 30

inEveryBrowser('a lost reply that nobody asks for again until 20 minutes later is recovered', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  for (let time = 1; time <= 2; time++) {
    await s.sleep('20m', tab)
    s.network.lose(REFRESH, 'after')
    t.equal(await tab.run(tryMe), 'AuthError')
    await s.sleep('20m')
    await tab.reload()
    t.strictSame(await statuses(tab), ['in'])
    t.strictSame(s.outcomes(), { rotate: time, recover: time })
  }
})

/** How five tabs may be coordinated. */
const TABS = [
  ['that share their token', 200, '/page', HOST, {}],
  ['each with a token of its own', 100, pageWith({ share: false }), HOST, {}],
  ['without locks', 100, '/page', INSECURE_HOST, { cookie: { secure: false } }]
] as const

for (const [which, refreshes, path, host, options] of TABS) {
  inEveryBrowser(`1 % of replies lost in ${refreshes} refreshes signs nobody out of five tabs ${which}`, async (t, browser) => {
    const s = await site(t, { ...options, refreshToken: { idle: '30d', absolute: '60d' } })
    const tabs = [await s.signedUp(browser, s.url(path, host)), ...await Promise.all(Array.from({ length: 4 }, () => browser.open(s.url(path, host))))]
    await statuses(...tabs)
    forget(s.network.arrivals, s.events)
    const [network, person] = [seededRandom(SEED), seededRandom(1)]
    let lost = 0
    s.network.chance(REFRESH, () => {
      if (!network.chance(0.01)) return null
      lost++
      return 'after'
    })

    const answers: Record<string, number> = {}
    while (s.network.count(REFRESH) < refreshes) {
      await s.sleep('20m')
      const used = tabs.filter(() => person.chance(0.4))
      for (const answer of await Promise.all(used.map(tab => tab.run(tryMe)))) answers[answer] = (answers[answer] ?? 0) + 1
    }
    t.strictSame(new Set((await Promise.all(tabs.map(tab => tab.run(() => heard)))).flat()), new Set(['in']))
    const outcomes = s.outcomes()
    t.match(outcomes, { reuse: undefined })
    t.ok(lost >= 2, 'some were lost')
    t.comment({ refreshes: s.network.count(REFRESH), lost, ...outcomes, answers })
    t.strictSame(Object.keys(answers).filter(answer => answer !== '200' && answer !== 'AuthError'), [], 'an answer, or the word that none came')
  })
}

/** Runs in a page. */
async function tryMe (): Promise<string> {
  return await ask('/me').then(([status]) => String(status), ({ name }) => name)
}
