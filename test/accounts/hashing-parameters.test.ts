import t from 'tap'
import { allowWeakHashing, assertStrong } from '../../lib/accounts/hashing-parameters.js'

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

  t.test('shares one symbol between both builds of the package', async t => {
    t.equal(allowWeakHashing, Symbol.for('fastify-refresh-cookie.allowWeakHashing'))
  })
})
