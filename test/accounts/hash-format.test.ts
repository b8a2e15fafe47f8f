import argon2 from 'argon2'
import t from 'tap'
import { allowWeakHashing, assertStrong, type HashingParameters, needsRehash, parsePasswordHash, type StoredHash, withKeyId } from '../../lib/accounts/hash-format.js'
import { DummyHashes, dummyHash } from '../../lib/accounts/hashing.js'

const SALT = 'c29tZXNhbHQxMjM0NTY3OA'
const HASH = 'YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU'

const encoded = (parameters: string, prefix = '$argon2id$v=19') => `${prefix}$${parameters}$${SALT}$${HASH}`

t.test('hashes that are parsed', async t => {
  const cost = { memoryCost: 19456, timeCost: 2, parallelism: 1, keyId: null }
  const cases: Array<[text: string, read: Omit<StoredHash, 'encoded'>]> = [
    [encoded('m=19456,t=2,p=1'), { type: 'argon2id', version: 19, ...cost }],
    [encoded('m=19456,p=1,t=2'), { type: 'argon2id', version: 19, ...cost }],
    [encoded('p=1,t=2,m=19456'), { type: 'argon2id', version: 19, ...cost }],
    [encoded('m=19456,t=2,p=1', '$argon2i$v=19'), { type: 'argon2i', version: 19, ...cost }],
    [encoded('m=19456,t=2,p=1', '$argon2d$v=16'), { type: 'argon2d', version: 16, ...cost }],
    [encoded('m=19456,t=2,p=1', '$argon2id'), { type: 'argon2id', version: 16, ...cost }],
    [encoded('m=1048576,t=16,p=16'), { type: 'argon2id', version: 19, memoryCost: 1048576, timeCost: 16, parallelism: 16, keyId: null }],
    [encoded('m=8,t=1,p=1'), { type: 'argon2id', version: 19, memoryCost: 8, timeCost: 1, parallelism: 1, keyId: null }],
    [encoded('m=19456,t=2,p=1,keyid=azE'), { type: 'argon2id', version: 19, ...cost, keyId: 'k1' }],
    [encoded('m=19456,t=2,p=1,keyid=MjAyNi0xMi0'), { type: 'argon2id', version: 19, ...cost, keyId: '2026-12-' }]
  ]
  for (const [text, read] of cases) t.strictSame(parsePasswordHash(text), { encoded: text, ...read }, text)
})

t.test('everything else is not parsed', async t => {
  const cases: unknown[] = [
    null, undefined, 7, ['x'], Buffer.from(encoded('m=8,t=1,p=1')), '', 'x', '$', '$argon2id$',
    '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW',
    '{SSHA}0c3RhbHQ', 'pbkdf2_sha256$600000$salt$hash',
    encoded('m=4194304,t=2,p=1'), encoded('m=1048577,t=2,p=1'), encoded('m=19456,t=17,p=1'), encoded('m=19456,t=2,p=17'),
    encoded('m=99999999,t=2,p=1'), encoded('m=19456,t=99999999,p=1'),
    encoded('m=15,t=2,p=2'), encoded('m=0,t=2,p=1'), encoded('m=19456,t=0,p=1'), encoded('m=19456,t=2,p=0'),
    encoded('m=-19456,t=2,p=1'), encoded('m=1e4,t=2,p=1'), encoded('m=0x20,t=2,p=1'), encoded('m=019456,t=2,p=1'),
    encoded('m=19456,t=2'), encoded('m=19456,m=19456,t=2'), encoded('t=2,t=2,p=1'), encoded('m=19456,t=2,m=8'),
    encoded('m=19456,t=2,p=1,data=aGk'), encoded('m=19456, t=2,p=1'),
    encoded('m=19456,t=2,p=1,keyid='), encoded('m=19456,t=2,p=1,keyid=a'), encoded(`m=19456,t=2,p=1,keyid=${'a'.repeat(12)}`),
    encoded('keyid=azE,m=19456,t=2,p=1'), encoded('m=19456,t=2,p=1,keyid=azE,keyid=azE'), encoded('m=19456,t=2,p=1,keyid=azE='),
    encoded('m=19456,t=2,p=1', '$argon2x$v=19'), encoded('m=19456,t=2,p=1', '$argon2id$v=20'),
    encoded('m=19456,t=2,p=1', '$ARGON2ID$v=19'), ` ${encoded('m=19456,t=2,p=1')}`, `${encoded('m=19456,t=2,p=1')}\n`,
    `${encoded('m=19456,t=2,p=1')}=`, `${encoded('m=19456,t=2,p=1')}$`, `$argon2id$v=19$m=19456,t=2,p=1$${SALT}`,
    `$argon2id$v=19$m=19456,t=2,p=1$$${HASH}`, `$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$${HASH}`,
    `$argon2id$v=19$m=19456,t=2,p=1$${SALT}$aGFzaA`, `$argon2id$v=19$m=19456,t=2,p=1$${SALT}$${'A'.repeat(10_000)}`
  ]
  for (const value of cases) t.equal(parsePasswordHash(value), null, String(value).slice(0, 60))
})

t.test('the longest and the shortest accepted salt and hash can be verified', async t => {
  for (const [salt, hash] of [['A'.repeat(11), 'A'.repeat(22)], ['A'.repeat(86), 'A'.repeat(86)], ['A'.repeat(13), 'A'.repeat(25)]]) {
    for (const prefix of ['$argon2id$v=19', '$argon2i$v=16', '$argon2d']) {
      const text = `${prefix}$t=1,m=8,p=1$${salt}$${hash}`
      t.not(parsePasswordHash(text), null)
      t.equal(await argon2.verify(text, 'a password'), false, text)
    }
  }
})

t.test('a hash needs rehashing for another type or version, or lower parameters', async t => {
  const now: HashingParameters = { memoryCost: 19456, timeCost: 2, parallelism: 1 }
  const cases: Array<[text: string, weaker: boolean]> = [
    [encoded('m=19456,t=2,p=1'), false],
    [encoded('m=19456,p=1,t=2'), false],
    [encoded('m=65536,t=3,p=4'), false],
    [encoded('m=19455,t=2,p=1'), true],
    [encoded('m=47104,t=1,p=1'), true],
    [encoded('m=65536,t=3,p=4', '$argon2i$v=19'), true],
    [encoded('m=65536,t=3,p=4', '$argon2d$v=19'), true],
    [encoded('m=65536,t=3,p=4', '$argon2id$v=16'), true],
    [encoded('m=65536,t=3,p=4', '$argon2id'), true]
  ]
  for (const [text, weaker] of cases) {
    const stored = parsePasswordHash(text)
    t.equal(stored !== null && needsRehash(stored, now, null), weaker, text)
  }
  const single = parsePasswordHash(encoded('m=19456,t=2,p=1'))
  t.equal(single !== null && needsRehash(single, { ...now, parallelism: 2 }, null), true, 'fewer lanes')
})

t.test('a hash needs rehashing for another pepper', async t => {
  const now: HashingParameters = { memoryCost: 19456, timeCost: 2, parallelism: 1 }
  const cases: Array<[keyId: string | null, current: string | null, weaker: boolean]> = [[null, null, false], ['k1', 'k1', false], ['k1', 'k2', true], [null, 'k1', true], ['k1', null, true]]
  for (const [keyId, current, weaker] of cases) {
    const stored = parsePasswordHash(keyId === null ? encoded('m=19456,t=2,p=1') : withKeyId(encoded('m=19456,t=2,p=1'), keyId))
    t.equal(stored !== null && needsRehash(stored, now, current), weaker, `${String(keyId)} → ${String(current)}`)
  }
})

t.test('the pepper id follows the parameters in any order, and is read back', async t => {
  t.equal(withKeyId(encoded('m=19456,t=2,p=1'), 'k1'), encoded('m=19456,t=2,p=1,keyid=azE'))
  t.equal(withKeyId(encoded('m=19456,p=1,t=2'), 'k1'), encoded('m=19456,p=1,t=2,keyid=azE'))
  for (const keyId of ['k', 'k1', '123', '2026', '2026-', '2026-1', '2026-12', '_20a-12_']) {
    t.equal(parsePasswordHash(withKeyId(encoded('m=19456,t=2,p=1'), keyId))?.keyId, keyId)
  }
})

t.test('user enumeration: a dummy hash parses like a real hash of the same cost, and each differs', async t => {
  const cost = { memoryCost: 9216, timeCost: 4, parallelism: 2 }
  const dummy = dummyHash(cost)

  t.match(parsePasswordHash(dummy), { type: 'argon2id', version: 19, ...cost })
  t.equal(dummy.length, (await argon2.hash('a password', cost)).length)
  t.not(dummyHash(cost), dummy)
  t.equal(await argon2.verify(dummyHash({ ...cost, memoryCost: 64 }), 'a password'), false)
})

const WEAK = { memoryCost: 1024, timeCost: 2, parallelism: 1 }

t.test('parameters of OWASP\'s recommended sets, or stronger, are accepted', async t => {
  for (const [memoryCost, timeCost] of [[47104, 1], [19456, 2], [12288, 3], [9216, 4], [7168, 5], [65536, 3], [1048576, 16]] as const) {
    t.doesNotThrow(() => assertStrong({ memoryCost, timeCost, parallelism: 1 }, false))
  }
})

t.test('weaker parameters are refused with the fix', async t => {
  for (const [memoryCost, timeCost] of [[47103, 1], [19455, 2], [12287, 3], [9215, 4], [7167, 5], [1024, 16]] as const) {
    const wayOut = /passwords\.memoryCost" is \d+: .*19456 with 2.*\[allowWeakHashing\]/
    t.throws(() => assertStrong({ memoryCost, timeCost, parallelism: 1 }, false), { name: 'TypeError', message: wayOut })
  }
})

t.test('weak hashing', async t => {
  const environment = process.env['NODE_ENV']
  t.afterEach(() => {
    if (environment === undefined) delete process.env['NODE_ENV']
    else process.env['NODE_ENV'] = environment
  })

  t.test('is possible with allowWeakHashing', async t => {
    t.doesNotThrow(() => assertStrong(WEAK, true))
  })

  t.test('is refused in production', async t => {
    process.env['NODE_ENV'] = 'production'
    t.throws(() => assertStrong(WEAK, true), { name: 'TypeError', message: /production/ })
    t.doesNotThrow(() => assertStrong({ ...WEAK, memoryCost: 19456 }, true))
  })

  t.test('shares one symbol between two copies of the package', async t => {
    t.equal(allowWeakHashing, Symbol.for('fastify-refresh-cookie.allowWeakHashing'))
  })
})

t.test('denial of service: all kinds of stored hashes together cost at most eight of today', t => {
  const today = { memoryCost: 1024, timeCost: 2, parallelism: 1 }
  const dummies = new DummyHashes(today)
  for (let parallelism = 2; parallelism < 20; parallelism++) {
    const stored = parsePasswordHash(dummyHash({ ...today, parallelism }))
    if (stored !== null) dummies.add(stored)
  }
  t.equal(dummies.dummyHashesExcept(null).length, 8)
  t.end()
})
