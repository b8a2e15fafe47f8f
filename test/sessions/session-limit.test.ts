import { mock } from 'node:test'
import t from 'tap'
import { memoryStore } from '../../lib/stores/memory.js'
import { startDeadline } from '../../lib/deadline.js'
import { type RequestContext } from '../../lib/events.js'
import { LoginTurns } from '../../lib/sessions/session-limit.js'
import { core, held } from '../support/core.js'
import { exactly } from '../support/exactly.js'
import { START } from '../support/fake-clock.js'
import { newSession } from '../support/session.js'
import { settled } from '../support/settled.js'

const ENDED = 'FST_AUTH_SESSION_ENDED'
const REFUSED = 'FST_AUTH_USER_REFUSED'

/** Two devices of Ada, one a second older than the other, and Bob's. */
async function start (whenFull: 'endOldest' | 'refuseLogin') {
  const c = core({ limit: { max: 2, whenFull } })
  const [first, second, bob] = [c.browser(), c.browser(), c.browser()]
  await bob.login('bob')
  for (const browser of [first, second]) {
    await browser.login('ada')
    c.wait(1)
  }
  return { c, first, second, bob }
}

t.test('session limit: a login beyond it ends the oldest session of the subject', async t => {
  const { c, first, second, bob } = await start('endOldest')
  t.equal(await first.refresh(), 'hold')
  const third = c.browser()
  await third.login('ada')
  t.equal(await first.refresh(), ENDED)
  for (const browser of [second, third, bob]) t.equal(await browser.refresh(), 'hold')
  const { sid } = held(c, first)
  t.match(c.events.filter(event => event.type === 'revoked'), exactly({ sessionId: sid, reason: 'limit' }))
})

t.test('session limit: with refuseLogin a login beyond it writes nothing', async t => {
  const { c, first, second } = await start('refuseLogin')
  await t.rejects(c.browser().login('ada'), { code: REFUSED })
  for (const browser of [first, second]) t.equal(await browser.refresh(), 'hold')
  t.equal((await c.sessions.list('ada', c.context())).length, 2)
})

t.test('session limit: a login never evicts its own session, even if it is the oldest by the clock of its instance', async t => {
  const { c, first, second } = await start('endOldest')
  c.wait(-9)
  const third = c.browser()
  await third.login('ada')
  for (const browser of [first, second, third]) t.equal(await browser.refresh(), 'hold')
  c.wait(10)
  await c.browser().login('ada')
  t.equal((await c.sessions.list('ada', c.context())).length, 2, 'and the next one ends the rest')
})

t.test('session limit: only live sessions count', async t => {
  for (const whenFull of ['endOldest', 'refuseLogin'] as const) {
    const { c, first, second } = await start(whenFull)
    await first.logout()
    await c.browser().login('ada')
    t.equal(await second.refresh(), 'hold', whenFull)
  }
})

t.test('session limit: the replaced session of the same browser does not count', async t => {
  for (const whenFull of ['endOldest', 'refuseLogin'] as const) {
    const { first, second } = await start(whenFull)
    await second.login('ada')
    for (const browser of [first, second]) t.equal(await browser.refresh(), 'hold', whenFull)
  }
})

t.test('session limit: of two logins in one second the later one evicts the earlier, whatever the ids', async t => {
  for (let round = 0; round < 10; round++) {
    const c = core({ limit: { max: 1, whenFull: 'endOldest' } })
    const [first, second] = [c.browser(), c.browser()]
    await first.login('ada')
    await second.login('ada')
    t.strictSame([await first.refresh(), await second.refresh()], [ENDED, 'hold'])
  }
})

t.test('race: concurrent logins leave as many sessions as there may be, the newest or with refuseLogin the oldest', async t => {
  for (const whenFull of ['endOldest', 'refuseLogin'] as const) {
    const c = core({ limit: { max: 3, whenFull } })
    const owners = [c.browser(), c.browser()]
    for (const owner of owners) await owner.login('ada')
    c.wait(1)
    const browsers = Array.from({ length: 12 }, () => c.browser())
    const logins = await Promise.allSettled(browsers.map(browser => browser.login('ada')))
    const outcomes = async (list: typeof browsers): Promise<string[]> => await Promise.all(list.map(browser => browser.refresh()))
    const accepted = browsers.filter((_, nth) => logins[nth]?.status === 'fulfilled')
    t.equal(accepted.length, whenFull === 'refuseLogin' ? 1 : 12)
    t.strictSame((await outcomes(accepted)).filter(outcome => outcome === 'hold').length, whenFull === 'refuseLogin' ? 1 : 3)
    t.strictSame(await outcomes(owners), whenFull === 'refuseLogin' ? ['hold', 'hold'] : [ENDED, ENDED])
  }
})

t.test('race: with refuseLogin a login in another process is refused too, and ends no session', async t => {
  const c = core({ limit: { max: 1, whenFull: 'refuseLogin' } })
  const memory = c.store
  let other: () => Promise<unknown> = async () => {}
  const elsewhere = core({
    limit: { max: 1, whenFull: 'refuseLogin' },
    store: () => ({
      ...memory,
      async create (session) {
        await other() // it has passed the check before the write, too
        await memory.create(session)
      }
    })
  })
  const here = c.browser()
  other = async () => await here.login('ada')
  await t.rejects(elsewhere.browser().login('ada'), { code: REFUSED })
  t.equal(await here.refresh(), 'hold')
  t.equal((await c.sessions.list('ada', c.context())).length, 1)
})

t.test('a login waits for those of the same subject no longer than its deadline, and for no other subject', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let create = (): void => {}
  const c = core({
    limit: { max: 3, whenFull: 'endOldest' },
    timeouts: { call: 1, request: 1 },
    store (clock) {
      const memory = memoryStore({ clock })
      return {
        ...memory,
        async create (session) {
          if (session.subject === 'ada') await new Promise<void>(resolve => { create = resolve })
          await memory.create(session)
        }
      }
    }
  })
  const logins = [c.browser().login('ada'), c.browser().login('ada')].map(async login => await login.then(() => 'in', ({ code }) => code))
  await t.resolves(c.browser().login('bob'))
  t.strictSame(await settled(Promise.all(logins)), ['FST_AUTH_STORE_UNAVAILABLE', 'FST_AUTH_BUSY'])
  create()
})

t.test('race: a login that gave up waiting lets no later one pass those that it waited for', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const turns = new LoginTurns()
  const finished: string[] = []
  let finish = (): void => {}
  const context = (seconds: number): RequestContext => ({ userAgent: null, ip: null, emit () {}, bounded: startDeadline({ call: seconds, request: seconds }) })
  const login = (name: string) => async (): Promise<void> => { finished.push(name) }
  const first = turns.run('ada', context(1000), async () => { await new Promise<void>(resolve => { finish = resolve }); finished.push('first') })
  await t.rejects(settled(turns.run('ada', context(1), login('second'))), { code: 'FST_AUTH_BUSY' })
  const third = turns.run('ada', context(1000), login('third'))
  finish()
  await Promise.all([first, third])
  t.strictSame(finished, ['first', 'third'])
})

t.test('memory leak: a subject whose logins have ended is forgotten, so that the next one waits for nothing', async t => {
  const turns = new LoginTurns()
  const context: RequestContext = { userAgent: null, ip: null, emit () {}, bounded: startDeadline({ call: 5, request: 5 }) }
  await turns.run('ada', context, async () => {})
  await new Promise(resolve => setImmediate(resolve))
  let began = false
  const login = turns.run('ada', context, async () => { began = true })
  t.ok(began)
  await login
})

t.test('session limit: excess sessions are ended in bounded batches, one per login', async t => {
  const asked: number[] = []
  const c = core({
    limit: { max: 3, whenFull: 'endOldest' },
    store (clock) {
      const memory = memoryStore({ clock })
      return {
        ...memory,
        async list (subject, part) {
          const listed = await memory.list(subject, part)
          asked.push(listed.length)
          return listed
        }
      }
    }
  })
  for (let nth = 0; nth < 500; nth++) await c.store.create(newSession({ createdAt: START - 1 }))
  const rows = async () => (await c.sessions.list('ada', c.context(), { limit: 1000 })).length
  for (const left of [451, 402, 353]) {
    await c.browser().login('ada')
    t.equal(await rows(), left)
  }
  for (let nth = 0; nth < 8; nth++) await c.browser().login('ada')
  t.equal(await rows(), 3)
  asked.length = 0
  await c.browser().login('ada')
  t.strictSame(asked, [4])
})

t.test('denial of service: a login reads about a thousand expired rows of its subject, and no more', async t => {
  let calls = 0
  const c = core({
    limit: { max: 2, whenFull: 'endOldest' },
    store: clock => ({
      ...memoryStore({ clock }),
      async list (_subject, asked) {
        const page = calls++
        if (page === 100) return []
        return Array.from({ length: asked?.limit ?? 0 }, (_, nth) => newSession({ id: `old-${page}-${nth}`, subject: 'ada', createdAt: page * 1000 + nth, idleExpiresAt: START - 1 }))
      }
    })
  })
  t.match(await c.browser().login('ada'), { claims: { sub: 'ada' } })
  t.ok(calls > 10 && calls < 50, `${calls} pages of 52 rows`)
})
