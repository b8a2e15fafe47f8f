import argon2 from 'argon2'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { createPasswords } from '../../lib/accounts/passwords.js'
import { FAST, fastPasswords } from './fast-passwords.js'

const TIMEOUTS = { call: 2, request: 3 }
const COST = { memoryCost: 1024, timeCost: 2, parallelism: 1 }

t.test('a password is verified by its hash and no other password is', async t => {
  const { passwords } = fastPasswords()
  const hash = await passwords.hash('correct horse')

  t.match(hash, /^\$argon2id\$v=19\$m=1024,t=2,p=1\$/)
  t.equal(await passwords.verify(hash, 'correct horse'), true)
  t.equal(await passwords.verify(hash, 'correct horsf'), false)
  t.not(await passwords.hash('correct horse'), hash, 'salted')
})

t.test('by default hashes cost what OWASP recommends', async t => {
  const passwords = createPasswords({ timeouts: TIMEOUTS })
  const hash = await passwords.hash('correct horse')

  t.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  t.equal(await passwords.verify(hash, 'correct horse'), true)
  t.equal(await passwords.verify(null, 'correct horse'), false)
})

t.test('parameters that are too weak are refused', async t => {
  t.throws(() => createPasswords({ memoryCost: 1024, timeouts: TIMEOUTS }), TypeError)
})

t.test('argon2 is not loaded before it is needed', async t => {
  const { passwords, work } = fastPasswords()
  await passwords.check('correct horse')
  t.equal(work.loads, 0)
  await passwords.hash('correct horse')
  t.equal(work.loads, 1)
})

t.test('passwords that look alike to other programs differ', async t => {
  const { passwords } = fastPasswords()
  const start = 'x'.repeat(72)
  for (const [one, other] of [['abc\0def', 'abc'], [`${start}1`, `${start}2`], ['password', 'password '], ['Password', 'password']] as const) {
    const hash = await passwords.hash(one)
    t.equal(await passwords.verify(hash, one), true)
    t.equal(await passwords.verify(hash, other), false)
  }
})

t.test('composed and decomposed characters are one password', async t => {
  const { passwords } = fastPasswords()
  const composed = await passwords.hash('caf\u00e9 au lait')
  const decomposed = await passwords.hash('cafe\u0301 au lait')

  t.equal(await passwords.verify(composed, 'cafe\u0301 au lait'), true)
  t.equal(await passwords.verify(decomposed, 'caf\u00e9 au lait'), true)
})

t.test('hashes of the package argon2 verify here, and ours verify there', async t => {
  const { passwords } = fastPasswords()
  t.equal(await argon2.verify(await passwords.hash('correct horse'), 'correct horse'), true)
  for (const type of [argon2.argon2id, argon2.argon2i, argon2.argon2d] as const) {
    for (const version of [0x13, 0x10]) {
      const foreign = await argon2.hash('correct horse', { ...COST, type, version })
      t.equal(await passwords.verify(foreign, 'correct horse'), true, foreign.slice(0, 16))
    }
  }
})

t.test('a hash whose parameters come in another order verifies', async t => {
  const { passwords } = fastPasswords()
  const hash = (await passwords.hash('correct horse')).replace('m=1024,t=2,p=1', 'm=1024,p=1,t=2')

  t.equal(await passwords.verify(hash, 'correct horse'), true)
  t.equal(await passwords.verify(hash, 'correct horsf'), false)
})

t.test('every verification costs one of the current parameters, whatever is wrong', async t => {
  const { passwords, work } = fastPasswords()
  const hash = await passwords.hash('correct horse')
  const impossible = [null, '', 'x', '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW', hash.replace('m=1024', 'm=4194304')]
  const attempts: Array<[hash: string | null, password: unknown]> = [
    ...impossible.map((hash): [string | null, string] => [hash, 'correct horse']),
    ...[undefined, 7, ['correct horse'], 'correct horse\ud800', 'x'.repeat(1025)].map((password): [string, unknown] => [hash, password])
  ]

  for (const [hash, password] of attempts) t.equal(await passwords.verify(hash, password), false)
  t.equal(work.verified.length, attempts.length)
  for (const verified of work.verified) {
    t.match(verified, /^\$argon2id\$v=19\$m=1024,t=2,p=1\$/)
    t.not(verified, hash)
  }
  t.equal(work.hashes, 1, 'and no other work')
})

t.test('a decoy that argon2 should call a match is still none', async t => {
  const { passwords } = fastPasswords({}, { verify: async () => true })
  t.equal(await passwords.verify(null, 'correct horse'), false)
})

t.test('what can never be a password is neither hashed nor accepted', async t => {
  const { passwords, work } = fastPasswords()
  const refused = { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400 }
  for (const password of [undefined, null, 12345678, ['correct horse'], 'correct horse\ud800', 'x'.repeat(1025)]) {
    await t.rejects(passwords.hash(password), refused)
    await t.rejects(passwords.check(password), refused)
  }
  t.equal(work.hashes, 0)
})

t.test('a check judges the composed password of its owner', async t => {
  const asked: unknown[] = []
  const { passwords } = fastPasswords({ check: (...values) => { asked.push(values) } })

  await passwords.check('cafe\u0301 au lait', { username: 'ada' })
  await passwords.check('correct horse')
  t.strictSame(asked, [['caf\u00e9 au lait', { username: 'ada' }], ['correct horse', {}]])
  await t.rejects(passwords.check('e\u0301'.repeat(7)), { code: 'FST_AUTH_PASSWORD_REFUSED', message: /at least 8 characters/ })
})

t.test('a hash should be made anew when it is weaker than the parameters, or cannot be read', async t => {
  const { passwords } = fastPasswords()
  t.equal(passwords.needsRehash(await passwords.hash('correct horse')), false)
  t.equal(passwords.needsRehash(await argon2.hash('correct horse', { ...COST, memoryCost: 512 })), true)
  t.equal(passwords.needsRehash(await argon2.hash('correct horse', { ...COST, type: argon2.argon2i })), true)
  t.equal(passwords.needsRehash('x'), true)
})

t.test('hashing and verifying share one queue', async t => {
  let finish = () => {}
  const gate = new Promise<void>(resolve => { finish = resolve })
  const { passwords } = fastPasswords({ queue: { concurrency: 1, waiting: 1 } }, {
    async hash () {
      await gate
      return 'a hash'
    }
  })
  const running = passwords.hash('correct horse')
  const waiting = passwords.verify(null, 'correct horse')
  await setImmediate()

  await t.rejects(passwords.verify(null, 'correct horse'), { code: 'FST_AUTH_BUSY', statusCode: 503 })
  await t.rejects(passwords.hash('correct horse'), { code: 'FST_AUTH_BUSY', statusCode: 503 })
  finish()
  t.strictSame(await Promise.all([running, waiting]), ['a hash', false])
})

t.test('argon2 that cannot work is a 503 with its cause, and the next attempt is free to succeed', async t => {
  const cause = new Error('Memory allocation error')
  let fails = true
  const { passwords } = fastPasswords({}, {
    async verify () {
      if (fails) throw cause
      return false
    }
  })

  await t.rejects(passwords.verify(null, 'correct horse'), { code: 'FST_AUTH_BUSY', statusCode: 503, cause })
  fails = false
  t.equal(await passwords.verify(null, 'correct horse'), false)

  const missing = createPasswords({ ...FAST, timeouts: TIMEOUTS, loadArgon2: async () => { throw cause } })
  await t.rejects(missing.hash('correct horse'), { code: 'FST_AUTH_BUSY', cause })
})
