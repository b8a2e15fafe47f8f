import t from 'tap'
import { allowWeakHashing, readPasswordOptions, type PasswordOptions } from '../../lib/accounts/password-options.js'

t.test('the defaults are OWASP\'s first recommendation and 8 characters', async t => {
  const defaults = { parameters: { memoryCost: 19456, timeCost: 2, parallelism: 1 }, minLength: 8, check: undefined }
  t.strictSame(readPasswordOptions(), defaults)
  t.strictSame(readPasswordOptions({ memoryCost: undefined, check: undefined }), defaults)
})

t.test('parameters as strong as one of the recommended sets are taken as they are', async t => {
  for (const [memoryCost, timeCost] of [[47104, 1], [19456, 2], [12288, 3], [9216, 4], [7168, 5], [65536, 3], [1048576, 16]] as const) {
    t.match(readPasswordOptions({ memoryCost, timeCost }).parameters, { memoryCost, timeCost, parallelism: 1 })
  }
  t.equal(readPasswordOptions({ parallelism: 16 }).parameters.parallelism, 16)
  t.equal(readPasswordOptions({ minLength: 64 }).minLength, 64)
  const check = () => true
  t.equal(readPasswordOptions({ check }).check, check)
})

t.test('weaker parameters are refused', async t => {
  for (const [memoryCost, timeCost] of [[47103, 1], [19455, 2], [12287, 3], [9215, 4], [7167, 5], [1024, 16]] as const) {
    t.throws(() => readPasswordOptions({ memoryCost, timeCost }), { name: 'TypeError', message: /passwords\.memoryCost.*\[allowWeakHashing\]/ })
  }
})

t.test('a wrong value of any option names the option', async t => {
  const wrong: Record<string, unknown[]> = {
    memoryCost: ['19456', 127, 1048577, 19456.5, NaN, null],
    timeCost: ['2', 0, 17, 2.5, Infinity, null],
    parallelism: ['1', 0, 17, 1.5, -1, null],
    minLength: ['8', 7, 65, 8.5, null],
    check: ['isCommon', 1, {}, null]
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      // What somebody without a type checker writes.
      const options = { [name]: value, [allowWeakHashing]: true } as PasswordOptions
      t.throws(() => readPasswordOptions(options), { name: 'TypeError', message: `option "passwords.${name}" is` }, `${name} ${String(value)}`)
    }
  }
})

t.test('weak hashing', async t => {
  const environment = process.env['NODE_ENV']
  t.afterEach(() => {
    if (environment === undefined) delete process.env['NODE_ENV']
    else process.env['NODE_ENV'] = environment
  })
  const weak = { memoryCost: 1024, [allowWeakHashing]: true }

  t.test('is possible where it is asked for', async t => {
    t.equal(readPasswordOptions(weak).parameters.memoryCost, 1024)
    t.throws(() => readPasswordOptions({ ...weak, [allowWeakHashing]: false }), TypeError)
  })

  t.test('is refused in production all the same', async t => {
    process.env['NODE_ENV'] = 'production'
    t.throws(() => readPasswordOptions(weak), { name: 'TypeError', message: /production/ })
    t.equal(readPasswordOptions({ [allowWeakHashing]: true }).parameters.memoryCost, 19456)
  })

  t.test('is asked for by one key in every build of the package', async t => {
    t.equal(allowWeakHashing, Symbol.for('fastify-refresh-cookie.allowWeakHashing'))
  })
})
