import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { createSilentSignup, type SignupListener } from '../../lib/accounts/silent-signup.js'
import { AuthError, type AuthErrorCode } from '../../lib/errors.js'

const ADA = { id: 1, username: 'ada', passwordHash: null }
const refusedWith = (code: AuthErrorCode) => async (): Promise<never> => { throw new AuthError(code) }

/** A silent signup, and the calls of onSignup. */
function silent (listener: SignupListener = () => {}) {
  const told: unknown[] = []
  const failures: unknown[] = []
  const signup = createSilentSignup(signup => { told.push(signup); return listener(signup) }, error => { failures.push(error) })
  return { signup, told, failures }
}

t.test('user enumeration: only the app learns whether the name was free', async t => {
  const { signup, told } = silent()
  t.equal(await signup(' ada', async () => ADA), undefined)
  t.equal(await signup('ada ', refusedWith('FST_AUTH_USERNAME_TAKEN')), undefined)
  await setImmediate()
  t.strictSame(told, [{ username: 'ada', user: ADA }, { username: 'ada', user: null }])
})

t.test('user enumeration: onSignup is called after the response', async t => {
  const { signup, told } = silent()
  await signup('ada', async () => ADA)
  t.strictSame(told, [])
  await setImmediate()
  t.equal(told.length, 1)
})

t.test('a refusal that does not depend on the name is sent, and onSignup is not called', async t => {
  const { signup, told } = silent()
  for (const code of ['FST_AUTH_PASSWORD_REFUSED', 'FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE', 'FST_AUTH_TOO_MANY_ATTEMPTS'] as const) {
    await t.rejects(signup('ada', refusedWith(code)), { code })
  }
  await t.rejects(signup('ada', async () => { throw new Error('a bug') }), { message: 'a bug' })
  await setImmediate()
  t.strictSame(told, [])
})

t.test('an onSignup that fails or hangs changes no response', async t => {
  const cause = new Error('no mail server')
  for (const listener of [() => { throw cause }, async () => { throw cause }, () => new Promise<void>(() => {})]) {
    const { signup, failures } = silent(listener)
    await t.resolves(signup('ada', async () => ADA))
    await setImmediate()
    t.ok(failures.every(error => error === cause))
  }
})
