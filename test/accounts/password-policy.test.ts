import { mock } from 'node:test'
import t from 'tap'
import { judgePassword, readPassword, type PasswordCheck, type PasswordRules } from '../../lib/accounts/password-policy.js'
import { settled } from '../support/settled.js'

const TIMEOUTS = { call: 2, request: 3 }
const RULES: PasswordRules = { minLength: 8, check: undefined, contextWords: [] }

t.test('passwords that can be read', async t => {
  const cases: Array<[value: string, text: string]> = [
    ['correct horse', 'correct horse'],
    ['', ''],
    ['  spaces stay  ', '  spaces stay  '],
    ['abc\0def', 'abc\0def'],
    ['cafe\u0301', 'caf\u00e9'],
    ['caf\u00e9', 'caf\u00e9'],
    ['\uff41', '\uff41'],
    ['🔑'.repeat(256), '🔑'.repeat(256)],
    ['x'.repeat(1024), 'x'.repeat(1024)],
    ['e\u0301'.repeat(512), '\u00e9'.repeat(512)]
  ]
  for (const [value, text] of cases) t.strictSame(readPassword(value), { text, refusal: null })
})

t.test('impossible passwords', async t => {
  const cases: Array<[value: unknown, rule: RegExp]> = [
    [undefined, /Unicode/], [null, /Unicode/], [12345678, /Unicode/], [['correct horse'], /Unicode/], [{}, /Unicode/],
    ['correct horse\ud800', /Unicode/], ['\udc00correct horse', /Unicode/],
    ['x'.repeat(1025), /1024 bytes/], ['🔑'.repeat(257), /1024 bytes/], ['\u00e9'.repeat(513), /1024 bytes/],
    ['x'.repeat(1_000_000), /1024 bytes/], [`a${'\u0301\u0316'.repeat(500_000)}`, /1024 bytes/]
  ]
  for (const [value, refusal] of cases) t.match(readPassword(value), { text: null, refusal })
})

t.test('no text of more than 2048 UTF-16 units fits into 1024 bytes after normalisation', async t => {
  let most = 0
  for (let point = 0; point <= 0x10ffff; point++) {
    const character = String.fromCodePoint(point)
    if (!character.isWellFormed()) continue
    most = Math.max(most, character.normalize('NFD').length / Buffer.byteLength(character.normalize('NFC')))
  }
  t.ok(most < 2, `at most ${most} units for a byte`)
})

t.test('the minimum length counts characters, not bytes', async t => {
  const refused = { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400, message: /at least 8 characters/ }

  for (const text of ['', 'aaaaaaa', '\u00e9'.repeat(7), '🔑'.repeat(7)]) await t.rejects(judgePassword(text, {}, RULES, TIMEOUTS), refused)
  for (const text of ['mzqwkvbn', '🦊🐻🐼🐨🐯🦁🐮🐷', '🦊🐻🐼🐨🐯🦁🐮🐷'.repeat(8), 'correcthorsebatterystaple', 'a b c d e']) {
    await t.resolves(judgePassword(text, {}, RULES, TIMEOUTS), text)
  }
  await t.rejects(judgePassword('mzqwkvbnxpltrd', {}, { ...RULES, minLength: 15 }, TIMEOUTS), { message: /at least 15 characters/ })
})

t.test('a guessable password has its own message', async t => {
  const rules = { ...RULES, contextWords: ['https://acme.example'], check: () => t.fail('was asked') }
  const refused = { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400, message: /too easy to guess/ }
  for (const text of ['password1', 'aaaaaaaa', 'mzqwkvbn99', 'Acme2026!']) {
    await t.rejects(judgePassword(text, { username: 'mzqwkvbn' }, rules, TIMEOUTS), refused, text)
  }
  await t.resolves(judgePassword('mzqwkvbn99', {}, RULES, TIMEOUTS), 'without that name as context')
})

t.test('the check of the app', async t => {
  const judgeBy = (check: PasswordCheck) => judgePassword('correct horse', { username: 'ada' }, { ...RULES, check }, TIMEOUTS)

  t.test('receives the password and its owner', async t => {
    const asked: unknown[] = []
    await judgeBy((...values) => { asked.push(values) })
    t.strictSame(asked, [['correct horse', { username: 'ada' }]])
  })

  t.test('accepts with true or undefined', async t => {
    await t.resolves(judgeBy(() => true))
    await t.resolves(judgeBy(async () => true))
    await t.resolves(judgeBy(async () => {}))
  })

  t.test('refuses with any other value', async t => {
    for (const verdict of [false, null, 0, '', 'too common', new Error('no')]) {
      // Return values without a type checker.
      const check = (() => verdict) as unknown as PasswordCheck
      await t.rejects(judgeBy(check), { code: 'FST_AUTH_PASSWORD_REFUSED', message: /not accepted here/ }, String(verdict))
    }
    await t.rejects(judgeBy(async () => false), { code: 'FST_AUTH_PASSWORD_REFUSED' })
  })

  t.test('is not called for a password that is too short', async t => {
    const rules = { ...RULES, check: () => t.fail('was asked') }
    await t.rejects(judgePassword('short', {}, rules, TIMEOUTS), { message: /at least 8 characters/ })
  })

  t.test('is a 503 if it fails', async t => {
    const cause = new Error('no network')
    await t.rejects(judgeBy(() => { throw cause }), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503, cause })
    await t.rejects(judgeBy(async () => { throw cause }), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503, cause })
  })

  t.test('is a 503 if it hangs', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    await t.rejects(settled(judgeBy(() => new Promise(() => {}))), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503 })
  })
})
