/** Requests of several steps, one of which fails: they are finished, or the message states the result. */
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { memoryStore } from '../../lib/index.js'
import { FAULTS, type Fault } from '../support/faulty-store.js'
import { forget, loggedIn, PASSWORD, server, sessionOf, setCookies, testClock, userTable, type Answer, type Browser, type LoggedIn, type UserTable } from '../support/server.js'
import { settled } from '../support/settled.js'

const UNAVAILABLE = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }
const WRONG = { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }
const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }
const NEW_PASSWORD = 'violet umbrella'

mock.timers.enable({ apis: ['setTimeout'] })
t.teardown(() => mock.timers.reset())

const change = (browser: Browser): Promise<Answer> =>
  browser.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: NEW_PASSWORD } })

type Update = UserTable['updatePasswordHash']

/** Ada with a phone, and an attacker who logs in with the old password just before it changes. */
interface Changing extends LoggedIn {
  readonly phone: Browser
  /** Starts a session without the store's faults. */
  begin (id: string): Promise<void>
  /** True if a session that `begin` has started is live. */
  lives (id: string): Promise<boolean>
}

async function changing (t: Test, update: (write: Update) => Update = write => write): Promise<Changing> {
  const users = userTable()
  const store = memoryStore({ clock: testClock() })
  const written = update(async (...row) => await users.updatePasswordHash(...row))
  const updatePasswordHash: Update = async (...row) => {
    await begin('thief')
    return await written(...row)
  }
  const s = await loggedIn(t, { users: { ...users, updatePasswordHash }, store })
  const phone = s.browser()
  await phone.login('ada')
  forget(s.store.calls, s.events)
  return { ...s, users, phone, begin, lives }

  async function begin (id: string): Promise<void> {
    const adas = await store.get(sessionOf(s.ada))
    if (adas === null) throw new Error('Ada has no session')
    await store.create({ ...adas, id, revokedAt: null, reason: null })
  }

  async function lives (id: string): Promise<boolean> {
    const session = await store.get(id)
    return session !== null && session.revokedAt === null
  }
}

/** True if Ada's password is the new one. */
async function isChanged ({ browser }: LoggedIn): Promise<boolean> {
  const old = await browser().login('ada')
  const other = await browser().login('ada', { password: NEW_PASSWORD })
  if (old.statusCode === other.statusCode) throw new Error('both passwords are right, or both are wrong')
  return other.statusCode === 200
}

t.test('a password change during a store outage leaves no session of the old password, and the message states the result', async t => {
  const clean = await changing(t)
  t.equal((await change(clean.ada)).statusCode, 200)
  t.notOk(await clean.lives('thief'))
  t.ok(clean.store.calls.length >= 3)

  for (const [nth, call] of clean.store.calls.entries()) {
    for (const fault of FAULTS) {
      const title = `${call} ${nth}, ${fault.moment}, ${fault.kind}`
      const s = await changing(t)
      s.store.faults.push(...Array<null>(nth).fill(null), fault)
      const answer = await settled(change(s.ada))
      forget(s.store.faults)
      const changed = await isChanged(s)
      if (answer.statusCode === 200) t.ok(changed, title)
      else {
        const untouched = /nothing is lost$/ // before the password is looked at
        t.match(answer.json(), { ...UNAVAILABLE, message: changed ? /^The password was changed: log in / : nth === 0 ? untouched : /^The password was not changed: try again$/ }, title)
        t.strictSame(setCookies(answer), [])
      }
      const phone = await s.phone.refresh()
      if (changed) t.match(phone.json(), ENDED, title)
      else t.equal(phone.statusCode, 200, `${title}: nobody is logged out by a change that was none`)
      t.notOk(changed && await s.lives('thief'), title)
      const again = await change(s.ada)
      t.match(again, { statusCode: changed ? 401 : 200 }, `${title}, again`)
    }
  }
})

t.test('if the other sessions cannot be ended, the message says that the password was changed', async t => {
  for (const kind of ['throw', 'hang'] as const) {
    const s = await changing(t)
    const fault: Fault = { moment: 'before', kind, call: 'revokeAll' }
    s.store.faults.push(fault, fault, fault)
    const answer = await settled(change(s.ada))
    t.match(answer.json(), { ...UNAVAILABLE, message: 'The password was changed: log in with the new one. Your other devices may still be logged in: end their sessions in your list of devices' })
    t.strictSame(s.store.calls, ['get', 'create', 'get', 'revokeAll', 'revokeAll', 'revokeAll', 'revoke'], 'the session is checked before and after the new one, three attempts after the change, and the new session, of which nobody has a token, is ended')
    t.equal((await s.store.list?.('1'))?.length, 3, 'those of Ada, her phone and the thief')
    t.strictSame(s.events.map(({ type }) => type), ['password_changed', 'login', 'store_unavailable'])
    t.equal((await s.phone.refresh()).statusCode, 200, 'as the message states')
    t.match((await change(s.ada)).json(), WRONG, 'a retry cannot succeed')
    await s.ada.login('ada', { password: NEW_PASSWORD })
    t.equal((await s.ada.send({ method: 'DELETE', url: '/auth/sessions' })).statusCode, 204)
    t.match((await s.phone.refresh()).json(), ENDED, 'and the message names the fix')
    t.ok(await isChanged(s))
  }
})

/** An `updatePasswordHash` that fails, its effect on the password, and the expected message. */
const WRITES: ReadonlyArray<readonly [how: string, update: (write: Update) => Update, changed: boolean, status: number]> = [
  ['throws before it writes', () => async () => { throw new Error('no connection') }, false, 503],
  ['throws at once', () => () => { throw new Error('no connection') }, false, 503],
  ['hangs', () => async () => await new Promise<never>(() => {}), false, 503],
  ['writes, and its answer is lost', write => async (...row) => { await write(...row); throw new Error('connection reset') }, true, 200],
  ['writes, and its answer never comes', write => async (...row) => { await write(...row); return await new Promise<never>(() => {}) }, true, 200]
]

for (const [how, update, changed, status] of WRITES) {
  t.test(`a password change whose write ${how} is never reported as failed or done without reading it back`, async t => {
    const s = await changing(t, update)
    const answer = await settled(change(s.ada))
    t.equal(answer.statusCode, status)
    t.equal(await isChanged(s), changed)
    if (changed) {
      t.notOk(await s.lives('thief'))
      t.equal((await s.ada.refresh()).statusCode, 200)
      return
    }
    t.match(answer.json(), { ...UNAVAILABLE, message: /^It is unknown whether the password was changed: try again, and log in with the new one if the old one is refused$/ })
    t.notOk(await s.lives('thief'), 'since it may have been changed')
    t.equal((await s.ada.refresh()).statusCode, 200, 'the session that changed it stays logged in')
    t.equal(s.events.some(({ type }) => type === 'password_changed'), false)
  })
}

t.test('a late success of the write ends sessions that started meanwhile', async t => {
  let write: () => Promise<void> = async () => {}
  const s = await changing(t, original => (...row) => new Promise(resolve => {
    write = async () => resolve(await original(...row))
  }))
  t.match((await settled(change(s.ada))).json(), { ...UNAVAILABLE, message: /^It is unknown/ })
  await s.begin('late')
  await write()
  await new Promise(resolve => setImmediate(resolve))
  t.notOk(await s.lives('late'))
  t.equal(s.events.filter(({ type }) => type === 'password_changed').length, 1)
  t.match((await change(s.ada)).json(), WRONG)
  t.ok(await isChanged(s))
})

t.test('a late write that changed nothing, or a store outage then, changes nothing', async t => {
  for (const kind of ['not replaced', 'store away'] as const) {
    let answer = (_replaced: boolean): void => {}
    const s = await changing(t, () => () => new Promise(resolve => { answer = resolve }))
    await settled(change(s.ada))
    forget(s.store.calls, s.events)
    const fault: Fault = { moment: 'before', kind: 'throw' }
    s.store.faults.push(fault, fault, fault)
    answer(kind === 'store away')
    await new Promise(resolve => setImmediate(resolve))
    t.equal(s.store.calls.length, kind === 'store away' ? 3 : 0)
    t.strictSame(s.events.map(({ type }) => type), kind === 'store away' ? ['password_changed', 'store_unavailable'] : [])
    forget(s.store.faults)
    t.equal((await s.ada.refresh()).statusCode, 200)
  }
})

t.test('the message says "unknown" if the password cannot be read back', async t => {
  let away = false
  const users = userTable()
  const findById = async (id: string) => {
    if (away) throw new Error('no connection')
    return await users.findById(id)
  }
  const updatePasswordHash = async (): Promise<never> => {
    away = true
    throw new Error('no connection')
  }
  const s = await loggedIn(t, { users: { ...users, findById, updatePasswordHash } })
  t.match((await change(s.ada)).json(), { ...UNAVAILABLE, message: /^It is unknown/ })
  away = false
  t.equal((await s.ada.refresh()).statusCode, 200)
})

t.test('a password change at the session limit succeeds', async t => {
  for (const whenFull of ['endOldest', 'refuseLogin'] as const) {
    const s = await loggedIn(t, { sessions: { maxPerUser: 1, whenFull } })
    t.equal((await change(s.ada)).statusCode, 200)
    t.equal((await s.app.sessions.list('1')).length, 1)
  }
})

t.test('a signup whose login fails says that the account was created', async t => {
  for (const fault of FAULTS) {
    const { browser, store } = await server(t)
    const ada = browser()
    store.faults.push(fault)
    const answer = await settled(ada.signup('ada'))
    t.match(answer.json(), { ...UNAVAILABLE, message: 'The account was created, but the login failed: log in' })
    t.strictSame(setCookies(answer), [])
    t.match((await ada.signup('ada')).json(), { statusCode: 409, message: 'This username is taken: log in if it is yours, or choose another' })
    t.match(await ada.login('ada'), { statusCode: 200 })
  }
})

t.test('a signup with an unknown result says so', async t => {
  const users = userTable()
  const lost = async (row: { username: string, passwordHash: string }): Promise<never> => {
    await users.create(row)
    throw new Error('connection reset')
  }
  const { browser } = await server(t, { users: { ...users, create: lost } })
  t.match((await browser().signup('ada')).json(), { ...UNAVAILABLE, message: 'It is unknown whether the account was created: try again, and log in if the username is taken by then' })
  t.equal((await browser().login('ada')).statusCode, 200)
})

t.test('user enumeration: a silent signup with an unknown result says so without revealing whether the name was free', async t => {
  const users = userTable({ ada: {} })
  const lost = async (row: { username: string, passwordHash: string }): Promise<never> => {
    await users.create(row)
    throw new Error('connection reset')
  }
  const { browser } = await server(t, { users: { ...users, create: lost }, accounts: { signup: 'silent', onSignup () { t.fail('was told') } } })
  const answers = [await browser().signup('ada'), await browser().signup('bob')].map(({ body }) => body)
  t.match(answers[0], /It is unknown whether the account was created/)
  t.equal(answers[0], answers[1])
})

t.test('if formatTokenResponse fails, the message states what was done', async t => {
  let broken = true
  const formatTokenResponse = (grant: object): object => {
    if (broken) throw new Error('a bug')
    return grant
  }
  const s = await server(t, { formatTokenResponse })
  const ada = s.browser()
  const signup = await ada.send({ method: 'POST', url: '/auth/signup', payload: { username: 'ada', password: PASSWORD } })
  t.match(signup.json(), { ...UNAVAILABLE, message: /^The account was created and logged in/ })
  broken = false
  t.equal((await ada.refresh()).statusCode, 200)
  broken = true
  const changed = await change(ada)
  t.match(changed.json(), { ...UNAVAILABLE, message: /^The password was changed, but/ })
  t.match((await ada.refresh()).json(), { ...UNAVAILABLE, message: /nothing is lost/ }, 'which is right for a refresh')
  broken = false
  t.equal((await ada.refresh()).statusCode, 200)
  t.equal((await s.browser().login('ada', { password: NEW_PASSWORD })).statusCode, 200)
})

t.test('a logout of two sessions that fails halfway can be repeated', async t => {
  const store = memoryStore()
  const { ada, browser } = await loggedIn(t, { store })
  const other = browser()
  await other.login('ada')
  const { revoke } = store
  let calls = 0
  store.revoke = async (...session) => {
    if (++calls === 2) throw new Error('no connection')
    return await revoke(...session)
  }
  const both = { headers: { cookie: `__Host-Http-refresh=${ada.cookie()}; __Host-Http-refresh=${other.cookie()}` } }
  const [one, two] = [ada.copy(), other.copy()]
  t.match((await ada.logout(both)).json(), UNAVAILABLE)
  t.equal((await ada.logout(both)).statusCode, 204)
  for (const browser of [one, two]) t.match((await browser.refresh()).json(), ENDED)
})
