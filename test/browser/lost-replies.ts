import { seededRandom } from '../support/seeded-random.js'
import { forget } from '../support/server.js'
import { INSECURE_HOST, inEveryBrowser } from './support/browsers.js'
import { pageWith, statuses } from './support/pages.js'
import { HOST, REFRESH, site } from './support/site.js'

/** The number of breaks of 20 minutes; in every third the reply to a rotating refresh is lost. */
const ROUNDS = 12

inEveryBrowser('a reply that was lost 20 minutes ago is recovered', async (t, browser) => {
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

/** Ways to coordinate five tabs. */
const TABS = [
  ['that share their token', '/page', HOST, {}],
  ['each with a token of its own', pageWith({ share: false }), HOST, {}],
  ['without locks', '/page', INSECURE_HOST, { cookie: { secure: false } }]
] as const

for (const [which, path, host, options] of TABS) {
  inEveryBrowser(`lost replies sign nobody out of five tabs ${which}`, async (t, browser) => {
    const s = await site(t, { ...options, refreshToken: { idle: '30d', absolute: '60d' } })
    const tabs = [await s.signedUp(browser, s.url(path, host)), ...await Promise.all(Array.from({ length: 4 }, () => browser.open(s.url(path, host))))]
    await statuses(...tabs)
    forget(s.events)
    const person = seededRandom(1)
    const answers: Record<string, number> = {}
    for (let round = 1; round <= ROUNDS; round++) {
      await s.sleep('20m')
      if (round % 3 === 0) s.network.lose(REFRESH, 'after')
      const used = tabs.filter(() => person.chance(0.4))
      for (const answer of await Promise.all(used.map(tab => tab.run(tryMe)))) answers[answer] = (answers[answer] ?? 0) + 1
    }
    t.strictSame(new Set((await Promise.all(tabs.map(tab => tab.run(() => heard)))).flat()), new Set(['in']))
    const outcomes = s.outcomes()
    t.match(outcomes, { reuse: undefined })
    t.ok((outcomes['replay'] ?? 0) + (outcomes['recover'] ?? 0) > 0, 'the replaced cookie was used again')
    t.comment({ ...outcomes, answers })
    t.strictSame(Object.keys(answers).filter(answer => answer !== '200' && answer !== 'AuthError'), [], 'a reply, or the information that it was lost')
  })
}

/** Runs in a page. */
async function tryMe (): Promise<string> {
  return await ask('/me').then(([status]) => String(status), ({ name }) => name)
}
