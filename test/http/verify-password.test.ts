import { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, forget, loggedIn, PASSWORD, setCookies, START, userTable, type Answer, type LoggedIn } from '../support/server.js'

const WRONG = { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }
const THROTTLED = { statusCode: 429, code: 'FST_AUTH_TOO_MANY_ATTEMPTS' }

interface Body { username: string, password: string }

/** A login of the app itself, in one step. */
function ownLogin (app: FastifyInstance): void {
  app.post<{ Body: Body }>('/login', async ({ auth, body }) => {
    const user = await auth.verifyPassword(body)
    return await auth.login(user.id)
  })
  app.post<{ Body: Body }>('/who', async ({ auth, body }) => await auth.verifyPassword(body))
}

async function withOwnLogin (t: Test, options: RefreshCookieOptions = {}, extend = ownLogin): Promise<LoggedIn & { post (url: string, password: unknown, username?: unknown): Promise<Answer> }> {
  const s = await loggedIn(t, options, {}, extend)
  return { ...s, post: async (url, password, username = 'ada') => await s.app.inject({ method: 'POST', url, payload: { username, password } }) }
}

t.test('verifyPassword gives the user, and a login after it starts a session', async t => {
  const s = await withOwnLogin(t)
  t.same((await s.post('/who', PASSWORD)).json(), s.users.byName.get('ada'))
  t.strictSame([s.store.calls, s.events], [[], []], 'it starts no session')
  const answer = await s.post('/login', PASSWORD)
  t.match(answer.json(), { access_token: String, token_type: 'Bearer', expires_in: 600 })
  t.equal(setCookies(answer).length, 1)
  t.match(s.events, exactly({ type: 'login', subject: '1' }))
})

t.test('verifyPassword reads the field of accounts.usernameField too', async t => {
  const s = await withOwnLogin(t, { accounts: { usernameField: 'email' } })
  await s.app.inject({ method: 'POST', url: '/auth/signup', payload: { email: 'bob', password: PASSWORD } })
  for (const payload of [{ email: 'bob', password: PASSWORD }, { username: 'bob', password: PASSWORD }, { username: 'bob', email: 'ada', password: PASSWORD }]) {
    t.match((await s.app.inject({ method: 'POST', url: '/who', payload })).json(), { username: 'bob' })
  }
})

t.test('verifyPassword resolves to the very object of users.findByUsername', async t => {
  const row = { id: 7, username: 'ada', passwordHash: '', totp: 'secret' }
  const users = { ...userTable(), findByUsername: () => row, findById: () => row }
  let same = false
  const { app } = await loggedIn(t, { users }, {}, app => {
    app.post<{ Body: Body }>('/who', async ({ auth, body }) => { same = Object.is(await auth.verifyPassword(body), row); return {} })
  })
  row.passwordHash = await app.passwords.hash(PASSWORD)
  await app.inject({ method: 'POST', url: '/who', payload: { username: 'ada', password: PASSWORD } })
  t.equal(same, true)
})

t.test('brute force: an own login has the limits of the built-in one, and shares its counters', async t => {
  for (const urls of [['/login'], ['/login', '/auth/login'], ['/auth/login', '/who']]) {
    const s = await withOwnLogin(t, { rateLimit: { perAccount: { max: 3, per: '15m' } } })
    const answers: Answer[] = []
    for (let attempt = 0; attempt < 5; attempt++) answers.push(await s.post(String(urls[attempt % urls.length]), `wrong${attempt}`))
    t.strictSame(answers.map(({ statusCode }) => statusCode), [401, 401, 401, 429, 429], urls.join())
    t.match(answers[3]?.headers, { 'retry-after': /^\d+$/ })
    t.match((await s.post('/login', PASSWORD)).json(), THROTTLED, 'the right password too')
  }
})

t.test('a success of verifyPassword resets the failures, as the built-in login does', async t => {
  const s = await withOwnLogin(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
  for (const password of ['wrong', PASSWORD, 'wrong', PASSWORD]) t.match(await s.post('/who', password), { statusCode: password === PASSWORD ? 200 : 401 })
})

t.test('user enumeration: unknown, wrong, disabled and malformed are one refusal, after the same work', async t => {
  const s = await withOwnLogin(t)
  await s.browser().signup('bob')
  s.users.change('bob', { disabled: true })
  forget(s.events)
  const refused: Answer[] = []
  for (const [username, password] of [['ada', 'wrong'], ['nobody', PASSWORD], ['bob', PASSWORD], ['', PASSWORD], [{ $ne: null }, PASSWORD], ['ada', { $ne: null }], ['ada', '']]) {
    refused.push(await s.post('/who', password, username))
  }
  for (const answer of refused) {
    t.match(answer.json(), WRONG)
    t.match(answer.headers, { 'www-authenticate': 'Bearer realm="api"', 'set-cookie': undefined })
    t.equal(answer.body, refused[0]?.body)
  }
  t.strictSame(s.events.map(({ type }) => type), refused.map(() => 'login_failed'))
})

t.test('verifyPassword replaces a weak hash', async t => {
  const users = userTable()
  await loggedIn(t, { users })
  const before = users.byName.get('ada')?.passwordHash
  const stronger = await withOwnLogin(t, { users, passwords: { ...FAST_HASHING, memoryCost: 2048 }, routes: { signup: false } })
  const answer = await stronger.post('/who', PASSWORD)
  t.strictSame(users.replaced.length, 1)
  const after = users.byName.get('ada')?.passwordHash
  t.not(after, before)
  t.match(answer.json(), { passwordHash: after }, 'a challenge that is bound to it is accepted')
})

t.test('race: verifyPassword gives the user that it verified if the stronger hash is replaced at once', async t => {
  const users = userTable()
  const { updatePasswordHash } = users
  await loggedIn(t, { users })
  const before = users.byName.get('ada')?.passwordHash
  const stronger = await withOwnLogin(t, { users, passwords: { ...FAST_HASHING, memoryCost: 2048 }, routes: { signup: false } })
  users.updatePasswordHash = async (...row) => {
    const replaced = await updatePasswordHash(...row)
    users.change('ada', { passwordHash: await stronger.app.passwords.hash('another good password') })
    return replaced
  }
  t.match((await stronger.post('/who', PASSWORD)).json(), { passwordHash: before })
  t.match((await stronger.post('/login', PASSWORD)).json(), WRONG)
})

t.test('a route that changes the password itself gives login the new hash', async t => {
  let concurrent: string | null = null
  const s = await withOwnLogin(t, {}, app => {
    app.post<{ Body: Body }>('/login', async ({ auth, body }) => {
      const user = await auth.verifyPassword(body)
      const boundTo = await app.passwords.hash('another good password')
      s.users.change('ada', { passwordHash: concurrent ?? boundTo })
      return await auth.login(user.id, { boundTo })
    })
  })
  t.match(await s.post('/login', PASSWORD), { statusCode: 200 })
  concurrent = await s.app.passwords.hash('a third good password')
  t.match((await s.post('/login', 'another good password')).json(), WRONG, 'a concurrent change still refuses it')
})

t.test('race: a password that is removed between verifyPassword and the login refuses, however the row shows it', async t => {
  for (const passwordHash of [null, undefined]) {
    const s = await withOwnLogin(t, {}, app => {
      app.post<{ Body: Body }>('/login', async ({ auth, body }) => {
        const user = await auth.verifyPassword(body)
        s.users.change('ada', { passwordHash } as { passwordHash: null }) // a row of a database may lack the column
        return await auth.login(user.id)
      })
    })
    t.match((await s.post('/login', PASSWORD)).json(), WRONG)
  }
})

t.test('race: a password that changes between verifyPassword and the login ends the session and refuses', async t => {
  const s = await withOwnLogin(t, {}, app => {
    app.post<{ Body: Body }>('/login', async ({ auth, body }) => {
      const user = await auth.verifyPassword(body)
      s.users.change('ada', { passwordHash: await app.passwords.hash('another good password') })
      return await auth.login(user.id)
    })
  })
  const answer = await s.post('/login', PASSWORD)
  t.match(answer.json(), WRONG)
  t.strictSame(setCookies(answer), [])
  t.strictSame(s.events.map(({ type }) => type), ['login_failed'])
})

t.test('race: a user who is disabled meanwhile is refused', async t => {
  const s = await withOwnLogin(t, {}, app => {
    app.post<{ Body: Body }>('/login', async ({ auth, body }) => {
      const user = await auth.verifyPassword(body)
      s.users.change('ada', { disabled: true })
      return await auth.login(user.id)
    })
  })
  t.match((await s.post('/login', PASSWORD)).json(), WRONG)
})

t.test('the login of another user than the verified one is checked as without verifyPassword', async t => {
  const s = await withOwnLogin(t, {}, app => {
    app.post<{ Body: Body }>('/login', async ({ auth, body }) => {
      await auth.verifyPassword(body)
      return await auth.login('2')
    })
  })
  t.match((await s.post('/login', PASSWORD)).json(), { code: 'FST_AUTH_USER_REFUSED' })
  await s.browser().signup('bob')
  t.match(await s.post('/login', PASSWORD), { statusCode: 200 })
  t.match(s.events.at(-1), { type: 'login', subject: '2', at: START })
})

t.test('claims of accessToken.claims are made from the verified user', async t => {
  const s = await withOwnLogin(t, { accessToken: { claims: user => ({ name: user.username }) } })
  const { access_token: token } = (await s.post('/login', PASSWORD)).json()
  t.match(await s.app.verifyAccessToken(token), { name: 'ada' })
})

t.test('without users.findByUsername verifyPassword is a TypeError', async t => {
  for (const users of [undefined, {}]) {
    const s = await withOwnLogin(t, { users })
    t.match((await s.post('/who', PASSWORD)).json(), { statusCode: 500, message: /verifyPassword\(\) needs "users\.findByUsername"/ })
  }
})
