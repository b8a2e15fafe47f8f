import t from 'tap'
import { memoryStore } from '../../lib/stores/memory.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, HOST, loggedIn, openBrowser, PASSWORD, server, userTable } from '../support/server.js'

t.test('session limit: a login beyond it ends the oldest session', async t => {
  const { browser, wait } = await server(t, { sessions: { maxPerUser: 2 } })
  const devices = [browser(), browser(), browser()]
  for (const device of devices) {
    wait('1s')
    await (device === devices[0] ? device.signup('ada') : device.login('ada'))
  }
  const answers = await Promise.all(devices.map(device => device.refresh()))
  t.same(answers.map(({ statusCode }) => statusCode), [401, 200, 200])
  t.match(answers[0]?.json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('session limit: parallel logins never exceed the limit', async t => {
  const { app, browser } = await server(t, { sessions: { maxPerUser: 3 } })
  await browser().signup('ada')
  await Promise.all(Array.from({ length: 10 }, () => browser().login('ada')))
  t.equal((await app.sessions.list('1')).length, 3)
})

t.test('session limit: with refuseLogin a login needs a free place first', async t => {
  const { browser } = await server(t, { sessions: { maxPerUser: 1, whenFull: 'refuseLogin' } })
  const laptop = browser()
  await laptop.signup('ada')
  t.match((await browser().login('ada')).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
  await laptop.logout()
  t.equal((await browser().login('ada')).statusCode, 200)
})

t.test('token theft: with bindUserAgent another browser\'s use of a replaced token ends the session', async t => {
  for (const [userAgent, outcome] of [
    ['Mozilla/5.0 (X11) Firefox/153.0', 200], // after an update
    ['Mozilla/5.0 (Windows) Chrome/156.0', 401]
  ] as const) {
    const { browser, wait } = await server(t, { sessions: { bindUserAgent: true } })
    const ada = browser()
    const headers = { 'user-agent': 'Mozilla/5.0 (X11) Firefox/152.0' }
    await ada.send({ method: 'POST', url: '/auth/signup', headers, payload: { username: 'ada', password: PASSWORD } })
    const other = ada.copy()
    wait('31s')
    t.equal((await ada.refresh({ headers })).statusCode, 200)
    t.equal((await other.refresh({ headers: { 'user-agent': userAgent } })).statusCode, outcome)
    t.equal((await ada.refresh({ headers })).statusCode, outcome, 'for the owner too')
  }
})

t.test('bindUserAgent: clients without a user agent count as one browser', async t => {
  const { app, browser } = await server(t, {}, {}, app => {
    app.addHook('onRequest', async request => { delete request.headers['user-agent'] })
  })
  await browser().signup('ada')
  t.match(await app.sessions.list('1'), exactly({ userAgent: null }))
})

t.test('password change', async t => {
  const NEW_PASSWORD = 'a much better passphrase'
  const change = (currentPassword = PASSWORD, newPassword = NEW_PASSWORD) =>
    ({ method: 'POST', url: '/auth/password', payload: { currentPassword, newPassword } }) as const

  t.test('ends every other session and replaces the current one', async t => {
    const { browser } = await server(t)
    const laptop = browser()
    const phone = browser()
    await laptop.signup('ada')
    await phone.login('ada')
    const before = laptop.copy()

    t.match(await laptop.send(change()), { statusCode: 200 })
    t.match(await laptop.refresh(), { statusCode: 200 })
    t.match((await phone.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
    t.match((await before.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
    t.match((await phone.login('ada')).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    t.equal((await phone.login('ada', { password: NEW_PASSWORD })).statusCode, 200)
  })

  t.test('succeeds at the session limit', async t => {
    const { app, browser } = await server(t, { sessions: { maxPerUser: 1, whenFull: 'refuseLogin' } })
    const laptop = browser()
    await laptop.signup('ada')
    t.match(await laptop.send(change()), { statusCode: 200 })
    t.match(await laptop.refresh(), { statusCode: 200 })
    t.equal((await app.sessions.list('1')).length, 1)
  })

  t.test('needs the current password and an accepted new one, else nothing changes', async t => {
    const { browser } = await server(t)
    const laptop = browser()
    const phone = browser()
    await laptop.signup('ada')
    await phone.login('ada')

    t.match((await laptop.send(change('wrong password'))).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    t.match((await laptop.send(change(PASSWORD, 'short'))).json(), { code: 'FST_AUTH_PASSWORD_REFUSED' })
    t.match((await browser().send(change())).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
    t.equal((await phone.refresh()).statusCode, 200)
    t.equal((await phone.login('ada')).statusCode, 200)
  })

  t.test('is refused if the password has changed since its check', async t => {
    const { browser } = await server(t, { users: { ...userTable(), updatePasswordHash: async () => false } })
    const ada = browser()
    await ada.signup('ada')
    t.match((await ada.send(change())).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    t.equal((await ada.refresh()).statusCode, 200)
  })

  t.test('race: is refused if the session ends, or the user is disabled, while the passwords are hashed', async t => {
    const users = userTable()
    let isAway = false
    const findById = async (id: string) => {
      if (isAway) throw new Error('away')
      return await users.findById(id)
    }
    const meanwhile: Array<() => unknown> = []
    const { app, browser } = await server(t, { users: { ...users, findById }, passwords: { ...FAST_HASHING, check: async () => { await meanwhile.pop()?.(); return true } } })
    const [laptop, phone] = [browser(), browser()]
    await laptop.signup('ada')
    await phone.login('ada')

    meanwhile.push(() => phone.send({ method: 'DELETE', url: '/auth/sessions' }))
    t.match((await laptop.send(change())).json(), { code: 'FST_AUTH_SESSION_ENDED' })
    t.equal((await phone.refresh()).statusCode, 200)
    t.equal((await app.sessions.list('1')).length, 1)

    meanwhile.push(() => { isAway = true })
    t.match((await phone.send(change())).json(), { code: 'FST_AUTH_STORE_UNAVAILABLE', message: 'The password was not changed: try again' })
    isAway = false
    t.equal((await app.sessions.list('1')).length, 1, 'no new session')

    meanwhile.push(() => {
      const ada = users.byName.get('ada')
      if (ada !== undefined) users.byName.set('ada', { ...ada, disabled: true })
    })
    t.match((await phone.send(change())).json(), { code: 'FST_AUTH_USER_REFUSED' })
    t.equal((await app.sessions.list('1')).length, 1, 'no new session')
  })

  t.test('succeeds over a session limit that was lowered', async t => {
    const store = memoryStore()
    const users = userTable()
    const before = await server(t, { store, users })
    const [laptop, phone] = [before.browser(), before.browser()]
    await laptop.signup('ada')
    for (const device of [phone, before.browser()]) await device.login('ada')
    const { app } = await server(t, { store, users, sessions: { maxPerUser: 1, whenFull: 'refuseLogin' } })
    const moved = openBrowser(app, laptop.jar)
    moved.accessToken = laptop.accessToken
    t.match(await moved.send(change()), { statusCode: 200 })
    t.match((await phone.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
    t.equal((await app.sessions.list('1')).length, 1)
  })

  t.test('changes nothing if no session can be started', async t => {
    const store = memoryStore()
    const { browser } = await server(t, { store })
    const [ada, phone] = [browser(), browser()]
    await ada.signup('ada')
    await phone.login('ada')
    const { create } = store
    store.create = async () => { throw new Error('away') }
    t.match((await ada.send(change())).json(), { code: 'FST_AUTH_STORE_UNAVAILABLE', message: 'The password was not changed: try again' })
    store.create = create
    for (const device of [ada, phone]) t.equal((await device.refresh()).statusCode, 200, 'nobody is logged out')
    t.equal((await browser().login('ada')).statusCode, 200, 'the old password is still valid')
  })

  for (const slower of [false, true]) {
    t.test(`double click: of two concurrent changes${slower ? ', one of them slower,' : ''} one is refused, and the session of the other stays`, async t => {
      let checks = 0
      let answered = (): void => {}
      const first = new Promise<void>(resolve => { answered = resolve })
      /** Called by the signup and by both changes, once the old password is verified. */
      const check = async (): Promise<boolean> => {
        if (++checks === 3 && slower) await first
        return true
      }
      const { app, browser } = await server(t, { passwords: { ...FAST_HASHING, check } })
      const ada = browser()
      await ada.signup('ada')
      const pages = [ada.copy(), ada.copy()]
      const answers = await Promise.all(pages.map(async page => {
        page.accessToken = ada.accessToken
        const answer = await page.send(change())
        answered()
        return answer
      }))

      t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [200, 401])
      const won = answers.findIndex(({ statusCode }) => statusCode === 200)
      t.match(answers[1 - won]?.json(), { code: /^FST_AUTH_(?:CREDENTIALS_INVALID|SESSION_ENDED)$/ })
      t.match(await pages[won]?.refresh(), { statusCode: 200 })
      t.equal((await app.sessions.list('1')).length, 1, 'the session of the other has ended')
      t.equal((await browser().login('ada', { password: NEW_PASSWORD })).statusCode, 200)
    })
  }

  t.test('needs users.updatePasswordHash', async t => {
    const { app } = await server(t, { users: { findByUsername: () => null, findById: () => null } })
    t.notOk(app.hasRoute({ method: 'POST', url: '/auth/password' }))
    t.ok(app.hasRoute({ method: 'POST', url: '/auth/reauthenticate' }))
  })

  t.test('is refused for a user without a password', async t => {
    const users = userTable()
    const { browser } = await server(t, { users })
    const ada = browser()
    await ada.signup('ada')
    users.byName.set('ada', { id: 1, username: 'ada', passwordHash: null })
    t.match((await ada.send(change())).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  })
})

t.test('token theft: a socket that stays open manages no sessions once its token or its session has expired', async t => {
  const { app, ada, wait } = await loggedIn(t, {}, {}, app => {
    app.get('/token', { onRequest: app.authenticate }, async ({ auth, headers }) => {
      wait(Number(headers['x-wait']))
      return (await auth.sessions()).length
    })
    app.get('/cookie', { onRequest: app.authenticateByCookie }, async ({ auth, headers }) => {
      wait(Number(headers['x-wait']))
      await auth.revokeOtherSessions()
      return 'ok'
    })
  })
  const headers = { host: HOST, cookie: String(ada.jar.header('/')), authorization: `Bearer ${ada.accessToken}` }
  const after = async (url: string, seconds: number): Promise<unknown> => (await app.inject({ url, headers: { ...headers, 'x-wait': String(seconds) } })).json()
  t.equal(await after('/token', 599), 1)
  t.match(await after('/token', 1), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.match(await after('/cookie', 30 * 86_400), { code: 'FST_AUTH_SESSION_ENDED' })
})
