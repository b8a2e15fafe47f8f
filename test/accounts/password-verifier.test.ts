import argon2 from 'argon2'
import { mock } from 'node:test'
import t from 'tap'
import { type Credentials } from '../../lib/accounts/password-verifier.js'
import { type User } from '../../lib/accounts/user.js'
import { AuthError } from '../../lib/errors.js'
import { exactly } from '../support/exactly.js'
import { userTable } from '../support/user-table.js'
import { ADA, COST, INVALID, PASSWORD, UNAVAILABLE, accountsOver } from './accounts-over.js'
import { fastPasswords } from './fast-passwords.js'

/** A hash that is weaker than a new one. */
async function weakHash (): Promise<string> {
  return await argon2.hash(PASSWORD, { ...COST, memoryCost: 512 })
}

t.test('login', async t => {
  const passwordHash = await argon2.hash(PASSWORD, COST)

  t.test('returns the user as the app knows them', async t => {
    const row = { id: 'a1', username: 'ada', passwordHash, favouriteColour: 'green' }
    const { login, work, events } = accountsOver({ findByUsername: name => name === 'ada' ? row : null })

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
    const { login, work } = accountsOver(users)
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

  t.test('timing: the hash of a disabled user is not verified, since a right password would take less time', async t => {
    const { login, work } = accountsOver(userTable({ ada: { passwordHash, disabled: true } }))
    await t.rejects(login(ADA), INVALID)
    t.notOk(work.verified.includes(passwordHash))
  })

  t.test('refuses a user who is disabled while the password is verified', async t => {
    const user = { id: 1, username: 'ada', passwordHash: 'of another system', disabled: false }
    const { login } = accountsOver({ findByUsername: () => user }, { verifyLegacy: () => { user.disabled = true; return true } })
    await t.rejects(login(ADA), INVALID)
  })

  t.test('names the user of a failure only if there is one', async t => {
    const { login, events } = accountsOver(userTable({ ada: { id: 'a1', passwordHash }, bob: { id: 'b2', passwordHash, disabled: true } }))
    for (const username of ['ada', 'bob', 'nobody', '']) await t.rejects(login({ username, password: 'wrong password' }), INVALID)

    t.strictSame(events, ['a1', 'b2', null, null].map(subject => ({ type: 'login_failed', subject })))
  })

  t.test('does not look up an impossible username', async t => {
    const users = userTable()
    const { login } = accountsOver(users)
    await t.rejects(login({ ...ADA, username: 'ad\0a' }), INVALID)
    t.strictSame(users.calls, [])
  })

  t.test('treats a missing row as an unknown user', async t => {
    // As returned by a Map or the first row of an empty result.
    const findByUsername = (() => undefined) as unknown as () => null
    await t.rejects(accountsOver({ findByUsername }).login(ADA), INVALID)
  })

  t.test('accepts a password that today\'s policy would refuse', async t => {
    const short = await argon2.hash('abc', COST)
    const { login } = accountsOver(userTable({ ada: { passwordHash: short } }), { check: () => t.fail('was called') })
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
    const { signup, login } = accountsOver(users)
    await signup(ADA)
    users.table.byName.set('ada', { id: 1, username: 'ada', passwordHash: await weakHash() })
    t.equal((await login(ADA)).id, 1)
    t.equal(users.table.replaced.length, 1)
  })

  t.test('information leak: is a plain 503 if the app fails', async t => {
    const cause = new Error('no database')
    const { login, events, work } = accountsOver({ findByUsername: async () => { throw cause } })
    await t.rejects(login(ADA), { ...UNAVAILABLE, cause })
    t.strictSame(events, [])
    t.strictSame(work.verified, [])
  })

  t.test('is a 503 if the app hangs', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    let login: Promise<unknown> | undefined
    await new Promise<void>(resolve => {
      login = accountsOver({ findByUsername () { resolve(); return new Promise<null>(() => {}) } }).login(ADA)
    })
    mock.timers.tick(2000)
    await t.rejects(Promise.resolve(login), UNAVAILABLE)
  })

  t.test('brute force: a hash of another system that takes too long to verify counts, whoever it is of', async t => {
    let slow = false
    const verifyLegacy = (): boolean => {
      if (slow) throw new Error('it takes too long')
      return false
    }
    const perAccount = [{ max: 2, per: 900 }]
    for (const username of ['ada', 'bob', 'nobody']) {
      slow = false
      const users = userTable({ ada: { id: 'a1', passwordHash: `sha1$${'0'.repeat(40)}` }, bob: { id: 'b2', passwordHash } })
      const { login } = accountsOver(users, { verifyLegacy, limits: { perAccount } })
      await t.rejects(login({ ...ADA, username: 'ada' }), INVALID) // its kind of hash is known from now on
      slow = true
      const name = username === 'ada' ? [username] : [username, username]
      for (const username of name) await t.rejects(login({ username, password: 'wrong password' }), UNAVAILABLE)
      await t.rejects(login({ ...ADA, username }), { code: 'FST_AUTH_TOO_MANY_ATTEMPTS' })
    }
  })

  t.test('information leak: is a plain 503 if too many log in', async t => {
    const { login, events } = accountsOver(userTable(), { queue: { concurrency: 0, waiting: 0, maxWait: 5 } })
    await t.rejects(login(ADA), { code: 'FST_AUTH_BUSY', statusCode: 503 })
    t.strictSame(events, [])
  })
})

t.test('logs a stored hash that cannot be parsed', async t => {
  const users = userTable({ ada: { id: 'a1', passwordHash: 'x' }, bob: { id: 'b2', passwordHash: null } })
  const { login, warnings } = accountsOver(users)

  for (const username of ['ada', 'bob', 'nobody']) await t.rejects(login({ ...ADA, username }), INVALID)
  t.strictSame(warnings, [{ subject: 'a1' }])
  const other = accountsOver(users, { verifyLegacy: () => false })
  await t.rejects(other.login(ADA), INVALID)
  t.strictSame(other.warnings, [], 'where another system made it, it can be read')
})

t.test('a login replaces a weak hash', async t => {
  t.test('with current parameters', async t => {
    for (const old of [await weakHash(), await argon2.hash(PASSWORD, { ...COST, type: argon2.argon2i })]) {
      const users = userTable({ ada: { passwordHash: old } })
      const { login, work, warnings } = accountsOver(users)
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
      const { login, warnings } = accountsOver(users, { pepper: { current: 'k2', keys: KEYS }, verifyLegacy: (_hash, password) => password === PASSWORD })
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
    const { login } = accountsOver(users)
    const answers = await Promise.all(Array.from({ length: 20 }, () => login(ADA)))

    t.ok(answers.every(({ id }) => id === 1))
    t.equal(users.replaced.length, 1)
    t.equal(users.byName.get('ada')?.passwordHash, users.replaced[0])
  })

  t.test('race: but not a hash that has changed meanwhile', async t => {
    const old = await weakHash()
    const users = userTable({ ada: { passwordHash: old } })
    const changed: User = { id: 1, username: 'ada', passwordHash: await argon2.hash('another password', COST) }
    const { login, warnings } = accountsOver({
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
    const { login } = accountsOver(users)
    await t.rejects(login({ ...ADA, password: 'wrong password' }), INVALID)
    await t.rejects(login({ ...ADA, username: 'bob' }), INVALID)
    t.strictSame(users.replaced, [])
  })

  t.test('only if users.updatePasswordHash exists', async t => {
    const { findByUsername } = userTable({ ada: { passwordHash: await weakHash() } })
    const { login, work } = accountsOver({ findByUsername })
    await login(ADA)
    t.equal(work.hashes, 0)
  })

  t.test('and succeeds if the replacement fails, which is logged', async t => {
    const cause = new Error('no database')
    const { findByUsername } = userTable({ ada: { passwordHash: await weakHash() } })
    const failures = [() => { throw cause }, async () => { throw cause }]
    for (const updatePasswordHash of failures) {
      const { login, warnings } = accountsOver({ findByUsername, updatePasswordHash })
      t.equal((await login(ADA)).id, 1)
      t.match(warnings, exactly({ subject: '1', err: { code: 'FST_AUTH_STORE_UNAVAILABLE', cause } }))
    }
  })

  t.test('and succeeds without a warning if the queue for the stronger hash is full', async t => {
    const users = userTable({ ada: { passwordHash: await weakHash() } })
    const { login, warnings, passwords } = accountsOver(users)
    passwords.hash = async () => { throw new AuthError('FST_AUTH_BUSY') }
    t.equal((await login(ADA)).id, 1)
    t.strictSame([warnings, users.replaced], [[], []])
  })

  t.test('and succeeds if the result of the replacement is unknown, which is logged', async t => {
    const users = userTable({ ada: { passwordHash: await weakHash() } })
    const updatePasswordHash = (async (...row: Parameters<typeof users.updatePasswordHash>) => { await users.updatePasswordHash(...row) }) as unknown as typeof users.updatePasswordHash
    const { login, warnings } = accountsOver({ ...users, updatePasswordHash })
    for (let nth = 1; nth <= 2; nth++) t.equal((await login(ADA)).id, 1)
    t.match(warnings, exactly({ subject: '1', err: { name: 'TypeError', message: '"users.updatePasswordHash" gave undefined: it must return true where it replaced the hash, and false where that was no longer oldHash' } }))
  })
})
