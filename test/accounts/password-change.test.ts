import argon2 from 'argon2'
import t from 'tap'
import { type User } from '../../lib/accounts/user.js'
import { userTable } from '../support/user-table.js'
import { COST, INVALID, PASSWORD, accountsOver } from './accounts-over.js'

t.test('a logged-in user', async t => {
  /** Ada with her password. */
  async function ada (row: Partial<User> = {}) {
    const users = userTable({ ada: { passwordHash: await argon2.hash(PASSWORD, COST), ...row } })
    return { users, ...accountsOver(users) }
  }

  t.test('reauthenticates with the password', async t => {
    const { reauthenticate, events } = await ada()
    t.match(await reauthenticate('1', PASSWORD), { user: { id: 1, username: 'ada' }, subject: '1' })
    await t.rejects(reauthenticate('1', 'wrong password'), INVALID)
    await t.rejects(reauthenticate('2', PASSWORD), INVALID)
    t.strictSame(events, [{ type: 'login_failed', subject: '1' }, { type: 'login_failed', subject: null }])
  })

  t.test('cannot reauthenticate once disabled', async t => {
    const { reauthenticate } = await ada({ disabled: true })
    await t.rejects(reauthenticate('1', PASSWORD), INVALID)
  })

  t.test('changes the password, and the write comes last', async t => {
    const { reauthenticate, changePassword, users, events, passwords } = await ada()
    const write = await changePassword(await reauthenticate('1', PASSWORD), 'violet umbrella')
    t.strictSame([users.replaced, events], [[], []])
    await write(() => {})
    t.equal(await passwords.verify(users.byName.get('ada')?.passwordHash ?? null, 'violet umbrella'), true)
    t.strictSame(events, [{ type: 'password_changed', subject: '1' }])
  })

  t.test('cannot choose a password that the policy refuses', async t => {
    const { reauthenticate, changePassword } = await ada()
    const verified = await reauthenticate('1', PASSWORD)
    for (const password of ['short', 'password1', 'ada-ada!']) await t.rejects(changePassword(verified, password), { code: 'FST_AUTH_PASSWORD_REFUSED' }, password)
  })

  t.test('race: is refused if the password has changed meanwhile', async t => {
    const { reauthenticate, changePassword, users, events } = await ada()
    const write = await changePassword(await reauthenticate('1', PASSWORD), 'violet umbrella')
    users.byName.set('ada', { id: 1, username: 'ada', passwordHash: await argon2.hash('another password', COST) })
    await t.rejects(write(() => {}), INVALID)
    t.strictSame(events, [])
  })
})
