import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { type SignupListener } from '../../lib/accounts/signup.js'
import { userTable } from '../support/user-table.js'
import { ADA, PASSWORD, UNAVAILABLE, accountsOver } from './accounts-over.js'

t.test('signup', async t => {
  t.test('creates an account that can log in', async t => {
    const users = userTable()
    const { signup, login, events } = accountsOver(users)

    const user = await signup(ADA)
    t.match(user, { id: 1, username: 'ada', passwordHash: /^\$argon2id\$/ })
    t.strictSame(await login(ADA), user)
    t.strictSame(events, [{ type: 'signup', subject: '1' }])
  })

  t.test('normalises the username, and login finds it in every spelling', async t => {
    const users = userTable()
    const { signup, login } = accountsOver(users)

    await signup({ ...ADA, username: ' ada\uff20example.com ' })
    t.strictSame([...users.byName.keys()], ['ada@example.com'])
    t.equal((await login({ ...ADA, username: 'ada@example.com ' })).id, 1)
    await t.rejects(signup({ ...ADA, username: 'ada@example.com' }), { code: 'FST_AUTH_USERNAME_TAKEN' })
  })

  t.test('user enumeration: costs one hash for taken and free names', async t => {
    const { signup, work, events } = accountsOver(userTable())
    await signup(ADA)
    t.strictSame({ ...work }, { loads: 1, hashes: 1, verified: [] })

    await t.rejects(signup(ADA), { code: 'FST_AUTH_USERNAME_TAKEN', statusCode: 409 })
    t.strictSame({ ...work }, { loads: 1, hashes: 2, verified: [] })
    t.equal(events.length, 1)
  })

  t.test('race: concurrent signups of one name create one account', async t => {
    const { signup } = accountsOver(userTable())
    const answers = await Promise.allSettled(Array.from({ length: 20 }, () => signup(ADA)))
    t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  t.test('accepts only a user from users.create, and only null for a taken name', async t => {
    for (const answer of [undefined, true, false, 7, '']) {
      const { signup, events } = accountsOver({ create: (() => answer) as unknown as () => null })
      await t.rejects(signup(ADA), { name: 'TypeError', message: /^"users\.create" gave .*: it must return the new user, or null where the name is taken$/ })
      t.strictSame(events, [])
    }
    await t.rejects(accountsOver({ create: () => null }).signup(ADA), { code: 'FST_AUTH_USERNAME_TAKEN' })
  })

  t.test('refuses an impossible username like schema validation', async t => {
    const users = userTable()
    const { signup, work } = accountsOver(users)
    for (const username of [undefined, 7, '', '  ', 'ad\0a', 'x'.repeat(255), '\ud800']) {
      await t.rejects(signup({ ...ADA, username }), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: /^body\/username / })
    }
    await t.rejects(accountsOver(users, { usernameField: 'email' }).signup({ ...ADA, username: '' }), { message: /^body\/email / })
    t.strictSame(users.calls, [])
    t.equal(work.hashes, 0)
  })

  t.test('refuses a password before users.create is called', async t => {
    const calls: unknown[] = []
    const users = userTable()
    const { signup, work } = accountsOver(users, { check: (...values) => { calls.push(values); return false } })

    for (const password of [undefined, 'short', 'x'.repeat(1025), PASSWORD]) {
      await t.rejects(signup({ username: ' ada ', password }), { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400 })
    }
    t.strictSame(calls, [[PASSWORD, { username: 'ada' }]])
    t.strictSame(users.calls, [])
    t.equal(work.hashes, 0)
  })

  t.test('is a 503 without an account if users.create fails', async t => {
    const cause = new Error('no database')
    const { signup, events } = accountsOver({ create: async () => { throw cause } })
    await t.rejects(signup(ADA), { ...UNAVAILABLE, cause })
    t.strictSame(events, [])
  })
})

t.test('rate limits: a signup counts against the address, whatever happens once its hash was made', async t => {
  const users = userTable()
  const create: typeof users.create = async user => {
    if (user.username === 'eve') throw new Error('value too long for the column')
    return user.username === 'mallory' ? { ...user, id: '' } : await users.create(user)
  }
  const { signup } = accountsOver({ ...users, create }, { limits: { perAddress: [{ max: 5, per: 60 }] } })
  await t.rejects(signup({ ...ADA, username: 'eve' }), UNAVAILABLE)
  await t.rejects(signup({ ...ADA, username: 'mallory' }), TypeError)
  for (let nth = 1; nth <= 5; nth++) await t.rejects(signup({ ...ADA, username: '' }), { code: 'FST_ERR_VALIDATION' })
  await signup(ADA)
  await t.rejects(signup(ADA), { code: 'FST_AUTH_USERNAME_TAKEN' })
  await t.rejects(signup({ username: 'bob', password: 'password1' }), { code: 'FST_AUTH_PASSWORD_REFUSED' })
  await t.rejects(signup({ ...ADA, username: 'bob' }), { code: 'FST_AUTH_TOO_MANY_ATTEMPTS' })
})

t.test('user enumeration: a silent signup', async t => {
  /** A silent signup, and the outcomes that the app gets. */
  function silent (listener: SignupListener = () => {}) {
    const outcomes: unknown[] = []
    const users = userTable()
    return { users, outcomes, ...accountsOver(users, { onSignup: outcome => { outcomes.push(outcome); return listener(outcome) } }) }
  }

  t.test('reports to the app alone whether the name was free', async t => {
    const { signupSilently, outcomes, users } = silent()
    for (const username of [' ada', 'ada ']) t.equal(await signupSilently({ ...ADA, username }), undefined)
    await setImmediate()
    t.strictSame(outcomes, [{ username: 'ada', user: users.byName.get('ada') }, { username: 'ada', user: null }])
  })

  t.test('reports after the response', async t => {
    const { signupSilently, outcomes } = silent()
    await signupSilently(ADA)
    t.strictSame(outcomes, [])
    await setImmediate()
    t.equal(outcomes.length, 1)
  })

  t.test('rejects with errors that do not depend on the name, and reports none of them', async t => {
    const { signupSilently, outcomes } = silent()
    await t.rejects(signupSilently({ ...ADA, password: 'password1' }), { code: 'FST_AUTH_PASSWORD_REFUSED' })
    const failing = accountsOver({ create: async () => { throw new Error('no database') } }, { onSignup: outcome => { outcomes.push(outcome) }, limits: { perAddress: [{ max: 2, per: 60 }] } })
    await t.rejects(failing.signupSilently(ADA), UNAVAILABLE)
    await t.rejects(failing.signupSilently({ ...ADA, password: 'password1' }), { code: 'FST_AUTH_PASSWORD_REFUSED' })
    await t.rejects(failing.signupSilently(ADA), { code: 'FST_AUTH_TOO_MANY_ATTEMPTS' })
    const busy = accountsOver(userTable(), { onSignup: outcome => { outcomes.push(outcome) }, queue: { concurrency: 0, waiting: 0, maxWait: 5 } })
    await t.rejects(busy.signupSilently(ADA), { code: 'FST_AUTH_BUSY' })
    const buggy = accountsOver({ create: (() => 7) as unknown as () => null }, { onSignup: outcome => { outcomes.push(outcome) } })
    await t.rejects(buggy.signupSilently(ADA), { name: 'TypeError' })
    await setImmediate()
    t.strictSame(outcomes, [])
  })

  t.test('resolves even if the app fails or hangs', async t => {
    const cause = new Error('no mail server')
    for (const [listener, failed] of [[() => { throw cause }, true], [async () => { throw cause }, true], [() => new Promise<void>(() => {}), false]] as const) {
      const { signupSilently, failures } = silent(listener)
      await t.resolves(signupSilently(ADA))
      await setImmediate()
      t.strictSame(failures, failed ? [cause] : [])
    }
  })
})
