import t from 'tap'
import { memoryStore, statelessStore, type SessionStore } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { COOKIE, forget, loggedIn, robbed, server, setCookies, type Answer, type Browser, type LoggedIn } from '../../support/server.js'

const CLEARED = `${COOKIE}=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Strict`
const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }

t.test('a logout ends the session and clears the cookie', async t => {
  const { ada, events, browser } = await loggedIn(t)
  const phone = browser()
  await phone.login('ada')
  forget(events)
  const copy = ada.copy()
  const answer = await ada.logout()
  t.match(answer, { statusCode: 204, body: '', headers: { 'cache-control': 'no-store', 'content-type': undefined } })
  t.strictSame(setCookies(answer), [CLEARED])
  t.match((await ada.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  t.match((await copy.refresh()).json(), ENDED)
  t.match(await phone.refresh(), { statusCode: 200 }, 'and other sessions stay')
  t.match(events.filter(({ type }) => type !== 'refresh_refused'), exactly({ type: 'logout', subject: '1' }, { type: 'refresh' }))
})

/** The cookie of a logout, and whether it ends the session. */
const COOKIES: Record<string, { ends: boolean, prepare: (s: LoggedIn) => Promise<string | undefined> | string | undefined }> = {
  'the current cookie': { ends: true, prepare: ({ ada }) => ada.cookie() },
  'the previous generation': {
    ends: true,
    async prepare ({ ada, wait }) {
      const before = ada.cookie()
      wait('30s')
      await ada.refresh()
      return before
    }
  },
  'an old generation': {
    ends: true,
    async prepare ({ ada, wait }) {
      const before = ada.cookie()
      for (let i = 0; i < 5; i++) {
        wait('1h')
        await ada.refresh()
      }
      return before
    }
  },
  'an expired cookie': {
    ends: true,
    async prepare ({ ada, wait }) {
      const before = ada.cookie()
      for (let day = 0; day < 8; day++) {
        wait('1d')
        await ada.refresh()
      }
      return before
    }
  },
  none: { ends: false, prepare: () => undefined },
  'an empty one': { ends: false, prepare: () => '' },
  garbage: { ends: false, prepare: () => 'garbage' },
  'a forged one': { ends: false, prepare: ({ ada }) => `${String(ada.cookie()).slice(0, -2)}AA` },
  'an access token': { ends: false, prepare: ({ ada }) => String(ada.accessToken) },
  'a cookie of another server': {
    ends: false,
    async prepare () {
      const other = await loggedIn(t, { secret: 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x' })
      return other.ada.cookie()
    }
  },
  'somebody else\'s': {
    ends: false,
    async prepare ({ browser }) {
      const bob = browser()
      await bob.signup('bob')
      return bob.cookie()
    }
  }
}

for (const [which, { ends, prepare }] of Object.entries(COOKIES)) {
  t.test(`a logout with ${which} clears the cookie${ends ? ' and ends the session' : ' and ends no session'}`, async t => {
    const s = await loggedIn(t)
    const value = await prepare(s)
    for (let again = 0; again < 2; again++) {
      const answer = await logout(s, value === undefined ? undefined : `${COOKIE}=${value}`)
      t.equal(answer.statusCode, 204)
      t.strictSame(setCookies(answer), [CLEARED])
    }
    const refreshed = await s.ada.refresh()
    if (ends) t.match(refreshed.json(), ENDED)
    else t.equal(refreshed.statusCode, 200)
  })
}

t.test('after a logout every token of the session gets SESSION_ENDED, also one that would be reuse', async t => {
  const { ada, wait, events } = await loggedIn(t)
  const generations = [ada.copy()]
  for (let i = 0; i < 4; i++) {
    wait('30s')
    await ada.refresh()
    generations.push(ada.copy())
  }
  await ada.logout()
  for (const wayLater of ['0s', '1d'] as const) {
    wait(wayLater)
    for (const browser of generations) t.match((await browser.refresh()).json(), ENDED)
  }
  t.notOk(events.some(({ type }) => type === 'reuse'))
})

t.test('reuse detection: the session that reuse ended can still log out', async t => {
  const s = await loggedIn(t)
  const thief = await robbed(s)
  await thief.refresh()
  const kept = s.ada.copy()
  t.match(await s.ada.logout(), { statusCode: 204 })
  t.match((await kept.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }, 'and the owner still gets the reason')
})

t.test('cookie tossing: a logout with cookies of two sessions ends both, of one user or of two', async t => {
  for (const enter of ['login', 'signup'] as const) {
    const s = await loggedIn(t)
    const other = s.browser()
    await other[enter](enter === 'login' ? 'ada' : 'bob')
    forget(s.events)
    t.match(await logout(s, `${COOKIE}=${s.ada.cookie()}; ${COOKIE}=${other.cookie()}`), { statusCode: 204 })
    t.match(s.events, exactly({ type: 'logout', subject: '1' }, { type: 'logout', subject: enter === 'login' ? '1' : '2' }))
    for (const browser of [s.ada, other]) t.match((await browser.refresh()).json(), ENDED)
  }
})

t.test('a logout of an authenticated request ends the session of its access token, whatever cookie it has', async t => {
  const s = await loggedIn(t, { revocation: 'immediate' }, {}, app => {
    app.post('/leave', { onRequest: app.authenticate }, async ({ auth }) => { await auth.logout(); return {} })
  })
  const before = s.ada.copy()
  await s.ada.logout()
  await s.ada.login('ada')
  const bob = s.browser()
  await bob.signup('bob')
  for (const [cookie, events] of [[before.cookie(), ['logout']], [bob.cookie(), ['logout', 'logout']], ['garbage', ['logout']]] as const) {
    const { accessToken } = s.ada
    forget(s.events)
    const headers = { authorization: `Bearer ${accessToken}`, cookie: `${COOKIE}=${cookie}` }
    t.match(await s.app.inject({ method: 'POST', url: '/leave', headers }), { statusCode: 200 })
    t.strictSame(s.events.map(({ type }) => type), events)
    t.match((await s.ada.get('/me')).json(), ENDED)
    t.match((await s.ada.refresh()).json(), ENDED)
    await s.ada.login('ada')
  }
})

t.test('a logout of an authenticated request that fails keeps the cookie, for another try', async t => {
  const s = await loggedIn(t, {}, {}, app => {
    app.post('/leave', { onRequest: app.authenticate }, async ({ auth }) => { await auth.logout(); return {} })
  })
  s.store.faults.push({ call: 'get', moment: 'before', kind: 'throw' })
  const leave = async (): Promise<Answer> => await s.app.inject({ method: 'POST', url: '/leave', headers: { authorization: `Bearer ${s.ada.accessToken}` } })
  t.match(await leave(), { statusCode: 503, headers: { 'set-cookie': undefined } })
  t.strictSame(setCookies(await leave()), [CLEARED])
})

t.test('a logout without a cookie asks no store', async t => {
  const s = await loggedIn(t)
  t.match(await logout(s), { statusCode: 204 })
  t.match(await logout(s, `${COOKIE}=garbage`), { statusCode: 204 })
  t.strictSame([...s.store.calls, ...s.users.calls], [])
})

t.test('a logout has no body, and accepts an empty one with any content type', async t => {
  const { ada } = await loggedIn(t)
  for (const type of ['application/json', 'application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
    t.match(await ada.logout({ headers: { 'content-type': type } }), { statusCode: 204 }, type)
  }
  t.match(await ada.logout({ payload: {} }), { statusCode: 204 })
  await ada.login('ada')
  for (const [type, payload, statusCode] of [['text/plain', 'bye', 415], ['application/json', '{"all":true}', 400]] as const) {
    t.match(await ada.logout({ headers: { 'content-type': type }, payload }), { statusCode, headers: { 'set-cookie': undefined } })
  }
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('CSRF: only POST logs out', async t => {
  const { ada } = await loggedIn(t)
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE'] as const) {
    t.match(await ada.send({ method, url: '/auth/logout' }), { statusCode: 404 }, method)
  }
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('a disabled user can log out', async t => {
  const { ada, users } = await loggedIn(t)
  users.change('ada', { disabled: true })
  t.match(await ada.logout(), { statusCode: 204 })
})

t.test('with the stateless store a logout only clears the cookie', async t => {
  const { ada } = await loggedIn(t, { store: statelessStore() })
  const copy = ada.copy()
  const answer = await ada.logout()
  t.strictSame([answer.statusCode, setCookies(answer)], [204, [CLEARED]])
  t.match(await copy.refresh(), { statusCode: 200 })
})

t.test('request.auth.logout in a route of the app', async t => {
  const withRoute = async () => await loggedIn(t, {}, {}, app => {
    app.post('/bye', { onRequest: app.authenticateOptional }, async ({ auth }) => {
      await auth.logout()
      return { claims: auth.claims }
    })
  })
  const bye = async (browser: Browser, headers: Record<string, string> = {}) => await browser.send({ method: 'POST', url: '/bye', headers })

  t.test('ends the session of the cookie', async t => {
    const { ada } = await withRoute()
    const copy = ada.copy()
    const answer = await bye(ada)
    t.same(answer.json(), { claims: null })
    t.strictSame(setCookies(answer), [CLEARED])
    t.match((await copy.refresh()).json(), ENDED)
  })

  t.test('ends the session of the access token if there is no valid cookie', async t => {
    for (const cookie of ['other=1', `${COOKIE}=garbage`]) {
      const { ada, events } = await withRoute()
      const copy = ada.copy()
      const answer = await bye(ada, { cookie })
      t.strictSame([answer.statusCode, setCookies(answer)], [200, [CLEARED]])
      t.match((await copy.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
      t.match(events.filter(({ type }) => !type.startsWith('refresh')), exactly({ type: 'logout', subject: '1' }))
    }
  })

  t.test('without a session succeeds', async t => {
    const { browser, store } = await withRoute()
    forget(store.calls)
    t.match(await bye(browser()), { statusCode: 200 })
    t.strictSame(store.calls, [])
  })
})

/** The state of the session when two tabs refresh and a third logs out. */
const RACES: Record<string, (ada: Browser, wait: LoggedIn['wait']) => Promise<void> | void> = {
  'while the cookie is young': () => {},
  'when it is time to rotate': (_ada, wait) => wait('30s'),
  async 'after a reply was lost just now' (ada, wait) {
    wait('30s')
    await ada.copy().refresh()
  },
  async 'after a reply was lost long ago' (ada, wait) {
    wait('30s')
    await ada.copy().refresh()
    wait('1h')
  }
}

for (const [when, prepare] of Object.entries(RACES)) {
  t.test(`race: a logout wins against concurrent refreshes, in any order of the store: ${when}`, async t => {
    const { store, steps } = steppedStore()
    const { browser, wait } = await server(t, { store, users: {} }, {}, app => {
      app.post('/enter', async ({ auth }) => await auth.login('1'))
    })
    const survivors: string[] = []

    const orders = await everyOrder(steps, async race => {
      const ada = browser()
      await ada.send({ method: 'POST', url: '/enter' })
      await prepare(ada, wait)
      const tabs = [ada.copy(), ada.copy()]
      const others = [ada.copy(), ...tabs]
      const order = await race([...tabs.map(async tab => await tab.refresh()), ada.logout()])
      for (const { refresh } of others) {
        if ((await refresh()).json().code !== ENDED.code) survivors.push(order)
      }
    })
    t.ok(orders >= 6, `${orders} orders`)
    t.strictSame(survivors, [])
  })
}

/** Calls of the store that wait until the test releases them; without a listener they pass. */
interface Steps {
  listening: boolean
  readonly pending: Array<{ readonly name: string, go (): void }>
}

/** A memory store in which each call waits for the test. */
function steppedStore (): { store: SessionStore, steps: Steps } {
  const steps: Steps = { listening: false, pending: [] }
  const store = memoryStore()
  const turn = async (name: string): Promise<void> => {
    if (steps.listening) await new Promise<void>(resolve => steps.pending.push({ name, go: resolve }))
  }
  return {
    steps,
    store: {
      ...store,
      get: async id => await turn('get').then(() => store.get(id)),
      advance: async (...call) => await turn('advance').then(() => store.advance(...call)),
      revoke: async (...call) => await turn('revoke').then(() => store.revoke(...call))
    }
  }
}

/** Runs a scenario once for every order of the pending calls; returns the number of orders. */
async function everyOrder (steps: Steps, scenario: (race: (requests: Array<Promise<Answer>>) => Promise<string>) => Promise<void>): Promise<number> {
  let runs = 0
  for (let next: number[] | null = []; next !== null; runs++) {
    const planned: number[] = next
    const taken: Array<{ choice: number, of: number }> = []
    await scenario(async requests => await runInOrder(steps, requests, of => {
      const choice = planned[taken.length] ?? 0
      taken.push({ choice, of })
      return choice
    }))
    const last = taken.findLastIndex(({ choice, of }) => choice + 1 < of)
    next = last < 0 ? null : [...taken.slice(0, last).map(({ choice }) => choice), (taken[last]?.choice ?? 0) + 1]
  }
  return runs
}

/** Releases the pending calls one by one, as chosen; returns their names in order. */
async function runInOrder (steps: Steps, requests: Array<Promise<Answer>>, choose: (of: number) => number): Promise<string> {
  const unfinished = new Set(requests)
  for (const request of requests) request.finally(() => unfinished.delete(request))
  steps.listening = true
  const order: string[] = []
  while (unfinished.size > 0) {
    await new Promise(resolve => setImmediate(resolve))
    if (steps.pending.length < unfinished.size) continue // somebody is on the way to the next step, or to the end
    const [step] = steps.pending.splice(choose(steps.pending.length), 1)
    order.push(step?.name ?? '')
    step?.go()
  }
  steps.listening = false
  return order.join(', ')
}

async function logout ({ app }: LoggedIn, cookie?: string): Promise<Answer> {
  return await app.inject({ method: 'POST', url: '/auth/logout', headers: cookie === undefined ? {} : { cookie } })
}
