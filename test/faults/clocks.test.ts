import t, { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock, type Seconds } from '../../lib/time.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { cookieJar, type CookieJar } from '../support/cookie-jar.js'
import { DATABASES } from '../support/databases.js'
import { seededRandom } from '../support/seeded-random.js'
import { openBrowser, server, sessionOf, testClock, userTable, type Browser, type TestServer } from '../support/server.js'

/** A third of grace. */
const SKEW: Seconds = 10

/** Makes a store; null if its server is not available. */
type NewStore = (t: Test, clock: Clock) => Promise<SessionStore | null>

const inMemory: NewStore = async (_t, clock) => memoryStore({ clock })

const STORES: Readonly<Record<string, NewStore>> = {
  memory: inMemory,
  ...Object.fromEntries(Object.entries(DATABASES).map(([name, open]) => [name, async (t, clock) => (await open(t))?.place(t)({ clock }) ?? null] satisfies [string, NewStore]))
}

/** Two instances of one app on one store, each with its own clock, and one browser of both. */
interface Instances {
  readonly apps: readonly [TestServer, TestServer]
  /** The browser with either instance: one cookie jar and one access token for both. */
  readonly tabs: readonly [Browser, Browser]
  readonly jar: CookieJar
  /** Moves the true time. */
  wait (seconds: Seconds): void
  /** Sets the offset of an instance's clock, in seconds. */
  set (instance: 0 | 1, off: Seconds): void
}

async function twoInstances (t: Test, newStore: NewStore, options: object = {}): Promise<Instances | null> {
  const clock = testClock()
  const store = await newStore(t, clock)
  if (store === null) return null
  const users = userTable()
  const off = [0, 0]
  const start = (nth: 0 | 1): Promise<TestServer> => server(t, { store, users, timeouts: { call: '60s', request: '60s' }, clock: () => clock() + (off[nth] ?? 0), ...options })
  const apps = [await start(0), await start(1)] as const
  const jar = cookieJar(clock)
  const tabs = [openBrowser(apps[0].app, jar), openBrowser(apps[1].app, jar)] as const
  await tabs[0].signup('ada')
  return {
    apps,
    tabs,
    jar,
    wait: seconds => clock.wait(seconds),
    set: (instance, seconds) => { off[instance] = seconds }
  }
}

/** The longest delay of a request or its reply: both together are below the rest of the grace period. */
const UNDER_WAY: Seconds = 9

/** The duration of the test. */
const HOURS: Seconds = 2 * 3600

/** The tabs of a browser refresh for a while, each at either instance, with replies in any order: the statuses. */
async function refreshed (t: Test, newStore: NewStore, offs: readonly Seconds[]): Promise<{ statuses: number[], rotations: number } | null> {
  const random = seededRandom(20_300_101)
  const found = await twoInstances(t, newStore)
  if (found === null) return null
  const { apps, jar, wait, set } = found
  const agenda: Array<{ readonly at: Seconds, readonly act: () => Promise<void> | void }> = []
  const statuses = new Set<number>()
  let now = 0
  const later = (seconds: Seconds, act: () => Promise<void> | void): void => { agenda.push({ at: now + Math.floor(seconds), act }) }

  function send (): void {
    const carried = jar.copy()
    later(random.between(0, UNDER_WAY), async () => {
      const answer = await openBrowser(apps[random.chance(0.5) ? 0 : 1].app, carried).refresh()
      statuses.add(answer.statusCode)
      later(random.between(0, UNDER_WAY), () => jar.store(answer.headers['set-cookie']))
    })
  }

  for (let at = 0; at < HOURS; at += random.between(10, 150)) {
    for (let tab = 0; tab < 4; tab++) later(at + random.between(0, 12), send)
  }
  for (const [nth, off] of offs.entries()) later(nth * HOURS / offs.length, () => set(1, off))
  while (agenda.length > 0) {
    agenda.sort((one, other) => one.at - other.at)
    const next = agenda.shift()
    wait((next?.at ?? now) - now)
    now = next?.at ?? now
    await next?.act()
  }
  const [row] = await apps[0].app.sessions.list('1')
  return { statuses: [...statuses].sort(), rotations: row?.generation ?? 0 }
}

for (const [name, newStore] of Object.entries(STORES)) {
  t.test(`clock skew: instances on ${name} that differ by a third of grace log nobody out`, async t => {
    const seen = await refreshed(t, newStore, [SKEW, -SKEW, 0, -1, 1])
    if (seen === null) return
    t.same(seen.statuses, [200])
    t.ok(seen.rotations > 50, `${seen.rotations} rotations`)
  })

  t.test(`clock skew: an instance on ${name} whose clock jumps logs nobody out`, async t => {
    const found = await twoInstances(t, newStore)
    if (found === null) return
    const { tabs, wait, set } = found
    for (const off of [-SKEW, -3600, -86_400, 3600, 0]) {
      set(0, off)
      for (let i = 0; i < 3; i++) {
        wait(30)
        t.match(await tabs[0].refresh(), { statusCode: 200 }, `${off} s off`)
        t.match(await tabs[0].get('/me'), { statusCode: 200 })
      }
    }
  })
}

t.test('clock skew: a difference over grace logs out, so this test can fail', async t => {
  const seen = await refreshed(t, inMemory, [45, -45])
  t.same(seen?.statuses, [200, 401])
})

t.test('clock skew: a clock that jumped back causes no rotation, and reuse is still detected', async t => {
  const { apps, tabs: [ada], wait, set } = await twoInstances(t, inMemory) as Instances // it is in memory
  const thief = ada.copy()
  wait(30)
  await ada.refresh()
  set(0, -3600)
  const held = ada.cookie()
  for (let i = 0; i < 3; i++) {
    wait(30)
    t.match(await ada.refresh(), { statusCode: 200 })
  }
  t.equal(ada.cookie(), held)
  set(0, 0)
  for (let i = 0; i < 2; i++) {
    wait(30)
    t.match(await ada.refresh(), { statusCode: 200 })
  }
  t.match(await apps[0].store.get(sessionOf(ada)), { generation: 3 })
  t.match((await thief.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
})

t.test('clock skew: an instance that is behind by at most the leeway accepts an access token', async t => {
  for (const [leeway, behind, statusCode] of [['5s', 5, 200], ['5s', 6, 401], ['10s', SKEW, 200]] as const) {
    const { tabs: [here, there], set } = await twoInstances(t, inMemory, { accessToken: { leeway } }) as Instances // the same
    await here.refresh()
    set(1, -behind)
    there.accessToken = here.accessToken
    t.match(await there.get('/me'), { statusCode }, `${behind} s behind with ${leeway}`)
    await there.refresh()
    for (const tab of [here, there]) {
      tab.accessToken = there.accessToken
      t.match(await tab.get('/me'), { statusCode: 200 }, 'and its own token is accepted everywhere')
    }
  }
})

t.test('clock skew: a login after revokeAll is accepted by an instance that is behind by at most a third of grace', async t => {
  for (const [behind, statusCode] of [[SKEW, 200], [SKEW + 1, 401]] as const) {
    const { apps, tabs: [ada], wait, set } = await twoInstances(t, async (_t, clock) => memoryStore({ clock }), { revocation: 'immediate' }) as Instances // the same
    wait(3600)
    await apps[1].app.sessions.revokeAll('1')
    set(0, -behind)
    await ada.login('ada')
    t.match(await ada.get('/me'), { statusCode }, `${behind} s behind`)
  }
})
