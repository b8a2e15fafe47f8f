import { inspect } from 'node:util'
import t from 'tap'
import { readVerifierOptions, type VerifierOptions, type VerifierSettings } from '../../lib/options/verifier-schema.js'
import { systemClock } from '../../lib/time.js'
import { generateKey } from '../support/keys.js'

const JWKS = 'https://login.example/auth/jwks'
const KEYS = [generateKey('ES256', 'k1').verifies]
const SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

/** The settings of untyped options. */
function read (options: object): VerifierSettings {
  return readVerifierOptions(options as VerifierOptions)
}

t.test('every option has its documented default', async t => {
  t.strictSame(read({ jwks: JWKS }), {
    keys: undefined,
    jwks: JWKS,
    jwksRsaAlgorithm: undefined,
    reloadKeysEvery: 300,
    issuer: undefined,
    audience: undefined,
    accessToken: { expiresIn: 86_400, leeway: 5, cacheBytes: 150_000_000 },
    timeouts: { call: 2, request: 3 },
    onEvent: undefined,
    clock: systemClock
  })
})

t.test('every option accepts its documented values, in the units of the code', async t => {
  const onEvent = () => {}
  const rest = { issuer: 'https://login.example', audience: ['orders'], onEvent, clock: systemClock }
  t.strictSame(
    read({ jwks: JWKS, jwksRsaAlgorithm: 'PS256', reloadKeysEvery: '1h', accessToken: { expiresIn: '2h', leeway: 0, cacheBytes: 0 }, timeouts: { call: '10s', request: '10s' }, ...rest }),
    { keys: undefined, jwks: JWKS, jwksRsaAlgorithm: 'PS256', reloadKeysEvery: 3600, accessToken: { expiresIn: 7200, leeway: 0, cacheBytes: 0 }, timeouts: { call: 10, request: 10 }, ...rest }
  )
  t.equal(read({ jwks: JWKS, clock: () => 1.9 }).clock(), 1)
  t.equal(read({ keys: KEYS }).keys?.changes, false)
  t.equal(read({ keys: async () => KEYS }).keys?.changes, true)
  for (const jwks of ['http://localhost:3000/jwks', 'http://127.0.0.1/jwks', 'http://[::1]:3000/jwks']) t.equal(read({ jwks }).jwks, jwks)
  t.doesNotThrow(() => read({ jwks: JWKS, logLevel: 'warn', logSerializers: {} }), "Fastify's own")
})

/** Options that are refused, and the beginning of the message. */
const REFUSED: ReadonlyArray<readonly [options: object, sentence: RegExp]> = [
  [{}, /^option "keys" is missing.*"jwks"/],
  [{ issuer: 'https://login.example' }, /^option "keys" is missing/],
  [{ keys: KEYS, jwks: JWKS }, /^options "keys" and "jwks" both/],
  [{ keys: KEYS, jwksRsaAlgorithm: 'PS256' }, /^option "jwksRsaAlgorithm" does nothing without "jwks"/],
  [{ jwks: JWKS, timeouts: { call: '4s' } }, /^option "timeouts\.call" must not be longer than "timeouts\.request"/],
  [{ jwks: JWKS, timeouts: { call: 2, request: 1 } }, /^option "timeouts\.call" must not be longer/],
  [{ jwk: JWKS }, /^unknown option "jwk"; did you mean "jwks"\?/],
  [{ jwks: JWKS, accessToken: { algorithm: 'HS256' } }, /^unknown option "accessToken\.algorithm"/],
  [{ jwks: JWKS, timeouts: { calls: 1 } }, /^unknown option "timeouts\.calls"; did you mean "call"\?/],
  [{ keys: [] }, /^option "keys" must be a list of at least one key/],
  [{ keys: [KEYS[0], KEYS[0]] }, /^option "keys" has two keys with the same kid/],
  ...['http://login.example/jwks', 'file:///etc/passwd', 'https://user:pass@login.example/jwks', 'login.example', 'https://', 'data:application/json,{}', new URL(JWKS), '', null, 1].map(jwks => [{ jwks }, /^option "jwks" must be a URL/] as const),
  ...['ES256', 'HS256', 'rs256', ['RS256'], null].map(jwksRsaAlgorithm => [{ jwks: JWKS, jwksRsaAlgorithm }, /^option "jwksRsaAlgorithm" is /] as const),
  ...['0s', '25h', '300', null].map(reloadKeysEvery => [{ jwks: JWKS, reloadKeysEvery }, /^option "reloadKeysEvery" is /] as const),
  ...['', 1, ['a'], null].map(issuer => [{ jwks: JWKS, issuer }, /^option "issuer" is /] as const),
  ...['', 1, ['api', ''], null].map(audience => [{ jwks: JWKS, audience }, /^option "audience(\[1\])?" is /] as const),
  ...['0s', '25h', '600'].map(expiresIn => [{ jwks: JWKS, accessToken: { expiresIn } }, /^option "accessToken\.expiresIn" is /] as const),
  ...['61s', -1].map(leeway => [{ jwks: JWKS, accessToken: { leeway } }, /^option "accessToken\.leeway" is /] as const),
  ...['100mb', -1, 4_000_000_001].map(cacheBytes => [{ jwks: JWKS, accessToken: { cacheBytes } }, /^option "accessToken\.cacheBytes" is /] as const),
  ...['61s', 0].map(request => [{ jwks: JWKS, timeouts: { request } }, /^option "timeouts\.request" is /] as const),
  [{ jwks: JWKS, onEvent: 'log' }, /^option "onEvent" is /],
  [{ jwks: JWKS, clock: Date.now }, /^option "clock" /],
  ...['accessToken', 'timeouts'].map(name => [{ jwks: JWKS, [name]: null }, new RegExp(`^option "${name}" must be an object$`)] as const)
]

t.test('an invalid option or combination is refused with the fix', async t => {
  for (const [options, message] of REFUSED) t.throws(() => read(options), { name: 'TypeError', message }, inspect(options))
})

t.test('information leak: no secret is in an error about a wrong option', async t => {
  const canary = 'canary-that-nobody-may-read-in-a-log'
  for (const options of [{ keys: canary }, { keys: [canary] }, { keys: [{ kid: 'k1', algorithm: 'HS256', use: 'verify', secret: canary.slice(0, 20) }] }, { jwks: `https://ada:${canary}@login.example` }, { secret: SECRET + canary }]) {
    let message = ''
    try {
      read(options)
    } catch (error) {
      message = (error as Error).message
    }
    t.match(message, /option "/)
    t.notOk(message.includes(canary.slice(0, 12)), message)
  }
})
