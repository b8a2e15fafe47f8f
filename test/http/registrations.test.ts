/** Registrations with one secret accept each other's tokens, which must not happen for customers and staff. */
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { memoryStore, statelessStore, type RefreshCookieOptions } from '../../lib/index.js'
import { COOKIE, FAST_HASHING, PASSWORD, SECRET, userTable } from '../support/server.js'

const OTHER_SECRET = 'another secret of the staff: 7#Qk!z@V2m$Xp9'
const PEOPLE = userTable()

/** A server with two registrations, and the warnings about them. */
async function both (t: Test, customers: RefreshCookieOptions, staff: RefreshCookieOptions): Promise<{ app: FastifyInstance, warnings: string[] }> {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write (line: string) { lines.push(JSON.parse(line).code) } } } })
  await app.register(async scope => { await scope.register(refreshCookie, { secret: SECRET, passwords: FAST_HASHING, ...customers }) })
  await app.register(async scope => { await scope.register(refreshCookie, { secret: SECRET, passwords: FAST_HASHING, prefix: '/staff', ...staff }) })
  t.teardown(async () => { await app.close() })
  await app.ready()
  return { app, warnings: lines.filter(code => code.startsWith('FST_AUTH_WARN_SHARED')) }
}

const KEY = 'FST_AUTH_WARN_SHARED_KEY'
const STORE = memoryStore()
const STAFF: RefreshCookieOptions = { secret: OTHER_SECRET, cookie: { name: '__Host-Http-staff' } }

const OTHERS: ReadonlyArray<readonly [which: string, customers: RefreshCookieOptions, staff: RefreshCookieOptions, ...warnings: string[]]> = [
  ['other users', { users: userTable() }, { users: userTable() }, KEY],
  ['another issuer', { users: PEOPLE, issuer: 'https://shop.example' }, { users: PEOPLE, issuer: 'https://staff.example' }, KEY],
  ['another audience', { users: PEOPLE, audience: ['shop'] }, { users: PEOPLE, audience: ['staff'] }, KEY],
  ['a former secret of the other', { users: userTable() }, { users: userTable(), secret: [OTHER_SECRET, SECRET] }, KEY],
  ['the same people', { users: PEOPLE, issuer: 'https://shop.example' }, { users: PEOPLE, issuer: 'https://shop.example', refreshToken: { transport: 'body' } }],
  ['other users, another secret and another cookie', { users: userTable() }, { users: userTable(), ...STAFF }],
  ['other users, another secret and another path', { users: userTable() }, { users: userTable(), secret: OTHER_SECRET, cookie: { path: '/staff' } }],
  ['other users and another secret, without a cookie', { users: userTable() }, { users: userTable(), secret: OTHER_SECRET, refreshToken: { transport: 'body' } }],
  ['another secret and the same cookie', { users: userTable() }, { users: userTable(), secret: OTHER_SECRET }, 'FST_AUTH_WARN_SHARED_COOKIE'],
  ['other users and the same store', { users: userTable(), store: STORE }, { users: userTable(), store: STORE, ...STAFF }, 'FST_AUTH_WARN_SHARED_STORE'],
  ['the same people and the same store', { users: PEOPLE, store: STORE }, { users: PEOPLE, store: STORE, ...STAFF }],
  ['the same people, without the login that asks for a second factor', { users: PEOPLE, routes: { login: false } }, { users: PEOPLE, refreshToken: { transport: 'body' } }, 'FST_AUTH_WARN_SHARED_USERS'],
  ['the same people, and no login in both', { users: PEOPLE, routes: { login: false } }, { users: PEOPLE, routes: { login: false }, refreshToken: { transport: 'body' } }],
  ['no users and the same store', { users: PEOPLE, store: STORE }, { store: STORE, ...STAFF }]
]

for (const [which, customers, staff, ...expected] of OTHERS) {
  t.test(`a second registration with ${which} ${expected.length > 0 ? 'causes a warning' : 'is accepted'}`, async t => {
    const { warnings } = await both(t, customers, staff)
    t.strictSame(warnings, expected)
  })
}

t.test('registrations of two servers are independent', async t => {
  for (const users of [userTable(), userTable()]) {
    const { warnings } = await both(t, { users }, { users })
    t.strictSame(warnings, [])
  }
})

t.test("privilege escalation: a customer's refresh cookie is invalid for staff, who have another secret", async t => {
  for (const [secret, statusCode] of [[SECRET, 200], [OTHER_SECRET, 401]] as const) {
    const { app } = await both(t, { users: userTable(), store: statelessStore() }, { users: withAda(), store: statelessStore(), secret })
    const signup = await app.inject({ method: 'POST', url: '/auth/signup', payload: { username: 'eve', password: PASSWORD } })
    const cookies = { [COOKIE]: String(signup.cookies.find(({ name }) => name === COOKIE)?.value) }
    t.equal((await app.inject({ method: 'POST', url: '/staff/refresh', cookies })).statusCode, statusCode)
  }
})

/** A table whose first id belongs to another user than in the other table. */
function withAda (): RefreshCookieOptions['users'] {
  return { ...userTable(), findById: id => ({ id, username: 'ada', passwordHash: null }) }
}
