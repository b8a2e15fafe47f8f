import { readFileSync } from 'node:fs'
import { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { loggedIn, PASSWORD, setCookies, type Answer, type LoggedIn } from '../support/server.js'

const page = readFileSync('docs/logins.md', 'utf8')

/** Runs the sample below `<!-- recipe: name -->`, with these variables besides `app` and `users`. */
async function recipe (t: Test, name: string, given: Record<string, unknown>): Promise<LoggedIn & { post (url: string, payload: object): Promise<Answer> }> {
  const [, code = 'throw new Error("there is no such recipe")'] = new RegExp(`<!-- recipe: ${name} -->\\n\`\`\`ts\\n([^]*?)^\`\`\`$`, 'm').exec(page) ?? []
  let app: FastifyInstance | undefined
  const users = { findById: (sub: string) => s.users.findById(sub), findByUsername: (name: string) => s.users.findByUsername(name), updatePasswordHash: (...row: Parameters<LoggedIn['users']['updatePasswordHash']>) => s.users.updatePasswordHash(...row) }
  const AsyncFunction = Object.getPrototypeOf(recipe).constructor as typeof Function // the only way to it
  const s: LoggedIn = await loggedIn(t, { rateLimit: { perAccount: { max: 3, per: '15m' } } }, {}, made => {
    app = made
    AsyncFunction('app', 'users', ...Object.keys(given), code)(app, users, ...Object.values(given))
  })
  return { ...s, post: async (url, payload) => await s.app.inject({ method: 'POST', url, payload }) }
}

t.test('a second factor: password, then code', async t => {
  const s = await recipe(t, 'second-factor', { verifyTotp: (sub: string, code: string) => sub === '1' && code === '492039' })
  const stepOne = async (password = PASSWORD): Promise<Answer> => await s.post('/login', { username: 'ada', password })
  t.match(await stepOne('wrong password'), { statusCode: 401 })
  const first = await stepOne()
  t.strictSame(setCookies(first), [], 'the password alone logs nobody in')
  const entered = await s.post('/login/totp', { challenge: first.json().challenge, code: '492039' })
  t.match(entered, { statusCode: 200 })
  t.equal(setCookies(entered).length, 1)

  const { challenge } = (await stepOne()).json()
  s.users.change('ada', { passwordHash: await s.app.passwords.hash('another good password') })
  t.match((await s.post('/login/totp', { challenge, code: '492039' })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'a changed password ends it')
  const statuses: number[] = []
  for (let guess = 0; guess < 5; guess++) {
    statuses.push((await s.post('/login/totp', { challenge: (await stepOne('another good password')).json().challenge, code: String(guess) })).statusCode)
  }
  t.strictSame(statuses, [401, 401, 401, 429, 429])
})

t.test('a password reset: one link, one new password', async t => {
  const sent: string[] = []
  const s = await recipe(t, 'password-reset', { send: (_user: unknown, token: string) => { sent.push(token) } })
  const replies = [await s.post('/forgot', { username: 'ada' }), await s.post('/forgot', { username: 'nobody' }), await s.post('/forgot', { username: 'ada' })]
  t.strictSame(replies.map(({ statusCode, body }) => [statusCode, body]), Array(3).fill([202, '']))
  const [token, older] = sent
  t.match(await s.post('/reset', { token, password: 'x' }), { statusCode: 400 }, 'a refused password does not use it up')
  t.match(await s.post('/reset', { token, password: 'another good password' }), { statusCode: 204 })
  t.match(await s.ada.refresh(), { statusCode: 401 }, 'the sessions have ended')
  for (const used of [token, older]) t.match((await s.post('/reset', { token: used, password: 'a third good password' })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.match(await s.browser().login('ada', { password: 'another good password' }), { statusCode: 200 })
})
