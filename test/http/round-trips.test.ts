import t from 'tap'
import { ENGINES } from '../support/engines.js'
import { server, testClock } from '../support/server.js'

for (const [name, start] of Object.entries(ENGINES)) {
  t.test(`round trips to ${name}, counted on the wire`, async t => {
    const engine = await start(t)
    if (engine === null) return
    const clock = testClock()
    const { browser } = await server(t, { clock, store: await engine.store(clock) })
    const [ada, other] = [browser(), browser()]
    await ada.signup('ada')
    await other.login('ada')
    const behind = ada.copy()

    /** The number of round trips of an operation, without those that a connection makes once. */
    async function count (act: () => Promise<unknown>): Promise<number> {
      const before = engine?.proxy.turns() ?? Number.NaN
      await act()
      return Number(engine?.proxy.turns()) - before
    }
    for (let nth = 0; nth < 3; nth++) {
      clock.wait('31s')
      for (const one of [other, other]) await one.refresh()
    }
    await other.logout()

    clock.wait('31s')
    t.equal(await count(async () => { t.match(await ada.refresh(), { statusCode: 200 }) }), 1, 'a rotation')
    t.equal(await count(async () => { t.match(await ada.refresh(), { statusCode: 200 }) }), 1, 'a hold')
    t.equal(await count(async () => { t.match(await behind.refresh(), { statusCode: 200 }) }), 2, 'a replay: a failed compare-and-set and a read')
    t.equal(await count(async () => { t.match(await ada.get('/me'), { statusCode: 200 }) }), 0, 'a request with an access token')
    t.equal(await count(async () => { t.match(await ada.logout(), { statusCode: 204 }) }), 1, 'a logout')
  })
}
