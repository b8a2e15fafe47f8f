import t from 'tap'
import { type User } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { FAST_HASHING, loggedIn, PASSWORD, payloadOf, server, setCookies, userTable, type Answer, type Browser } from '../../support/server.js'

const TAKEN = { statusCode: 409, code: 'FST_AUTH_USERNAME_TAKEN' }
const REFUSED = { statusCode: 400, code: 'FST_AUTH_PASSWORD_REFUSED' }

t.test('a signup creates an account and logs in', async t => {
  const { browser, users, events } = await server(t)
  const ada = browser()
  const answer = await ada.signup('ada')
  t.equal(answer.statusCode, 201)
  t.strictSame(answer.json(), { access_token: ada.accessToken, token_type: 'Bearer', expires_in: 600 })
  t.match(answer.headers, { 'cache-control': 'no-store', 'content-type': 'application/json; charset=utf-8' })
  t.match(users.byName.get('ada'), { id: 1, username: 'ada', passwordHash: /^\$argon2id\$v=19\$/ })
  t.match(events, exactly({ type: 'signup', subject: '1' }, { type: 'login', subject: '1' }))
  t.same((await ada.get('/me')).json(), { id: '1' })
})

t.test('account takeover: a taken name is refused, and the account stays unchanged', async t => {
  const { ada, browser, users, store } = await loggedIn(t)
  const before = users.byName.get('ada')
  const answer = await browser().signup('ada', { password: 'another good password' })
  t.match(answer.json(), TAKEN)
  t.strictSame(setCookies(answer), [])
  t.equal(users.byName.get('ada'), before)
  t.strictSame(store.calls, [])
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('race: fifty concurrent signups of one name create one account', async t => {
  const { browser, users } = await server(t)
  const answers = await Promise.all(Array.from({ length: 50 }, () => browser().signup('ada')))
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter(status => status === 201).length, 1)
  t.equal(statuses.filter(status => status === 409).length, 49)
  t.equal(users.byName.size, 1)
})

t.test('an account that the app creates as disabled exists, and is not logged in', async t => {
  const users = userTable()
  const create = async (row: { username: string, passwordHash: string }): Promise<User | null> => {
    const user = await users.create(row)
    users.change(row.username, { disabled: true })
    return user && { ...user, disabled: true }
  }
  const { browser, store } = await server(t, { users: { ...users, create } })
  const ada = browser()
  const answer = await ada.signup('ada')
  t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
  t.strictSame([setCookies(answer), store.calls], [[], []])
  users.change('ada', { disabled: false })
  t.match(await ada.login('ada'), { statusCode: 200 })
})

t.test('spoofing: names that look the same are one name', async t => {
  const { browser, users } = await server(t)
  t.match(await browser().signup('ada@example.com'), { statusCode: 201 })
  for (const username of [' ada@example.com', 'ada＠example.com', 'ａｄａ@example.com', 'ada@example.com\n']) {
    t.match((await browser().signup(username)).json(), TAKEN, JSON.stringify(username))
  }
  t.strictSame([...users.byName.keys()], ['ada@example.com'])
})

t.test('spoofing: names with invisible or ambiguous characters are refused', async t => {
  const { browser, users } = await server(t)
  for (const username of [' ', '\u200b', 'a\u0000', 'a\u202eb', 'a\u2028b', '\ud800', 'a'.repeat(255)]) {
    t.match((await browser().signup(username)).json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: /^body\/username / }, `U+${username.codePointAt(1)?.toString(16)}`)
  }
  t.strictSame(users.calls, [])
})

/** Passwords, and whether the policy accepts them. */
const PASSWORDS: Array<[password: string, accepted: boolean, why: string]> = [
  ['seven77', false, 'too short'],
  ['mzqwkvbn', true, 'eight characters'],
  ['🔑🔑🔑🔑🔑🔑🔑', false, 'seven characters of two units each'],
  ['🦊🐻🐼🐨🐯🦁🐮🐷', true, 'eight of them'],
  ['🦊🐻🐼🐨🐯🦁🐮🐷'.repeat(8), true, 'a long one without a letter'],
  ['a b c d ', true, 'blanks: no rule about which characters'],
  ['horse staple '.repeat(78).padEnd(1024, '-'), true, 'the longest'],
  ['password2026', false, 'one that is tried first'],
  ['p'.repeat(1024), false, 'one letter, however often'],
  ['p'.repeat(1025), false, 'too long'],
  ['ü'.repeat(513), false, 'too long in bytes'],
  ['\ud800'.repeat(8), false, 'ill-formed Unicode']
]

t.test('password policy: length and guessability are checked, and nothing is truncated', async t => {
  for (const [password, accepted, why] of PASSWORDS) {
    const { browser, users } = await server(t)
    const answer = await browser().signup('ada', { password })
    if (accepted) {
      t.equal(answer.statusCode, 201, why)
      t.match(await browser().login('ada', { password }), { statusCode: 200 })
      t.match(await browser().login('ada', { password: password.slice(0, -1) }), { statusCode: 401 })
    } else {
      t.match(answer.json(), REFUSED, why)
      t.notMatch(answer.body, password)
      t.strictSame([setCookies(answer), users.calls], [[], []])
    }
  }
})

t.test('password policy: the app can add its own rule', async t => {
  const check = (password: string, { username }: { username?: string }) => password !== username?.repeat(2)
  const { browser } = await server(t, { passwords: { ...FAST_HASHING, minLength: 12, check } })
  t.match((await browser().signup('ada', { password: 'eleven chrs' })).json(), REFUSED)
  t.match((await browser().signup('ada lovelace', { password: 'ada lovelaceada lovelace' })).json(), REFUSED)
  t.match(await browser().signup('ada lovelace'), { statusCode: 201 })
})

/** Bodies that signup refuses, with the field that the message names. */
const BAD_BODIES: Array<[body: object, named: RegExp]> = [
  [{ username: 'ada', password: PASSWORD, disabled: false }, /^body has an unknown field$/],
  [{ username: 'ada', password: PASSWORD, id: 1 }, /^body has an unknown field$/],
  [{ username: 'ada', password: PASSWORD, remember: 'true' }, /^body\/remember /],
  [{ username: 'ada', password: [PASSWORD] }, /^body\/password /],
  [{ username: 'ada', password: 12345678 }, /^body\/password /],
  [{ username: 'ada', password: null }, /^body\/password /],
  [{ username: 5, password: PASSWORD }, /^body\/username /],
  [{ password: PASSWORD }, /username/],
  [{ username: 'ada' }, /password/]
]

t.test('a body is strict, and only JSON', async t => {
  const { browser, users } = await server(t)
  for (const [payload, named] of BAD_BODIES) {
    t.match((await post(browser(), payload)).json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: named })
  }
  const types: Array<[type: string, payload: string, status: number]> = [
    ['application/x-www-form-urlencoded', new URLSearchParams({ username: 'ada', password: PASSWORD }).toString(), 415],
    ['text/plain', JSON.stringify({ username: 'ada', password: PASSWORD }), 415],
    ['application/json', JSON.stringify({ username: 'ada', password: 'p'.repeat(17 * 1024) }), 413]
  ]
  for (const [type, payload, status] of types) t.match(await post(browser(), payload, { 'content-type': type }), { statusCode: status })
  t.strictSame(users.calls, [])
})

t.test('a signup in a browser of another user leaves that user\'s session alive', async t => {
  const { ada } = await loggedIn(t)
  const elsewhere = ada.copy()
  t.match(await ada.signup('bob'), { statusCode: 201 })
  t.equal(payloadOf(ada.cookie())['sub'], '2')
  t.match(await elsewhere.refresh(), { statusCode: 200 })
})

t.test('an account is found under the name that it was created with', async t => {
  const { browser, users } = await server(t)
  await browser().signup(' Ａda ')
  t.strictSame([...users.byName.keys()], ['Ada'])
  t.match(await browser().login('Ada'), { statusCode: 200 })
})

async function post (browser: Browser, payload: object | string, headers: Record<string, string> = {}): Promise<Answer> {
  return await browser.send({ method: 'POST', url: '/auth/signup', payload, headers })
}
