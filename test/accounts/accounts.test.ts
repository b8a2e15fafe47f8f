import argon2 from 'argon2'
import { mock } from 'node:test'
import t from 'tap'
import { startDeadline } from '../../lib/deadline.js'
import { createAccounts, type AccountsOptions, type Credentials, type Proven } from '../../lib/accounts/accounts.js'
import { type AuthEvent, type RequestContext } from '../../lib/audit/events.js'
import { type User } from '../../lib/accounts/user.js'
import { AuthError } from '../../lib/errors.js'
import { exactly } from '../support/exactly.js'
import { userTable } from '../support/user-table.js'
import { fastPasswords } from './fast-passwords.js'

const COST = { memoryCost: 1024, timeCost: 2, parallelism: 1 }
const PASSWORD = 'correct horse'
const ADA: Credentials = { username: 'ada', password: PASSWORD }
const INVALID = { code: 'FST_AUTH_CREDENTIALS_INVALID', statusCode: 401 }
const UNAVAILABLE = { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503 }

/** Accounts over a user table, with the recorded events and warnings. */
function app (users: AccountsOptions['users'], options: Parameters<typeof fastPasswords>[0] & Partial<AccountsOptions> = {}) {
  const events: AuthEvent[] = []
  const warnings: Array<{ subject: string, err?: unknown }> = []
  const { passwords, work } = fastPasswords(options)
  const accounts = createAccounts({ users, passwords, usernameField: 'username', warn: (_message, details) => { warnings.push(details) }, ...options })
  const context: RequestContext = { userAgent: null, ip: null, get bounded () { return startDeadline({ call: 2, request: 3 }) }, emit: event => { events.push(event) } }

  return {
    events,
    warnings,
    work,
    async signup (credentials: Credentials): Promise<User> {
      if (accounts.signup === undefined) throw new Error('there is no signup')
      return await accounts.signup(credentials, context)
    },
    async login (credentials: Credentials): Promise<User> {
      if (accounts.login === undefined) throw new Error('there is no login')
      return (await accounts.login(credentials, context)).user
    }
  }
}

/** A hash that is weaker than the current parameters. */
async function weakHash (): Promise<string> {
  return await argon2.hash(PASSWORD, { ...COST, memoryCost: 512 })
}

t.test('signup and login exist only if users has the functions that they need', async t => {
  const { passwords } = fastPasswords()
  const { findByUsername, create, updatePasswordHash } = userTable()
  const abilities = (users: AccountsOptions['users']) => Object.keys(createAccounts({ users, passwords, usernameField: 'username' }))

  t.strictSame(abilities({ findByUsername, create, updatePasswordHash }), ['signup', 'login', 'stillProves', 'changePassword'])
  t.strictSame(abilities({ findByUsername }), ['login', 'stillProves'])
  t.strictSame(abilities({ create }), ['signup'])
  t.strictSame(abilities({ findById: async () => null }), ['reauthenticate'])
  t.strictSame(abilities({ updatePasswordHash }), ['changePassword'])
})

t.test('signup', async t => {
  t.test('creates an account that can log in', async t => {
    const users = userTable()
    const { signup, login, events } = app(users)

    const user = await signup(ADA)
    t.match(user, { id: 1, username: 'ada', passwordHash: /^\$argon2id\$/ })
    t.strictSame(await login(ADA), user)
    t.strictSame(events, [{ type: 'signup', subject: '1' }])
  })

  t.test('normalises the username, and login finds it in every spelling', async t => {
    const users = userTable()
    const { signup, login } = app(users)

    await signup({ ...ADA, username: ' ada\uff20example.com ' })
    t.strictSame([...users.byName.keys()], ['ada@example.com'])
    t.equal((await login({ ...ADA, username: 'ada@example.com ' })).id, 1)
    await t.rejects(signup({ ...ADA, username: 'ada@example.com' }), { code: 'FST_AUTH_USERNAME_TAKEN' })
  })

  t.test('user enumeration: costs one hash for taken and free names', async t => {
    const { signup, work, events } = app(userTable())
    await signup(ADA)
    t.strictSame({ ...work }, { loads: 1, hashes: 1, verified: [] })

    await t.rejects(signup(ADA), { code: 'FST_AUTH_USERNAME_TAKEN', statusCode: 409 })
    t.strictSame({ ...work }, { loads: 2, hashes: 2, verified: [] })
    t.equal(events.length, 1)
  })

  t.test('race: concurrent signups of one name create one account', async t => {
    const { signup } = app(userTable())
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => signup(ADA)))
    t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  t.test('accepts only a user from users.create, and only null for a taken name', async t => {
    for (const answer of [undefined, true, false, 7, '']) {
      const { signup, events } = app({ create: (() => answer) as unknown as () => null })
      await t.rejects(signup(ADA), { name: 'TypeError', message: /^"users\.create" gave .*: it must return the new user, or null where the name is taken$/ })
      t.strictSame(events, [])
    }
    await t.rejects(app({ create: () => null }).signup(ADA), { code: 'FST_AUTH_USERNAME_TAKEN' })
  })

  t.test('refuses an impossible username like schema validation', async t => {
    const users = userTable()
    const { signup, work } = app(users)
    for (const username of [undefined, 7, '', '  ', 'ad\0a', 'x'.repeat(255), '\ud800']) {
      await t.rejects(signup({ ...ADA, username }), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: /^body\/username / })
    }
    await t.rejects(app(users, { usernameField: 'email' }).signup({ ...ADA, username: '' }), { message: /^body\/email / })
    t.strictSame(users.calls, [])
    t.equal(work.hashes, 0)
  })

  t.test('refuses a password before users.create is called', async t => {
    const asked: unknown[] = []
    const users = userTable()
    const { signup, work } = app(users, { check: (...values) => { asked.push(values); return false } })

    for (const password of [undefined, 'short', 'x'.repeat(1025), PASSWORD]) {
      await t.rejects(signup({ username: ' ada ', password }), { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400 })
    }
    t.strictSame(asked, [[PASSWORD, { username: 'ada' }]])
    t.strictSame(users.calls, [])
    t.equal(work.hashes, 0)
  })

  t.test('is a 503 without an account if users.create fails', async t => {
    const cause = new Error('no database')
    const { signup, events } = app({ create: async () => { throw cause } })
    await t.rejects(signup(ADA), { ...UNAVAILABLE, cause })
    t.strictSame(events, [])
  })
})

t.test('login', async t => {
  const passwordHash = await argon2.hash(PASSWORD, COST)

  t.test('returns the user as the app knows them', async t => {
    const row = { id: 'a1', username: 'ada', passwordHash, favouriteColour: 'green' }
    const { login, work, events } = app({ findByUsername: name => name === 'ada' ? row : null })

    t.equal(await login(ADA), row)
    t.strictSame(work.verified, [passwordHash])
    t.strictSame(events, [], 'the session that follows is the event')
  })

  t.test('user enumeration: every failure has the same error after one verification of the same cost', async t => {
    const users = userTable({
      ada: { passwordHash },
      disabled: { passwordHash, disabled: true },
      elsewhere: { passwordHash: null },
      empty: { passwordHash: '' },
      garbage: { passwordHash: 'x' },
      bcrypt: { passwordHash: '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW' },
      greedy: { passwordHash: passwordHash.replace('m=1024', 'm=4194304') }
    })
    const { login, work } = app(users)
    const failures: Credentials[] = [
      { username: 'nobody', password: PASSWORD },
      { username: 'ada', password: 'wrong password' },
      { username: 'disabled', password: PASSWORD },
      { username: 'disabled', password: 'wrong password' },
      ...['elsewhere', 'empty', 'garbage', 'bcrypt', 'greedy'].map(username => ({ username, password: PASSWORD })),
      ...[undefined, null, 7, [PASSWORD], '', 'x'.repeat(1025), '\ud800'].map(password => ({ username: 'ada', password })),
      ...[undefined, null, 7, ['ada'], '', 'ad\0a', 'x'.repeat(255), '\ud800'].map(username => ({ username, password: PASSWORD }))
    ]

    const seen = new Set<string>()
    for (const [index, credentials] of failures.entries()) {
      const error: unknown = await login(credentials).catch((error: unknown) => error)
      t.match(error, INVALID, String(index))
      if (error instanceof AuthError) seen.add(JSON.stringify([error.message, error.headers, error.retryAfter ?? null, Object.keys(error), 'cause' in error]))
      t.equal(work.verified.length, index + 1)
      t.match(work.verified.at(-1), '$argon2id$v=19$m=1024,t=2,p=1$')
    }
    t.equal(seen.size, 1, 'and the errors look the same')
    t.equal(work.hashes, 0)
  })

  t.test('names the user of a failure only if there is one', async t => {
    const { login, events } = app(userTable({ ada: { id: 'a1', passwordHash }, bob: { id: 'b2', passwordHash, disabled: true } }))
    for (const username of ['ada', 'bob', 'nobody', '']) await t.rejects(login({ username, password: 'wrong password' }), INVALID)

    t.strictSame(events, ['a1', 'b2', null, null].map(subject => ({ type: 'login_failed', subject })))
  })

  t.test('does not look up an impossible username', async t => {
    const users = userTable()
    const { login } = app(users)
    await t.rejects(login({ ...ADA, username: 'ad\0a' }), INVALID)
    t.strictSame(users.calls, [])
  })

  t.test('treats a missing row as an unknown user', async t => {
    // As returned by a Map or the first row of an empty result.
    const findByUsername = (() => undefined) as unknown as () => null
    await t.rejects(app({ findByUsername }).login(ADA), INVALID)
  })

  t.test('accepts a password that today\'s policy would refuse', async t => {
    const short = await argon2.hash('abc', COST)
    const { login } = app(userTable({ ada: { passwordHash: short } }), { check: () => t.fail('was asked') })
    t.equal((await login({ username: 'ada', password: 'abc' })).id, 1)
  })

  t.test('works with users that are instances of a class', async t => {
    class Repository {
      readonly table = userTable()
      async create (user: { username: string, passwordHash: string }) { return await this.table.create(user) }
      async findByUsername (name: string) { return await this.table.findByUsername(name) }
      async updatePasswordHash (id: number, newHash: string, oldHash: string) { return await this.table.updatePasswordHash(id, newHash, oldHash) }
    }
    const users = new Repository()
    const { signup, login } = app(users)
    await signup(ADA)
    users.table.byName.set('ada', { id: 1, username: 'ada', passwordHash: await weakHash() })
    t.equal((await login(ADA)).id, 1)
    t.equal(users.table.replaced.length, 1)
  })

  t.test('information leak: is a plain 503 if the app fails', async t => {
    const cause = new Error('no database')
    const { login, events, work } = app({ findByUsername: async () => { throw cause } })
    await t.rejects(login(ADA), { ...UNAVAILABLE, cause })
    t.strictSame(events, [])
    t.strictSame(work.verified, [])
  })

  t.test('is a 503 if the app hangs', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const login = app({ findByUsername: () => new Promise<null>(() => {}) }).login(ADA)
    mock.timers.tick(2000)
    await t.rejects(login, UNAVAILABLE)
  })

  t.test('information leak: is a plain 503 if too many log in', async t => {
    const { login, events } = app(userTable(), { queue: { concurrency: 0, waiting: 0, maxWait: 5 } })
    await t.rejects(login(ADA), { code: 'FST_AUTH_BUSY', statusCode: 503 })
    t.strictSame(events, [])
  })
})

t.test('logs a stored hash that cannot be parsed', async t => {
  const users = userTable({ ada: { id: 'a1', passwordHash: 'x' }, bob: { id: 'b2', passwordHash: null } })
  const { login, warnings } = app(users)

  for (const username of ['ada', 'bob', 'nobody']) await t.rejects(login({ ...ADA, username }), INVALID)
  t.strictSame(warnings, [{ subject: 'a1' }])
  const other = app(users, { verifyLegacy: () => false })
  await t.rejects(other.login(ADA), INVALID)
  t.strictSame(other.warnings, [], 'where another system made it, it can be read')
  await t.rejects(app(users, { warn: undefined }).login(ADA), INVALID, 'or to nobody')
})

t.test('a login replaces a weak hash', async t => {
  t.test('with current parameters', async t => {
    for (const old of [await weakHash(), await argon2.hash(PASSWORD, { ...COST, type: argon2.argon2i })]) {
      const users = userTable({ ada: { passwordHash: old } })
      const { login, work, warnings } = app(users)
      await login(ADA)
      await login(ADA)

      t.match(users.byName.get('ada')?.passwordHash, '$argon2id$v=19$m=1024,t=2,p=1$')
      t.strictSame(work.verified, [old, ...users.replaced])
      t.equal(work.hashes, 1)
      t.strictSame(warnings, [])
    }
  })

  t.test('with argon2id, if another system made it or the pepper changed', async t => {
    const KEYS = { k1: 'fN3#pL8!wQ5@xC2$zV7%uB1^mR9&kT4*', k2: 'hD6!sG1@jF4#aY9$oP2%eW7^iU3&nX8*' }
    const bcrypt = '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW'
    const peppered = await fastPasswords({ pepper: { current: 'k1', keys: KEYS } }).passwords.hash(PASSWORD)
    for (const old of [bcrypt, peppered, await argon2.hash(PASSWORD, COST)]) {
      const users = userTable({ ada: { passwordHash: old } })
      const { login, warnings } = app(users, { pepper: { current: 'k2', keys: KEYS }, verifyLegacy: (_hash, password) => password === PASSWORD })
      await login(ADA)

      t.match(users.byName.get('ada')?.passwordHash, '$argon2id$v=19$m=1024,t=2,p=1,keyid=azI$')
      t.equal(users.replaced.length, 1)
      t.equal((await login(ADA)).id, 1)
      t.equal(users.replaced.length, 1)
      await t.rejects(login({ ...ADA, password: 'wrong password' }), INVALID)
      t.strictSame(warnings, [])
    }
  })

  t.test('once for concurrent logins', async t => {
    const users = userTable({ ada: { passwordHash: await weakHash() } })
    const { login } = app(users)
    const answers = await Promise.all(Array.from({ length: 20 }, () => login(ADA)))

    t.ok(answers.every(({ id }) => id === 1))
    t.equal(users.replaced.length, 1)
    t.equal(users.byName.get('ada')?.passwordHash, users.replaced[0])
  })

  t.test('race: but not a hash that has changed meanwhile', async t => {
    const old = await weakHash()
    const users = userTable({ ada: { passwordHash: old } })
    const changed: User = { id: 1, username: 'ada', passwordHash: await argon2.hash('another password', COST) }
    const { login, warnings } = app({
      ...users,
      async findByUsername (username) {
        const user = await users.findByUsername(username)
        users.byName.set('ada', changed)
        return user
      }
    })

    t.equal((await login(ADA)).passwordHash, old)
    t.equal(users.byName.get('ada'), changed)
    t.strictSame(warnings, [])
  })

  t.test('but not after a failed login', async t => {
    const users = userTable({ ada: { passwordHash: await weakHash() }, bob: { passwordHash: await weakHash(), disabled: true } })
    const { login } = app(users)
    await t.rejects(login({ ...ADA, password: 'wrong password' }), INVALID)
    await t.rejects(login({ ...ADA, username: 'bob' }), INVALID)
    t.strictSame(users.replaced, [])
  })

  t.test('only if users.updatePasswordHash exists', async t => {
    const { findByUsername } = userTable({ ada: { passwordHash: await weakHash() } })
    const { login, work } = app({ findByUsername })
    await login(ADA)
    t.equal(work.hashes, 0)
  })

  t.test('and succeeds if the replacement fails, which is logged', async t => {
    const cause = new Error('no database')
    const { findByUsername } = userTable({ ada: { passwordHash: await weakHash() } })
    const failures = [() => { throw cause }, async () => { throw cause }]
    for (const updatePasswordHash of failures) {
      const { login, warnings } = app({ findByUsername, updatePasswordHash })
      t.equal((await login(ADA)).id, 1)
      t.match(warnings, exactly({ subject: '1', err: { code: 'FST_AUTH_STORE_UNAVAILABLE', cause } }))
    }
  })

  t.test('and succeeds if the result of the replacement is unknown, which is logged', async t => {
    const users = userTable({ ada: { passwordHash: await weakHash() } })
    const updatePasswordHash = (async (...row: Parameters<typeof users.updatePasswordHash>) => { await users.updatePasswordHash(...row) }) as unknown as typeof users.updatePasswordHash
    const { login, warnings } = app({ ...users, updatePasswordHash })
    for (let nth = 1; nth <= 2; nth++) t.equal((await login(ADA)).id, 1)
    t.match(warnings, exactly({ subject: '1', err: { name: 'TypeError', message: '"users.updatePasswordHash" gave undefined: it must return true where it replaced the hash, and false where that was no longer oldHash' } }))
  })
})

t.test('a logged-in user', async t => {
  /** Ada with her password, and the methods for a logged-in user. */
  async function session (row: Partial<User> = {}) {
    const users = userTable({ ada: { passwordHash: await argon2.hash(PASSWORD, COST), ...row } })
    const { passwords } = fastPasswords()
    const events: AuthEvent[] = []
    const context: RequestContext = { userAgent: null, ip: null, get bounded () { return startDeadline({ call: 2, request: 3 }) }, emit: event => { events.push(event) } }
    const { reauthenticate, changePassword } = createAccounts({ users, passwords, usernameField: 'username' })
    if (reauthenticate === undefined || changePassword === undefined) throw new Error('this app can do neither')
    return {
      users,
      events,
      passwords,
      reauthenticate: async (subject: string, password: unknown) => await reauthenticate(subject, password, context),
      changePassword: async (proven: Proven, password: unknown) => await changePassword(proven, password, context)
    }
  }

  t.test('reauthenticates with the password', async t => {
    const { reauthenticate, events } = await session()
    t.match(await reauthenticate('1', PASSWORD), { user: { id: 1, username: 'ada' }, subject: '1' })
    await t.rejects(reauthenticate('1', 'wrong password'), INVALID)
    await t.rejects(reauthenticate('2', PASSWORD), INVALID)
    t.strictSame(events, [{ type: 'login_failed', subject: '1' }, { type: 'login_failed', subject: null }])
  })

  t.test('cannot reauthenticate once disabled', async t => {
    const { reauthenticate } = await session({ disabled: true })
    await t.rejects(reauthenticate('1', PASSWORD), INVALID)
  })

  t.test('changes the password, and the write comes last', async t => {
    const { reauthenticate, changePassword, users, events, passwords } = await session()
    const commit = await changePassword(await reauthenticate('1', PASSWORD), 'violet umbrella')
    t.strictSame([users.replaced, events], [[], []])
    await commit(() => {})
    t.equal(await passwords.verify(users.byName.get('ada')?.passwordHash ?? null, 'violet umbrella'), true)
    t.strictSame(events, [{ type: 'password_changed', subject: '1' }])
  })

  t.test('cannot choose a password that the policy refuses', async t => {
    const { reauthenticate, changePassword } = await session()
    const ada = await reauthenticate('1', PASSWORD)
    for (const password of ['short', 'password1', 'ada12345']) await t.rejects(changePassword(ada, password), { code: 'FST_AUTH_PASSWORD_REFUSED' }, password)
  })

  t.test('race: is refused if the password has changed meanwhile', async t => {
    const { reauthenticate, changePassword, users, events } = await session()
    const commit = await changePassword(await reauthenticate('1', PASSWORD), 'violet umbrella')
    users.byName.set('ada', { id: 1, username: 'ada', passwordHash: await argon2.hash('another password', COST) })
    await t.rejects(commit(() => {}), INVALID)
    t.strictSame(events, [])
  })
})
