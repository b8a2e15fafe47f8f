import { mock } from 'node:test'
import t from 'tap'
import { assertPolicy, type PasswordCheck, type PasswordRules } from '../../lib/accounts/password-policy.js'
import { settled } from '../support/settled.js'

const TIMEOUTS = { call: 2, request: 3 }
const RULES: PasswordRules = { minLength: 8, check: undefined, contextWords: [] }

t.test('the minimum length counts characters, not bytes', async t => {
  const refused = { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400, message: /at least 8 characters/ }

  for (const text of ['', 'aaaaaaa', '\u00e9'.repeat(7), '🔑'.repeat(7)]) await t.rejects(assertPolicy(text, {}, RULES, TIMEOUTS), refused)
  for (const text of ['mzqwkvbn', '🦊🐻🐼🐨🐯🦁🐮🐷', '🦊🐻🐼🐨🐯🦁🐮🐷'.repeat(8), 'correcthorsebatterystaple', 'a b c d e']) {
    await t.resolves(assertPolicy(text, {}, RULES, TIMEOUTS), text)
  }
  await t.rejects(assertPolicy('mzqwkvbnxpltrd', {}, { ...RULES, minLength: 15 }, TIMEOUTS), { message: /at least 15 characters/ })
})

t.test('a guessable password has its own message', async t => {
  const rules = { ...RULES, contextWords: ['https://acme.example'], check: () => t.fail('was called') }
  const refused = { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400, message: /too easy to guess/ }
  for (const text of ['password1', 'aaaaaaaa', 'mzqwkvbn99', 'Acme2026!']) {
    await t.rejects(assertPolicy(text, { username: 'mzqwkvbn' }, rules, TIMEOUTS), refused, text)
  }
  await t.resolves(assertPolicy('mzqwkvbn99', {}, RULES, TIMEOUTS), 'without that name as context')
})

t.test('the check of the app', async t => {
  const checkWith = (check: PasswordCheck) => assertPolicy('correct horse', { username: 'ada' }, { ...RULES, check }, TIMEOUTS)

  t.test('receives the password and its owner', async t => {
    const calls: unknown[] = []
    await checkWith((...values) => { calls.push(values) })
    t.strictSame(calls, [['correct horse', { username: 'ada' }]])
  })

  t.test('accepts with true or undefined', async t => {
    await t.resolves(checkWith(() => true))
    await t.resolves(checkWith(async () => true))
    await t.resolves(checkWith(async () => {}))
  })

  t.test('refuses with any other value', async t => {
    for (const verdict of [false, null, 0, '', 'not correct horse', new Error('no')]) {
      // Return values without a type checker.
      const check = (() => verdict) as unknown as PasswordCheck
      await t.rejects(checkWith(check), { code: 'FST_AUTH_PASSWORD_REFUSED', message: /not accepted here/ }, String(verdict))
    }
    await t.rejects(checkWith(async () => false), { code: 'FST_AUTH_PASSWORD_REFUSED' })
    await t.rejects(checkWith(() => 'The password must have a digit'), { code: 'FST_AUTH_PASSWORD_REFUSED', message: 'The password must have a digit' })
  })

  t.test('is not called for a password that is too short', async t => {
    const rules = { ...RULES, check: () => t.fail('was called') }
    await t.rejects(assertPolicy('short', {}, rules, TIMEOUTS), { message: /at least 8 characters/ })
  })

  t.test('is a 503 if it fails', async t => {
    const cause = new Error('no network')
    await t.rejects(checkWith(() => { throw cause }), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503, cause })
    await t.rejects(checkWith(async () => { throw cause }), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503, cause })
  })

  t.test('is a 503 if it hangs', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    await t.rejects(settled(checkWith(() => new Promise(() => {}))), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503 })
  })
})
