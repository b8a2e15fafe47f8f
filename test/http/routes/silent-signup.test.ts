import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import refreshCookie, { type RefreshCookieOptions, type User } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { loggedIn, PASSWORD, SECRET, server, setCookies, userTable, type Answer, type TestServer } from '../../support/server.js'

/** A server with silent signups, and the e-mails that it sends. */
async function silent (t: Test, options: RefreshCookieOptions = {}): Promise<TestServer & { mails: Array<{ username: string, user: User | null }> }> {
  const mails: Array<{ username: string, user: User | null }> = []
  const s = await server(t, { accounts: { signup: 'silent', onSignup (signup) { mails.push(signup) } }, ...options })
  return { ...s, mails }
}

/** Everything that a caller can see of a reply. */
function seen ({ statusCode, headers: { date, ...headers }, body }: Answer): unknown {
  return { statusCode, headers, body }
}

t.test('user enumeration: free and taken names get the same 202 without a cookie', async t => {
  const { browser, users, mails } = await silent(t)
  const [free, taken] = [await browser().signup('ada'), await browser().signup('ada')]
  t.match([free.statusCode, free.body, setCookies(free)], exactly(202, '', exactly()))
  t.strictSame(seen(free), seen(taken))
  t.equal(free.headers['cache-control'], 'no-store')

  await setImmediate()
  t.match(mails, exactly({ username: 'ada', user: { id: 1, username: 'ada' } }, { username: 'ada', user: null }))
  t.strictSame(users.calls, ['create', 'create'], 'after the same work')
})

t.test('a confirmed account can log in', async t => {
  const { browser, users } = await silent(t)
  await browser().signup('ada')
  users.change('ada', { disabled: true })
  t.match(await browser().login('ada'), { statusCode: 401 })
  users.change('ada', { disabled: false })
  t.match(await browser().login('ada'), { statusCode: 200 })
})

t.test('user enumeration: while accounts are created disabled, a login does not reveal which names were free', async t => {
  const table = userTable()
  const create = async (row: { username: string, passwordHash: string }) => {
    const user = await table.create(row)
    if (user !== null) table.change(row.username, { disabled: true })
    return user
  }
  const { browser } = await silent(t, { users: { ...table, create } })
  await browser().signup('taken')
  table.change('taken', { disabled: false })
  const [free, taken] = await Promise.all(['free', 'taken'].map(async name => {
    await browser().signup(name, { password: 'violet umbrella' })
    return seen(await browser().login(name, { password: 'violet umbrella' }))
  }))
  t.match(free, { statusCode: 401 })
  t.strictSame(free, taken)
})

t.test('a logged-in user stays logged in', async t => {
  const { ada } = await loggedIn(t, { accounts: { signup: 'silent', onSignup () {} } })
  t.strictSame(setCookies(await ada.signup('bob')), [])
})

t.test('user enumeration: a refusal does not depend on the name', async t => {
  const { browser } = await silent(t)
  await browser().signup('ada')
  for (const password of ['short', 'password1', 'x'.repeat(1025)]) {
    const [free, taken] = await Promise.all(['bob', 'ada'].map(async name => seen(await browser().signup(name, { password }))))
    t.match(free, { statusCode: 400 })
    t.strictSame(free, taken)
  }
  const away = await silent(t, { users: { ...userTable(), async create () { throw new Error('no database') } } })
  t.match((await away.browser().signup('bob')).json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' })
})

t.test('user enumeration: free and taken names count alike for the rate limit', async t => {
  const { browser } = await silent(t, { rateLimit: { perAddress: { max: 2, per: '1m' } } })
  t.strictSame([await browser().signup('ada'), await browser().signup('ada'), await browser().signup('bob'), await browser().signup('ada')].map(({ statusCode }) => statusCode), [202, 202, 429, 429])
})

t.test('an e-mail that cannot be sent is logged, and changes no response', async t => {
  const lines: string[] = []
  const logger = { level: 'error', stream: { write: (line: string) => { lines.push(line) } } }
  const { browser } = await server(t, { accounts: { signup: 'silent', async onSignup () { throw new Error('no mail server') } } }, { logger })
  t.match(await browser().signup('ada', { password: PASSWORD }), { statusCode: 202 })
  await setImmediate()
  t.match(lines, exactly(/onSignup failed/))
})

t.test('app.close() waits for a mail server that never answers no longer than for one call', async t => {
  const { app, browser } = await server(t, { timeouts: { call: 1 }, accounts: { signup: 'silent', onSignup: async () => await new Promise(() => {}) } })
  await browser().signup('ada')
  await app.close()
})

t.test('app.close() waits for the e-mails of signups', async t => {
  const steps: string[] = []
  let sent = (): void => {}
  const { app, browser } = await server(t, { accounts: { signup: 'silent', onSignup: async () => await new Promise<void>(resolve => { sent = resolve }) } })
  await browser().signup('ada')
  const closed = app.close().then(() => steps.push('closed'))
  for (let turn = 0; turn < 20; turn++) await setImmediate()
  steps.push('sent')
  sent()
  await closed
  t.strictSame(steps, ['sent', 'closed'])
})

t.test('the OpenAPI document describes the configured kind of signup', async t => {
  for (const [accounts, statuses] of [[{ signup: 'silent', onSignup () {} }, ['202', '400', '403', '413', '415', '429', '500', '503']], [{}, ['201', '400', '401', '403', '409', '413', '415', '429', '500', '503']]] as const) {
    const app = Fastify()
    t.teardown(async () => { await app.close() })
    await app.register(swagger, { openapi: {} })
    await app.register(refreshCookie, { secret: SECRET, users: userTable(), accounts })
    await app.ready()
    t.strictSame(Object.keys(app.swagger().paths?.['/auth/signup']?.post?.responses ?? {}), statuses)
  }
})
