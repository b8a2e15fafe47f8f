import { randomBytes } from 'node:crypto'
import argon2 from 'argon2'
import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { withKeyId } from '../../lib/accounts/hash-format.js'
import { PasswordHasher, readPassword } from '../../lib/accounts/hashing.js'
import { FAST, fastPasswords } from './fast-passwords.js'

const COST = { memoryCost: 1024, timeCost: 2, parallelism: 1 }

t.test('a password is verified by its own hash only', async t => {
  const { passwords } = fastPasswords()
  const hash = await passwords.hash('correct horse')

  t.match(hash, /^\$argon2id\$v=19\$m=1024,t=2,p=1\$/)
  t.equal(await passwords.verify(hash, 'correct horse'), true)
  t.equal(await passwords.verify(hash, 'correct horsf'), false)
  t.not(await passwords.hash('correct horse'), hash, 'salted')
})

t.test('an app may take the methods apart', async t => {
  const { hash, verify, check, needsRehash, canVerify } = fastPasswords().passwords
  await check('correct horse battery')
  const stored = await hash('correct horse battery')
  t.strictSame([await verify(stored, 'correct horse battery'), needsRehash(stored), canVerify(stored)], [true, false, true])
})

t.test('real parameters are hashed by argon2 itself', async t => {
  const passwords = new PasswordHasher({ ...FAST, memoryCost: 19456 })
  const hash = await passwords.hash('correct horse')

  t.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  t.equal(await passwords.verify(hash, 'correct horse'), true)
  t.equal(await passwords.verify(null, 'correct horse'), false)
})

t.test('argon2 is loaded at first use', async t => {
  const { passwords, work } = fastPasswords()
  await passwords.check('correct horse')
  t.equal(work.loads, 0)
  await passwords.hash('correct horse')
  t.equal(work.loads, 1)
})

t.test('passwords that other programs would equate differ', async t => {
  const { passwords } = fastPasswords()
  const start = 'x'.repeat(72)
  for (const [one, other] of [['abc\0def', 'abc'], [`${start}1`, `${start}2`], ['password', 'password '], ['Password', 'password']] as const) {
    const hash = await passwords.hash(one)
    t.equal(await passwords.verify(hash, one), true)
    t.equal(await passwords.verify(hash, other), false)
  }
})

t.test('Unicode: composed and decomposed characters are one password', async t => {
  const { passwords } = fastPasswords()
  const composed = await passwords.hash('caf\u00e9 au lait')
  const decomposed = await passwords.hash('cafe\u0301 au lait')

  t.equal(await passwords.verify(composed, 'cafe\u0301 au lait'), true)
  t.equal(await passwords.verify(decomposed, 'caf\u00e9 au lait'), true)
})

t.test('interoperability: hashes of the package argon2 verify here, and the other way round', async t => {
  const { passwords } = fastPasswords()
  t.equal(await argon2.verify(await passwords.hash('correct horse'), 'correct horse'), true)
  for (const type of [argon2.argon2id, argon2.argon2i, argon2.argon2d] as const) {
    for (const version of [0x13, 0x10]) {
      const foreign = await argon2.hash('correct horse', { ...COST, type, version })
      t.equal(await passwords.verify(foreign, 'correct horse'), true, foreign.slice(0, 16))
    }
  }
})

t.test('a hash with its parameters in another order verifies', async t => {
  const { passwords } = fastPasswords()
  const hash = (await passwords.hash('correct horse')).replace('m=1024,t=2,p=1', 'm=1024,p=1,t=2')

  t.equal(await passwords.verify(hash, 'correct horse'), true)
  t.equal(await passwords.verify(hash, 'correct horsf'), false)
})

t.test('user enumeration: every failed verification costs one of the current parameters', async t => {
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

t.test('user enumeration: after the cost was raised every failure costs one verification of each kind', async t => {
  const { passwords, work } = fastPasswords({ memoryCost: 2048 })
  const today = await passwords.hash('correct horse')
  const [old, older] = [await argon2.hash('correct horse', COST), await argon2.hash('correct horse', { ...COST, type: argon2.argon2i, timeCost: 3 })]
  for (const hash of [old, older]) t.equal(await passwords.verify(hash, 'correct horse'), true)

  const costs = []
  for (const hash of [null, 'x', today, old, older]) {
    work.verified.length = 0
    t.equal(await passwords.verify(hash, 'wrong password'), false)
    costs.push(work.verified.map(encoded => encoded.replace(/\$[^$]+\$[^$]+$/, '')).sort().join(' '))
  }
  t.strictSame(new Set(costs), new Set(['$argon2i$v=19$m=1024,t=3,p=1 $argon2id$v=19$m=1024,t=2,p=1 $argon2id$v=19$m=2048,t=2,p=1']))
})

t.test('denial of service: an expensive hash in the table slows down no other login', async t => {
  const { passwords, work } = fastPasswords({}, { verify: async () => false })
  const hash = await passwords.hash('correct horse')
  for (const expensive of ['m=1048576,t=16', 'm=8192,t=2']) {
    t.equal(await passwords.verify(hash.replace('m=1024,t=2', expensive), 'correct horse'), false)
    work.verified.length = 0
    await passwords.verify(null, 'correct horse')
    t.equal(work.verified.length, 1, expensive)
  }
})

t.test('user enumeration: a dummy hash is never accepted, even if argon2 reports a match', async t => {
  const { passwords } = fastPasswords({}, { verify: async () => true })
  t.equal(await passwords.verify(null, 'correct horse'), false)
})

t.test('an impossible password is neither hashed nor accepted', async t => {
  const { passwords, work } = fastPasswords()
  const refused = { code: 'FST_AUTH_PASSWORD_REFUSED', statusCode: 400 }
  for (const password of [undefined, null, 12345678, ['correct horse'], 'correct horse\ud800', 'x'.repeat(1025)]) {
    await t.rejects(passwords.hash(password), refused)
    await t.rejects(passwords.check(password), refused)
  }
  t.equal(work.hashes, 0)
})

t.test('the password policy checks the normalised password, with its owner', async t => {
  const calls: unknown[] = []
  const { passwords } = fastPasswords({ check: (...values) => { calls.push(values) } })

  await passwords.check('cafe\u0301 au lait', { username: 'ada' })
  await passwords.check('correct horse')
  t.strictSame(calls, [['caf\u00e9 au lait', { username: 'ada' }], ['correct horse', {}]])
  await t.rejects(passwords.check('e\u0301'.repeat(7)), { code: 'FST_AUTH_PASSWORD_REFUSED', message: /at least 8 characters/ })
})

t.test('a hash needs rehashing if it is weaker than the parameters or cannot be parsed', async t => {
  const { passwords } = fastPasswords()
  t.equal(passwords.needsRehash(await passwords.hash('correct horse')), false)
  t.equal(passwords.needsRehash(await argon2.hash('correct horse', { ...COST, memoryCost: 512 })), true)
  t.equal(passwords.needsRehash(await argon2.hash('correct horse', { ...COST, type: argon2.argon2i })), true)
  t.equal(passwords.needsRehash('x'), true)
})

t.test('a pepper', async t => {
  const K1 = 'fN3#pL8!wQ5@xC2$zV7%uB1^mR9&kT4*'
  const K2 = 'hD6!sG1@jF4#aY9$oP2%eW7^iU3&nX8*'
  const passwordsWith = (current: string, keys: Record<string, string>) => fastPasswords({ pepper: { current, keys } }).passwords

  t.test('is part of the hash, which names its key', async t => {
    const hash = await passwordsWith('k1', { k1: K1 }).hash('correct horse')
    t.match(hash, /^\$argon2id\$v=19\$m=1024,t=2,p=1,keyid=azE\$/)
    t.equal(await passwordsWith('k1', { k1: K1 }).verify(hash, 'correct horse'), true)
    t.equal(await passwordsWith('k1', { k1: K1 }).verify(hash, 'correct horsf'), false)
    t.equal(await passwordsWith('k1', { k1: K2 }).verify(hash, 'correct horse'), false, 'another key with that id')
    t.equal(await argon2.verify(hash, 'correct horse'), false, 'without the pepper the hash cannot be verified')
    t.equal(await argon2.verify(hash, 'correct horse', { secret: Buffer.from(K1) }), true)
  })

  t.test('key rotation: old keys verify, and the next login rehashes with the current one', async t => {
    const old = await passwordsWith('k1', { k1: K1 }).hash('correct horse')
    const passwords = passwordsWith('k2', { k1: K1, k2: K2 })
    t.equal(await passwords.verify(old, 'correct horse'), true)
    t.equal(passwords.needsRehash(old), true)
    t.equal(passwords.needsRehash(await passwords.hash('correct horse')), false)
  })

  t.test('is added to hashes without one at the next login', async t => {
    const plain = await fastPasswords().passwords.hash('correct horse')
    const passwords = passwordsWith('k1', { k1: K1 })
    t.equal(await passwords.verify(plain, 'correct horse'), true)
    t.equal(passwords.needsRehash(plain), true)
  })

  t.test('user enumeration: a missing key fails the login at the usual cost', async t => {
    const hash = await passwordsWith('k1', { k1: K1 }).hash('correct horse')
    for (const pepper of [undefined, { current: 'k2', keys: { k2: K2 } }]) {
      const { passwords, work } = fastPasswords({ pepper })
      t.equal(await passwords.verify(hash, 'correct horse'), false)
      t.equal(passwords.canVerify(hash), false)
      t.equal(passwords.needsRehash(hash), true)
      t.equal(work.verified.length, 1)
      t.not(work.verified[0], hash)
    }
  })

  t.test('is refused without its current key', async t => {
    for (const current of ['k2', 'toString', '']) {
      t.throws(() => passwordsWith(current, { k1: K1 }), { name: 'TypeError', message: /passwords\.pepper\.current/ })
    }
  })

  t.test('has no key of an unknown id, whatever its name', async t => {
    const plain = await fastPasswords().passwords.hash('correct horse')
    const passwords = passwordsWith('k2', { k2: K2 })
    for (const id of ['k1', 'toString', 'null']) t.equal(passwords.canVerify(withKeyId(plain, id)), false, id)
    t.equal(passwords.canVerify(withKeyId(plain, 'k2')), true)
  })
})

t.test('a hash of another system', async t => {
  const BCRYPT = '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW'
  const calls: unknown[] = []
  const verifyLegacy = (...values: [string, string]): boolean => {
    calls.push(values)
    return values[1] === 'cafe\u0301 au lait'
  }
  t.beforeEach(() => { calls.length = 0 })

  t.test('is verified by the app with the password as typed', async t => {
    const { passwords, work } = fastPasswords({ verifyLegacy })
    t.equal(await passwords.verify(BCRYPT, 'cafe\u0301 au lait'), true)
    t.strictSame(calls, [[BCRYPT, 'cafe\u0301 au lait']])
    t.equal(work.loads, 0)
    t.equal(passwords.needsRehash(BCRYPT), true)
    t.equal(passwords.canVerify(BCRYPT), true)
  })

  t.test('user enumeration: costs a failure what every failure costs', async t => {
    const { passwords, work } = fastPasswords({ verifyLegacy })
    t.equal(await passwords.verify(BCRYPT, 'wrong password'), false)
    t.equal(work.verified.length, 1)
  })

  t.test('user enumeration: once one was seen, an unknown user costs a verification of it too', async t => {
    const { passwords, work } = fastPasswords({ verifyLegacy })
    const hash = await passwords.hash('correct horse')
    await passwords.verify(BCRYPT, 'wrong password')
    for (const other of [null, '', hash, BCRYPT]) {
      calls.length = work.verified.length = 0
      t.equal(await passwords.verify(other, 'wrong password'), false)
      t.strictSame(calls, [[BCRYPT, 'wrong password']])
      t.equal(work.verified.length, 1)
    }
    t.equal(await passwords.verify(null, 'cafe\u0301 au lait'), false, 'and its password is not accepted elsewhere')
    t.equal(await passwords.verify(hash, 'cafe\u0301 au lait'), false)
  })

  t.test('user enumeration: a failure costs one verification of each kind that was seen, and of no more than four', async t => {
    const random = () => randomBytes(32).toString('base64')
    const KINDS = [
      () => BCRYPT,
      () => `pbkdf2_sha256$100000$${random()}$${random()}`,
      () => `pbkdf2_sha256$600000$${random()}$${random()}`,
      () => `${randomBytes(16).toString('base64url')}:${randomBytes(64).toString('hex')}`,
      () => `$scrypt$ln=16,r=8,p=1$${random()}$${random()}`
    ]
    for (const { kinds, cost } of [{ kinds: KINDS.slice(0, 4), cost: 4 }, { kinds: KINDS.slice(1), cost: 4 }, { kinds: [KINDS[2], KINDS[4]], cost: 2 }, { kinds: [() => 'google'], cost: 0 }]) {
      const { passwords } = fastPasswords({ verifyLegacy })
      for (const hash of [...kinds, ...kinds]) await passwords.verify(hash?.() ?? null, 'wrong password')
      for (const hash of [null, '', ...kinds.map(hash => hash?.() ?? '')]) {
        if (hash === 'google') continue
        calls.length = 0
        t.equal(await passwords.verify(hash, 'wrong password'), false)
        t.equal(calls.length, cost, String(hash))
      }
    }
  })

  t.test('user enumeration: the fifth kind takes longer than others, and slows nobody else', async t => {
    const { passwords } = fastPasswords({ verifyLegacy })
    const hashes = [1, 2, 3, 4, 5].map(cost => `sha${cost}$${'0'.repeat(40)}`)
    for (const hash of hashes) await passwords.verify(hash, 'wrong password')
    for (const [hash, cost] of [[null, 4], [hashes[0], 4], [hashes[4], 5]] as const) {
      calls.length = 0
      await passwords.verify(hash ?? null, 'wrong password')
      t.equal(calls.length, cost)
    }
  })

  t.test('user enumeration: a text of under 20 characters is no kind of hash', async t => {
    const { passwords } = fastPasswords({ verifyLegacy })
    for (const [length, cost] of [[19, 0], [20, 1]] as const) {
      await passwords.verify('x'.repeat(length), 'wrong password')
      calls.length = 0
      await passwords.verify(null, 'wrong password')
      t.equal(calls.length, cost)
    }
  })

  t.test('is not verified without a hash, nor for an impossible password', async t => {
    const { passwords, work } = fastPasswords({ verifyLegacy })
    const hash = await passwords.hash('correct horse')
    t.equal(await passwords.verify(hash, 'wrong password'), false)
    for (const none of [null, '']) t.equal(await passwords.verify(none, 'correct horse'), false)
    for (const password of [undefined, 7, '\ud800', 'x'.repeat(1025)]) t.equal(await passwords.verify(BCRYPT, password), false)
    t.strictSame(calls, [])
    t.equal(work.verified.length, 7)
  })

  t.test('is accepted by true only', async t => {
    for (const answer of ['yes', 1, {}, undefined]) {
      // Return values without a type checker.
      const { passwords } = fastPasswords({ verifyLegacy: (() => answer) as unknown as () => boolean })
      t.equal(await passwords.verify(BCRYPT, 'correct horse'), false)
    }
    t.equal(await fastPasswords({ verifyLegacy: async () => true }).passwords.verify(BCRYPT, 'correct horse'), true)
  })

  t.test('information leak: is a plain 503 if the app fails', async t => {
    const cause = new Error('no such module')
    for (const verifyLegacy of [() => { throw cause }, async () => { throw cause }]) {
      const { passwords, work } = fastPasswords({ verifyLegacy })
      await t.rejects(passwords.verify(BCRYPT, 'correct horse'), { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503, cause })
      t.equal(work.verified.length, 0)
    }
  })

  t.test('waits in the queue like every hash', async t => {
    const { passwords } = fastPasswords({ verifyLegacy, queue: { concurrency: 0, waiting: 0, maxWait: 5 } })
    await t.rejects(passwords.verify(BCRYPT, 'correct horse'), { code: 'FST_AUTH_BUSY' })
    t.strictSame(calls, [])
  })

  t.test('denial of service: keeps its slot while it is still computed after its deadline, and no longer than a request may take', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const started: Array<() => void> = []
    const { passwords } = fastPasswords({ verifyLegacy: () => new Promise(resolve => { started.push(() => resolve(false)) }), queue: { concurrency: 1, waiting: 9, maxWait: 60 } })
    const verify = async () => await passwords.verify(BCRYPT, 'correct horse').catch(error => error.code)
    const answers = [verify(), verify(), verify()]
    await setImmediate()
    mock.timers.tick(2000)
    t.equal(await answers[0], 'FST_AUTH_STORE_UNAVAILABLE')
    t.equal(started.length, 1, 'the first is still computed')
    started[0]?.()
    await setImmediate()
    t.equal(started.length, 2)
    mock.timers.tick(2000)
    t.equal(await answers[1], 'FST_AUTH_STORE_UNAVAILABLE')
    t.equal(started.length, 2)
    mock.timers.tick(3000)
    await setImmediate()
    t.equal(started.length, 3, 'a call that never ends does not keep its slot for good')
    mock.timers.tick(2000)
    t.equal(await answers[2], 'FST_AUTH_STORE_UNAVAILABLE')
  })

  t.test('user enumeration: while it hangs, as in an outage after a restart, unknown names wait for it too', async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const { passwords } = fastPasswords({ verifyLegacy: (hash) => { calls.push([hash, '']); return new Promise(() => {}) }, queue: { concurrency: 9, waiting: 9, maxWait: 60 } })
    for (const hash of [BCRYPT, null]) {
      const answer = passwords.verify(hash, 'correct horse').catch(error => error.code)
      await setImmediate()
      mock.timers.tick(2000)
      t.equal(await answer, 'FST_AUTH_STORE_UNAVAILABLE')
    }
    t.strictSame(calls, [[BCRYPT, ''], [BCRYPT, '']])
  })

  t.test('fails without verifyLegacy', async t => {
    t.equal(fastPasswords().passwords.canVerify(BCRYPT), false)
  })
})

t.test('hashing and verification share one queue', async t => {
  let finish = () => {}
  const gate = new Promise<void>(resolve => { finish = resolve })
  const { passwords } = fastPasswords({ queue: { concurrency: 1, waiting: 1, maxWait: 5 } }, {
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

t.test('argon2 that cannot run is a 503 with its cause, and the next attempt may succeed', async t => {
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
})

t.test('a missing argon2 is a 500, since retrying does not help', async t => {
  const cause = new Error('argon2 cannot be loaded')
  const missing = new PasswordHasher({ ...FAST, loadArgon2: async () => { throw cause } })
  await t.rejects(missing.hash('correct horse'), cause)
  await t.rejects(missing.verify(null, 'correct horse'), cause)
})

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

t.test('user enumeration: the kinds of hashes may cost eight new hashes together', async t => {
  const { passwords, work } = fastPasswords({}, { verify: async () => false })
  const hash = await passwords.hash('correct horse')
  await passwords.verify(hash.replace('m=1024', 'm=7168'), 'correct horse')
  work.verified.length = 0
  await passwords.verify(null, 'correct horse')
  t.equal(work.verified.length, 2)
})

t.test('user enumeration: the cost of a hash of another system counts, wherever it stands before the salt', async t => {
  const salted = 'x'.repeat(16) + '$' + '0'.repeat(43)
  for (const [one, other] of [['pbkdf2:sha256:260000$', 'pbkdf2:sha256:600000$'], ['{bcrypt}$2a$10$', '{bcrypt}$2a$12$'], ['$6$rounds=5000$', '$6$rounds=656000$']] as const) {
    let calls = 0
    const { passwords } = fastPasswords({ verifyLegacy: () => { calls++; return false } })
    for (const start of [one, other]) await passwords.verify(start + salted, 'wrong password')
    calls = 0
    await passwords.verify(null, 'wrong password')
    t.equal(calls, 2, one)
  }
})
