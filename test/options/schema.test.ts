import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie from '../../lib/index.js'
import { allowWeakHashing } from '../../lib/accounts/hash-format.js'
import { systemClock } from '../../lib/time.js'
import { readOptions, refreshCookieOptions, warningsOf } from '../../lib/options/read-options.js'
import { optionTable, type RefreshCookieOptions, type Settings } from '../../lib/options/schema.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'
import { generateKey } from '../support/keys.js'

const SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'
const OTHER = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'
const users = { findById: () => null }

/** The settings of untyped options. */
function read (options: object, production = false): Settings {
  return readOptions({ secret: SECRET, ...options } as RefreshCookieOptions, production)
}

/** `at('cookie.path', 'x')` is `{ cookie: { path: 'x' } }`. */
function at (path: string, value: unknown): object {
  const [name = '', ...rest] = path.split('.')
  return { [name]: rest.length === 0 ? value : at(rest.join('.'), value) }
}

function throwsSentence (t: Test, options: object, expected: RegExp, production = false): void {
  t.throws(() => read(options, production), { name: 'TypeError', message: expected }, inspect(options))
}

/** The paths of all options, e.g. 'cookie.path', without those inside 'passwords.pepper'. */
function allPaths (checks: Record<string, unknown> = optionTable.checks, prefix = ''): string[] {
  return Object.entries(checks).flatMap(([name, check]) => {
    const inner = (check as { checks?: Record<string, unknown> }).checks // only groups have them
    return inner === undefined ? [prefix + name] : allPaths(inner, `${prefix}${name}.`)
  })
}

t.test('every option has its documented default', async t => {
  t.strictSame({ ...read({}), secret: null }, {
    secret: null,
    keys: undefined,
    reloadKeysEvery: 300,
    issuer: undefined,
    audience: undefined,
    appName: undefined,
    prefix: '/auth',
    routes: { signup: '/signup', login: '/login', refresh: '/refresh', logout: '/logout', session: false, sessions: '/sessions', password: '/password', reauthenticate: '/reauthenticate', verify: false, jwks: '/jwks' },
    store: undefined,
    users: undefined,
    accounts: { usernameField: 'username', signup: 'open', onSignup: undefined },
    trustedOrigins: [],
    accessToken: { expiresIn: 600, algorithm: 'HS256', claims: undefined, leeway: 5, cacheBytes: 150_000_000 },
    refreshToken: { secret: undefined, idle: 7 * 86_400, absolute: 30 * 86_400, rotation: 'always', grace: 30, recoverLostReply: true, transport: 'cookie', renewWithAccessToken: false },
    cookie: { name: '__Host-Http-refresh', path: '/', domain: undefined, sameSite: 'strict', secure: true, partitioned: false, former: [] },
    passwords: {
      memoryCost: 19_456,
      timeCost: 2,
      parallelism: 1,
      minLength: 8,
      check: undefined,
      verifyLegacy: undefined,
      pepper: undefined,
      queue: { concurrency: 2, waiting: 50, maxWait: 5 }
    },
    rateLimit: {
      perAddress: [{ max: 100, per: 900 }],
      perAddressTotal: [{ max: 1000, per: 900 }],
      perAccount: [{ max: 10, per: 900 }, { max: 100, per: 86_400 }],
      perSession: [{ max: 60, per: 60 }],
      redis: undefined,
      keyPrefix: undefined
    },
    revocation: 'refresh',
    revocationUnknown: 'accept',
    sessions: { maxPerUser: 100, whenFull: 'endOldest', bindUserAgent: false, purgeEvery: 3600 },
    timeouts: { call: 2, request: 3 },
    formatTokenResponse: undefined,
    onEvent: undefined,
    clock: systemClock
  })
})

t.test('options may be an instance of a class with accessors', async t => {
  class Config {
    get secret (): string { return SECRET }
    get cookie (): object { return new (class { get path (): string { return '/auth' } })() }
  }
  t.match(readOptions(new Config() as RefreshCookieOptions, false), { cookie: { path: '/auth', name: '__Secure-refresh' } })

  const app = Fastify()
  await app.register(refreshCookie, Object.assign(new Config(), { logLevel: 'warn' as const }))
  t.teardown(async () => { await app.close() })
  const answer = await app.inject({ method: 'POST', url: '/auth/logout' })
  t.match(answer.headers['set-cookie'], /^__Secure-refresh=; .*Path=\/auth;/)
})

/** A value of every kind, by its name. */
const KINDS: Readonly<Record<string, unknown>> = {
  null: null,
  true: true,
  false: false,
  zero: 0,
  one: 1,
  negative: -1,
  fraction: 1.5,
  nan: NaN,
  infinity: Infinity,
  huge: 1e12,
  bigint: 10n,
  empty: '',
  word: 'word',
  path: '/path',
  duration: '15m',
  symbol: Symbol('s'),
  emptyList: [],
  words: ['word'],
  mixed: ['word', 1],
  object: {},
  date: new Date(0),
  buffer: Buffer.alloc(64, 'secret'),
  function: () => 1
}

const DURATIONS = ['one', 'duration']
const DURATION_OR_ZERO = ['zero', ...DURATIONS]
const WORDS = ['word', 'path', 'duration']

/** For every option: the accepted kinds, and plausible but wrong values. */
const WRONG: Readonly<Record<string, { takes: readonly string[], and?: readonly unknown[] }>> = {
  keys: { takes: ['function'], and: [SECRET, [SECRET], [{}], [null], [{ kid: 'k1', algorithm: 'HS256', use: 'sign', secret: SECRET.slice(1) }], { kid: 'k1', algorithm: 'HS256', use: 'sign', secret: SECRET }] },
  reloadKeysEvery: { takes: DURATIONS, and: ['0s', '25h'] },
  secret: { takes: ['function'], and: [SECRET.slice(1), 'x'.repeat(64), [SECRET, SECRET], [SECRET, 'short'], [[SECRET]], [SECRET, Buffer.from(SECRET)], Buffer.alloc(64, 'secret'), randomBytes(31), new String(SECRET), `-----BEGIN PUBLIC KEY-----\n${OTHER}`] }, // eslint-disable-line no-new-wrappers
  'refreshToken.secret': { takes: ['function'], and: [SECRET.slice(1), 'abcdefg'.repeat(9), [SECRET, SECRET], [SECRET, null], new Uint8Array(32)] },
  issuer: { takes: WORDS },
  appName: { takes: WORDS },
  audience: { takes: [...WORDS, 'words'], and: [['api', '']] },
  prefix: { takes: ['path'], and: ['/', 'auth', '/auth/', '//auth', '/a b', '/:id', '/*', '/auth?x', '/é', '/a\n'] },
  ...Object.fromEntries(['signup', 'login', 'refresh', 'logout', 'session', 'sessions', 'password', 'reauthenticate', 'verify', 'jwks'].map(name => [`routes.${name}`, { takes: ['path', 'false'], and: ['/', 'login', '/login/', '/:login', '/*'] }])),
  store: { takes: [], and: [{ create () {}, get () {}, advance () {}, revoke () {} }, { ...memoryStore(), advance: true }] },
  users: { takes: ['object', 'emptyList', 'words', 'mixed', 'date', 'buffer'], and: [{ findById: 1 }, { create: null }, { findByUsername: 'x', findById () {} }, { updatePasswordHash: {} }] },
  'accounts.signup': { takes: [], and: ['Silent', 'closed'] },
  'accounts.onSignup': { takes: ['function'] },
  'accounts.usernameField': { takes: ['word'], and: ['password', 'remember', 'redirect', 'failure', 'grant_type', '__proto__', 'e-mail', '1st', 'x'.repeat(33)] },
  trustedOrigins: { takes: ['emptyList'], and: ['*', ['*'], ['https://app.example/'], ['https://*.example'], ['app.example'], ['https://App.example'], ['https://app.example:443'], ['null'], ['https://a b'], [/example/], ['https://app.example/path'], 'https://app.example'] },
  'accessToken.expiresIn': { takes: DURATIONS, and: ['0s', '25h', '15 minutes', '1.5h', '900'] },
  'accessToken.algorithm': { takes: [], and: ['none', 'hs256', 'RS256', ['HS256']] },
  'accessToken.claims': { takes: ['function'] },
  'accessToken.leeway': { takes: DURATION_OR_ZERO.filter(kind => kind !== 'duration'), and: ['61s'] },
  'accessToken.cacheBytes': { takes: ['zero', 'one'], and: ['100mb', 4_000_000_001] },
  'refreshToken.idle': { takes: DURATIONS, and: ['401d', '0s'] },
  'refreshToken.absolute': { takes: DURATIONS, and: ['401d', '0s'] },
  'refreshToken.rotation': { takes: [], and: ['Always', 'sometimes'] },
  'refreshToken.grace': { takes: ['zero', 'one'], and: ['301s', '-1s'] },
  'refreshToken.recoverLostReply': { takes: ['true', 'false'], and: ['true'] },
  'refreshToken.transport': { takes: [], and: ['Body', 'header'] },
  'refreshToken.renewWithAccessToken': { takes: ['true', 'false'] },
  'cookie.name': { takes: ['word'].concat('duration'), and: ['a b', 'a=b', 'a;b', 'ä', 'a,b', '"a"', 'a\r\nSet-Cookie: x'] },
  'cookie.path': { takes: ['path'], and: ['auth', '/a b', '/;Domain=evil.example', '/a\n'] },
  'cookie.domain': { takes: [], and: ['.example.com', 'localhost', 'Example.com', 'example.com;', 'https://example.com', '127.0.0.1', 'example.com:3000'] },
  'cookie.sameSite': { takes: [], and: ['Strict', 'no'] },
  'cookie.secure': { takes: ['true', 'false'], and: ['auto'] },
  'cookie.partitioned': { takes: ['true', 'false'] },
  'cookie.former': { takes: ['emptyList'], and: [[{ path: 'auth' }], [{ secure: true }]] },
  'passwords.memoryCost': { takes: [], and: ['19456', 127, 1048577, 19456.5] },
  'passwords.timeCost': { takes: ['one'], and: ['2', 17] },
  'passwords.parallelism': { takes: ['one'], and: ['1', 17] },
  'passwords.minLength': { takes: [], and: ['8', 7, 65] },
  'passwords.check': { takes: ['function'] },
  'passwords.verifyLegacy': { takes: ['function'] },
  'passwords.pepper': { takes: [], and: [SECRET, { current: 'k1' }, { keys: { k1: SECRET } }, ...[null, SECRET, { k1: 'short' }, { 'k 1': SECRET }, { 123456789: SECRET }, [SECRET, 1]].map(keys => ({ current: 'k1', keys })), ...[null, 1, '', 'k 1', SECRET].map(current => ({ current, keys: { k1: SECRET } }))] },
  'passwords.queue.concurrency': { takes: ['one'], and: [129, '2'] },
  'passwords.queue.waiting': { takes: ['zero', 'one'], and: [10_001, '50'] },
  'passwords.queue.maxWait': { takes: ['one'], and: ['61s', '0s'] },
  'sessions.maxPerUser': { takes: ['one', 'false'], and: [0, 10_001, '5'] },
  'sessions.whenFull': { takes: [], and: ['endNewest'] },
  'sessions.bindUserAgent': { takes: ['true', 'false'] },
  'sessions.purgeEvery': { takes: ['duration', 'false'], and: [59, '25h'] },
  ...Object.fromEntries(['perAddress', 'perAddressTotal', 'perAccount', 'perSession'].map(name => [`rateLimit.${name}`, { takes: ['false', 'emptyList'], and: [{}, { max: 1 }, { per: '1m' }, { max: 0, per: '1m' }, { max: '1', per: '1m' }, { max: 1, per: '25h' }, { max: 1, per: 0 }, { points: 1, per: '1m' }, [{ max: 1, per: '1m' }, null], [[{ max: 1, per: '1m' }]]] }])),
  'rateLimit.redis': { takes: [], and: [{}, { del () {} }, { eval: true }] },
  'rateLimit.keyPrefix': { takes: WORDS },
  revocation: { takes: [], and: ['Immediate', 'never'] },
  revocationUnknown: { takes: [], and: ['Refuse', 'deny', true] },
  'timeouts.call': { takes: ['one'], and: ['61s', '0s', '100ms'] },
  'timeouts.request': { takes: ['one'], and: ['61s', '0s'] },
  formatTokenResponse: { takes: ['function'] },
  onEvent: { takes: ['function'] },
  clock: { takes: ['function'], and: [Date.now, () => NaN, () => -1, () => '1', () => Infinity, () => new Date(), async () => 1] }
}

t.test('the table of wrong values covers every option', async t => {
  t.strictSame(Object.keys(WRONG).sort(), allPaths().sort())
})

for (const [path, { takes, and = [] }] of Object.entries(WRONG)) {
  t.test(`a wrong "${path}" is refused by name, and without its value if that may be a secret`, async t => {
    const kinds = Object.entries(KINDS).filter(([kind]) => !takes.includes(kind)).map(([, value]) => value)
    for (const value of [...kinds, ...and]) {
      throwsSentence(t, at(path, value), new RegExp(`^(unknown )?option "${path.replaceAll('.', '\\.')}[^"]*"`))
    }
    for (const kind of takes) {
      // Only a combination may still be refused.
      t.notMatch(complaintOf(() => read(at(path, KINDS[kind]))), /: it must /, `${path} takes ${kind}`)
    }
  })
}

function complaintOf (act: () => unknown): string {
  try {
    act()
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

t.test('an invalid group is refused by name and not printed', async t => {
  for (const name of ['routes', 'accounts', 'accessToken', 'refreshToken', 'cookie', 'passwords', 'rateLimit', 'sessions', 'timeouts']) {
    for (const value of [null, true, 1, SECRET, [SECRET], () => SECRET]) {
      throwsSentence(t, { [name]: value }, new RegExp(`^option "${name}" must be an object$`))
    }
  }
  for (const value of [null, SECRET, [SECRET], 1]) t.throws(() => readOptions(value as never, false), { message: 'the options must be an object' })
})

t.test('every option accepts its documented values, in the units of the code', async t => {
  const GOOD: ReadonlyArray<readonly [path: string, written: unknown, used: unknown]> = [
    ['issuer', 'https://login.example', 'https://login.example'],
    ['appName', 'shop', 'shop'],
    ['audience', 'api', 'api'],
    ['audience', ['api', 'web'], ['api', 'web']],
    ['prefix', '/v1/auth', '/v1/auth'],
    ['routes.signup', false, false],
    ['routes.login', '/sign-in', '/sign-in'],
    ['routes.verify', '/verify', '/verify'],
    ['accounts.usernameField', 'email', 'email'],
    ['rateLimit.perAddress', { max: 1, per: '24h' }, [{ max: 1, per: 86_400 }]],
    ['rateLimit.perAccount', [{ max: 3, per: '1m' }, { max: 1_000_000, per: 1 }], [{ max: 3, per: 60 }, { max: 1_000_000, per: 1 }]],
    ['rateLimit.perSession', false, []],
    ['rateLimit', false, { perAddress: [], perAddressTotal: [], perAccount: [], perSession: [], redis: undefined, keyPrefix: undefined }],
    ['trustedOrigins', ['https://app.example', 'http://localhost:5173', 'capacitor://localhost', 'https://[::1]:8443'], ['https://app.example', 'http://localhost:5173', 'capacitor://localhost', 'https://[::1]:8443']],
    ['accessToken.expiresIn', '24h', 86_400],
    ['accessToken.expiresIn', 1, 1],
    ['accessToken.algorithm', 'HS512', 'HS512'],
    ['accessToken.leeway', '1m', 60],
    ['refreshToken.idle', '30d', 30 * 86_400],
    ['refreshToken.absolute', '400d', 400 * 86_400],
    ['refreshToken.rotation', 'never', 'never'],
    ['refreshToken.grace', '5m', 300],
    ['refreshToken.transport', 'body', 'body'],
    ['cookie.name', '__Secure-mine', '__Secure-mine'],
    ['cookie.path', '/auth', '/auth'],
    ['cookie.domain', 'example.co.uk', 'example.co.uk'],
    ['cookie.sameSite', 'lax', 'lax'],
    ['passwords.memoryCost', 2 ** 20, 2 ** 20],
    ['passwords.minLength', 64, 64],
    ['passwords.pepper', { current: 'k2', keys: { k1: SECRET, k2: OTHER } }, { current: 'k2', keys: { k1: SECRET, k2: OTHER } }],
    ['passwords.queue.waiting', 0, 0],
    ['passwords.queue.maxWait', '1m', 60],
    ['timeouts', { call: '1m', request: '1m' }, { call: 60, request: 60 }],
    ['timeouts.request', '10s', 10]
  ]
  for (const [path, written, used] of GOOD) {
    const value = path.split('.').reduce<unknown>((inner, name) => Reflect.get(Object(inner), name), read({ users: { findByUsername: () => null }, ...at(path, written) }))
    t.strictSame(value, used, `${path}: ${inspect(written)}`)
  }
})

t.test('refreshCookieOptions returns the same options', async t => {
  const options = { secret: SECRET, users }
  t.equal(refreshCookieOptions(options), options)
})

t.test('functions and stores are kept as they are', async t => {
  const mine = { store: memoryStore(), users, onEvent () {}, passwords: { minLength: 12 } }
  const claims = () => ({})
  t.match(read({ ...mine, accessToken: { claims } }), { ...mine, accessToken: { claims } })
})

t.test('a clock is read in whole seconds', async t => {
  t.equal(read({ clock: () => 1.9 }).clock(), 1)
})

t.test('a secret or a list of secrets becomes a list', async t => {
  const secretsOf = async ({ secret }: Pick<Settings, 'secret'>): Promise<unknown[]> => [...await secret?.read() ?? []]
  t.strictSame(await secretsOf(read({})), [SECRET])
  t.strictSame(await secretsOf(read({ secret: [OTHER, SECRET] })), [OTHER, SECRET])
  t.strictSame(await secretsOf(read({ refreshToken: { secret: OTHER } }).refreshToken), [OTHER])
  const bytes = randomBytes(32)
  const settings = read({ secret: [bytes, new Uint8Array(Buffer.from(OTHER))], refreshToken: { secret: bytes } })
  const before = Buffer.from(bytes)
  bytes.fill(0)
  t.strictSame(await secretsOf(settings), [before, Buffer.from(OTHER)], 'bytes are copied')
  t.strictSame(await secretsOf(settings.refreshToken), [before])
})

t.test('a secret or a key ring may be a function, which is called at each read, and its result is validated', async t => {
  const answers: unknown[] = [SECRET, [OTHER, SECRET], 'short', undefined]
  const { secret } = read({ secret: async () => answers.shift() })
  t.equal(secret?.changes, true)
  t.strictSame([...await secret?.read() ?? []], [SECRET])
  t.strictSame([...await secret?.read() ?? []], [OTHER, SECRET])
  await t.rejects(async () => await secret?.read(), { message: /^option "secret" has 5 bytes/ })
  await t.rejects(async () => await secret?.read(), { message: /^option "secret" is neither a string nor a Buffer/ })
  t.equal(read({}).secret?.changes, false)
})

t.test('an invalid key ring is refused with the reason, also as the result of a function', async t => {
  const OLD = generateKey('ES256', 'old')
  const NEW = generateKey('EdDSA', 'new')
  const REFUSED: ReadonlyArray<readonly [keys: unknown, sentence: RegExp]> = [
    [[], /^option "keys" must be a list of at least one key$/],
    [[OLD.signs, NEW.signs], /^option "keys" has more than one key with use: 'sign'/],
    [[OLD.signs, OLD.verifies], /^option "keys" has two keys with the same kid/],
    [[OLD.signs, { ...OLD.verifies, kid: 'a', withoutKid: true }, { ...NEW.verifies, withoutKid: true }], /^option "keys" has more than one key with withoutKid/],
    [[OLD.signs, { ...NEW.verifies, algorithm: 'ES256' }], /^option "keys\[1\]" is of type ed25519, and ES256 needs ec$/],
    [[{ ...OLD.signs, algorithm: 'RS512' }], /^option "keys\[0\]\.algorithm"/],
    [[{ ...OLD.signs, use: 'enc' }], /^option "keys\[0\]\.use"/],
    [[{ ...OLD.signs, kid: '' }], /^option "keys\[0\]\.kid"/],
    [[{ ...OLD.signs, kid: 'k'.repeat(65) }], /^option "keys\[0\]\.kid"/],
    [[{ ...OLD.signs, pem: 'x' }], /^unknown option "keys\[0\]\.pem"/],
    [[{ ...OLD.signs, privateKey: 1 }], /^option "keys\[0\]\.privateKey" must be PEM/]
  ]
  for (const [keys, message] of REFUSED) {
    throwsSentence(t, { keys }, message)
    await t.rejects(async () => await read({ keys: async () => keys }).keys?.read(), { name: 'TypeError', message })
  }
})

t.test('a misspelled option is refused with the nearest name', async t => {
  const TYPOS: ReadonlyArray<readonly [path: string, meant: string]> = [
    ['secrets', 'secret'], ['Issuer', 'issuer'], ['audiance', 'audience'], ['acessToken', 'accessToken'], ['refreshtoken', 'refreshToken'],
    ['trustedOrigin', 'trustedOrigins'], ['user', 'users'], ['onevent', 'onEvent'], ['password', 'passwords'], ['cookies', 'cookie'],
    ['cookie.samesite', 'sameSite'], ['cookie.Path', 'path'], ['accessToken.expireIn', 'expiresIn'], ['accessToken.algoritm', 'algorithm'],
    ['refreshToken.gracePeriod', 'known are'], ['routes.signUp', 'signup'], ['routes.sesions', 'sessions'], ['accounts.userNameField', 'usernameField'],
    ['passwords.minlength', 'minLength'], ['passwords.memorycost', 'memoryCost'], ['timeouts.calls', 'call'], ['key', 'keys'], ['maxAge', 'known are']
  ]
  for (const [path, meant] of TYPOS) {
    throwsSentence(t, at(path, OTHER), new RegExp(`^unknown option "${path.replace('.', '\\.')}"; (did you mean "${meant}"\\?|${meant}.*)$`))
  }
})

t.test('a misspelled function of users is refused, and other functions are allowed', t => {
  for (const [name, meant] of [['findByUserName', 'findByUsername'], ['findbyid', 'findById'], ['creat', 'create'], ['updatePasswordHsh', 'updatePasswordHash']] as const) {
    const message = `option "users" has an unknown function "${name}"; did you mean "${meant}"?`
    t.throws(() => read({ users: { [name]: () => null } }), { name: 'TypeError', message })
  }
  for (const wrong of [[], new Map(), Promise.resolve({})]) t.throws(() => read({ users: wrong }), { name: 'TypeError', message: /^option "users" must be an object with the functions findByUsername/ })
  for (const own of [{ findByEmail () {}, update () {}, read () {}, creator () {} }, { findByMail () {}, findBy () {} }, { close () {} }]) {
    t.doesNotThrow(() => read({ users: { ...own, findById: () => null } }))
    t.throws(() => read({ users: own }), { name: 'TypeError', message: `option "users" has ${Object.keys(own).join(', ')}, but none of the functions that the plugin calls: findByUsername, findById, create, updatePasswordHash` })
  }
  for (const none of [{}, { creates: true }]) t.doesNotThrow(() => read({ users: none }))
  t.end()
})

const SIGNING_KEY = { kid: 'k1', algorithm: 'HS256', use: 'sign', secret: SECRET }

t.test('a store that was not made is refused with the call that makes it', async t => {
  throwsSentence(t, { store: memoryStore }, /"store" is a function: call it/)
  for (const name of ['query', 'connect', 'prepare']) throwsSentence(t, { store: { [name] () {} } }, /"store" is a database: wrap it, as in store: postgresStore\(pool\)/)
})

t.test('an empty audience, which would refuse each token, is refused', async t => {
  throwsSentence(t, { audience: [] }, /"audience" is \[\]: give at least one audience/)
})

t.test('a dangerous or useless combination is refused with the fix', async t => {
  const COMBINATIONS: ReadonlyArray<readonly [options: object, names: RegExp]> = [
    [{ secret: undefined }, /"secret" is missing/],
    [{ secret: undefined, refreshToken: { secret: SECRET } }, /"secret" is missing/],
    [{ accessToken: { expiresIn: '1h' }, refreshToken: { idle: '1h' } }, /"accessToken\.expiresIn" must be shorter/],
    [{ refreshToken: { idle: '31d' } }, /"refreshToken\.idle" must not be longer/],
    [{ refreshToken: { idle: '1d', absolute: '1h' } }, /"refreshToken\.idle" must not be longer/],
    [{ accessToken: { expiresIn: 1 }, refreshToken: { idle: '30s' } }, /"refreshToken\.grace" must be shorter/],
    [{ refreshToken: { grace: 0 } }, /"refreshToken\.grace" is 0 .*recoverLostReply: false/],
    [{ refreshToken: { transport: 'body' }, cookie: { sameSite: 'lax' } }, /"cookie" does nothing while "refreshToken\.transport"/],
    [{ refreshToken: { renewWithAccessToken: true, transport: 'body' } }, /"refreshToken\.renewWithAccessToken" is for cookies/],
    [{ refreshToken: { renewWithAccessToken: true }, store: statelessStore() }, /"refreshToken\.renewWithAccessToken" needs a store that keeps/],
    [{ accessToken: { claims: () => ({}) } }, /"accessToken\.claims" needs "users\.findById"/],
    [{ accessToken: { claims: () => ({}) }, users: { findByUsername: () => null } }, /"accessToken\.claims" needs "users\.findById"/],
    [{ cookie: { secure: false, sameSite: 'none' }, trustedOrigins: ['https://app.example'] }, /"cookie\.sameSite" is 'none' without "secure"/],
    [{ cookie: { sameSite: 'none' } }, /"cookie\.sameSite" is 'none' without "trustedOrigins"/],
    [{ cookie: { partitioned: true } }, /"cookie\.partitioned"/],
    [{ cookie: { partitioned: true, sameSite: 'lax' } }, /"cookie\.partitioned"/],
    [{ cookie: { name: '__Host-a', path: '/auth' } }, /"cookie\.name" starts with "__Host-"/],
    [{ cookie: { name: '__Host-Http-a', domain: 'example.com' } }, /"cookie\.name" starts with "__Host-"/],
    [{ cookie: { name: '__host-a', secure: false } }, /"cookie\.name" starts with "__Host-"/],
    [{ cookie: { name: '__Secure-a', secure: false } }, /"cookie\.name" starts with "__Secure-"/],
    [{ cookie: { name: '__http-a', secure: false } }, /"cookie\.name" starts with "__Secure-" or "__Http-"/],
    [{ cookie: { former: [{}] } }, /"cookie\.former\[0\]" equals the current cookie/],
    [{ cookie: { domain: 'app.example', former: [{ path: '/auth' }, { domain: 'app.example' }] } }, /"cookie\.former\[1\]" equals the current cookie/],
    [{ cookie: { name: 'sid', former: [{ name: 'sid' }] } }, /"cookie\.former\[0\]" equals the current cookie/],
    [{ cookie: { former: [{ name: '__Host-Http-refresh', path: '/auth' }] } }, /"cookie\.former\[0\]" has the name '__Host-Http-refresh', which browsers reject/],
    [{ cookie: { former: [{ name: '__Host-x', domain: 'app.example' }] } }, /browsers reject/],
    [{ sessions: { maxPerUser: 5 }, store: statelessStore() }, /"sessions\.maxPerUser" needs a store that can list/],
    [{ revocation: 'immediate', store: statelessStore() }, /"revocation" is 'immediate', which needs a store that notifies/],
    [{ revocationUnknown: 'refuse' }, /"revocationUnknown" is 'refuse', which does nothing while "revocation"/],
    [{ timeouts: { call: '4s' } }, /"timeouts\.call" must not be longer than "timeouts\.request"/],
    [{ passwords: { memoryCost: 1024 } }, /"passwords\.memoryCost"/],
    [{ accounts: { signup: 'silent' } }, /"accounts\.signup" is 'silent' without "accounts\.onSignup"/],
    [{ accounts: { onSignup () {} } }, /"accounts\.onSignup" is never called/],
    [{ accounts: { signup: 'silent', onSignup () {} }, users: { findById: () => null } }, /"accounts\.onSignup" is never called without "users\.create"/],
    [{ keys: [SIGNING_KEY], secret: SECRET, refreshToken: { secret: SECRET } }, /"secret" does nothing beside "keys"/],
    [{ keys: [SIGNING_KEY], accessToken: { algorithm: 'HS256' } }, /"accessToken\.algorithm" does nothing beside "keys"/],
    [{ sessions: { maxPerUser: false, whenFull: 'refuseLogin' } }, /"sessions\.whenFull" does nothing/],
    [{ routes: { signup: '/join' } }, /"routes\.signup" needs "users\.create"/],
    [{ routes: { login: '/enter' }, users: { findById: () => null } }, /"routes\.login" needs "users\.findByUsername"/],
    [{ routes: { password: '/secret' }, users: { findById: () => null } }, /"routes\.password" needs "users\.updatePasswordHash"/],
    [{ routes: { reauthenticate: '/again' }, users: {} }, /"routes\.reauthenticate" needs "users\.findById"/]
  ]
  for (const [options, names] of COMBINATIONS) throwsSentence(t, options, names)
})

t.test('values just inside those bounds are accepted', async t => {
  const FINE: readonly object[] = [
    { accessToken: { expiresIn: 3599 }, refreshToken: { idle: '1h' } },
    { refreshToken: { idle: '30d', absolute: '30d' } },
    { accessToken: { expiresIn: 1 }, refreshToken: { idle: '31s' } },
    { refreshToken: { grace: 0, recoverLostReply: false } },
    { refreshToken: { transport: 'body' }, cookie: undefined },
    { refreshToken: { renewWithAccessToken: true }, store: memoryStore() },
    { accessToken: { claims: () => ({}) }, users },
    { cookie: { sameSite: 'none' }, trustedOrigins: ['https://app.example'] },
    { cookie: { sameSite: 'none', partitioned: true }, trustedOrigins: ['https://app.example'] },
    { cookie: { name: '__Host-mine' } },
    { cookie: { name: '__Secure-mine', path: '/auth', domain: 'example.com' } },
    { cookie: { former: [{ path: '/auth' }, { domain: 'app.example' }, { name: 'refresh' }, { partitioned: true }] } },
    { sessions: { maxPerUser: 1 } },
    { sessions: { maxPerUser: 10_000 }, store: memoryStore() },
    { sessions: { maxPerUser: false }, store: statelessStore() },
    { store: statelessStore() },
    { passwords: { memoryCost: 1024, [allowWeakHashing]: true } },
    { accounts: { signup: 'silent', onSignup () {} }, users: { create: () => null } },
    { rateLimit: { redis: { eval () {} } } }
  ]
  for (const options of FINE) t.doesNotThrow(() => read(options), inspect(options))
})

t.test('the default session limit is a hundred, and none for a store that cannot list', async t => {
  t.equal(read({ store: memoryStore() }).sessions.maxPerUser, 100)
  t.equal(read({ store: statelessStore() }).sessions.maxPerUser, false)
  t.equal(read({ sessions: { maxPerUser: false } }).sessions.maxPerUser, false)
  t.equal(read({ sessions: { maxPerUser: 7, whenFull: 'refuseLogin' } }).sessions.maxPerUser, 7)
})

t.test('the cookie name has the strongest prefix that its settings allow', async t => {
  const NAMES: ReadonlyArray<readonly [cookie: object, name: string]> = [
    [{}, '__Host-Http-refresh'],
    [{ sameSite: 'lax' }, '__Host-Http-refresh'],
    [{ path: '/auth' }, '__Secure-refresh'],
    [{ domain: 'example.com' }, '__Secure-refresh'],
    [{ secure: false }, 'refresh'],
    [{ secure: false, path: '/auth' }, 'refresh'],
    [{ name: 'mine' }, 'mine']
  ]
  for (const [cookie, name] of NAMES) t.equal(read({ cookie }).cookie.name, name, inspect(cookie))
})

t.test('production refuses insecure cookies and weak hashing', async t => {
  throwsSentence(t, { cookie: { secure: false } }, /"cookie\.secure" is false in production/, true)
  t.doesNotThrow(() => read({ cookie: { secure: false } }, false))
  const before = process.env['NODE_ENV']
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_ENV']
    else process.env['NODE_ENV'] = before
  })
  process.env['NODE_ENV'] = 'production'
  throwsSentence(t, { passwords: { memoryCost: 1024, [allowWeakHashing]: true } }, /"passwords\.memoryCost".*production/, true)
})

t.test('questionable options cause one warning each', async t => {
  const WARNINGS: ReadonlyArray<readonly [options: object, where: { production?: boolean, worker?: boolean }, codes: readonly string[]]> = [
    [{}, {}, []],
    [{ store: memoryStore() }, { production: true }, []],
    [{}, { production: true }, ['MEMORY_STORE']],
    [{}, { worker: true }, ['MEMORY_STORE']],
    [{ store: memoryStore() }, { worker: true }, ['MEMORY_STORE']],
    [{ store: statelessStore() }, { production: true, worker: true }, []],
    [{ accessToken: { expiresIn: '1h' } }, {}, []],
    [{ accessToken: { expiresIn: 3601 } }, {}, ['ACCESS_LIFETIME']],
    [{ cookie: { name: 'mine' } }, {}, ['COOKIE_NAME']],
    [{ cookie: { name: 'mine', secure: false } }, {}, []],
    [{ users: { findByUsername: () => null } }, {}, ['NO_FIND_BY_ID']],
    [{ passwords: { verifyLegacy: () => false } }, {}, ['LEGACY_HASHES']],
    [{ passwords: { verifyLegacy: () => false }, users: { updatePasswordHash: () => true } }, {}, []],
    [{ users: { findByUsername: () => null, findById: () => null } }, {}, []],
    [{ refreshToken: { grace: 14 } }, {}, ['SHORT_GRACE']],
    [{ trustedOrigins: ['http://app.example'] }, {}, []],
    [{ trustedOrigins: ['https://app.example', 'http://localhost:5173', 'capacitor://localhost'], store: memoryStore() }, { production: true }, []],
    [{ trustedOrigins: ['https://app.example', 'http://app.example'], store: memoryStore() }, { production: true }, ['HTTP_ORIGIN']],
    [{ refreshToken: { grace: 15 } }, {}, []],
    [{ refreshToken: { grace: 14, rotation: 'never' } }, {}, []],
    [{ refreshToken: { grace: 0, recoverLostReply: false } }, {}, []],
    [{ accessToken: { expiresIn: '2h' }, cookie: { name: 'mine' } }, { production: true }, ['ACCESS_LIFETIME', 'COOKIE_NAME', 'MEMORY_STORE']]
  ]
  for (const [options, { production = false, worker = false }, codes] of WARNINGS) {
    const warned = warningsOf(read(options, production), { production, worker }).map(({ code }) => code)
    t.strictSame(warned, codes.map(code => `FST_AUTH_WARN_${code}`), inspect(options))
  }
  const [named] = warningsOf(read({ cookie: { name: 'mine', path: '/auth' } }), { production: false, worker: false })
  t.match(named, { suggestion: '__Secure-refresh' })
})

t.test('settings are deeply frozen, and the options of the caller are unchanged', async t => {
  const mine = { secret: [SECRET, OTHER], audience: ['api'], trustedOrigins: ['https://app.example'], routes: { signup: false }, cookie: { sameSite: 'lax' }, passwords: { minLength: 10 } }
  const copy = structuredClone(mine)
  const settings = read(mine)
  for (const value of [settings, settings.passwords.queue, ...Object.values(settings.rateLimit).filter(Array.isArray), ...Object.values(settings).filter(value => typeof value === 'object')]) t.ok(Object.isFrozen(value))
  t.strictSame(mine, copy)
  t.notOk([mine, ...Object.values(mine)].some(Object.isFrozen))
  mine.trustedOrigins.push('https://evil.example')
  t.strictSame(settings.trustedOrigins, ['https://app.example'], 'nor do later changes affect it')
})

t.test('information leak: no secret is in an error about a wrong option, wherever it was put', async t => {
  const canary = `canary-${randomBytes(40).toString('base64url')}`
  const MISPLACED: readonly object[] = [
    { secret: [canary, canary] }, { secret: [canary, 'short'] }, { secret: { value: canary } }, { secret: [Buffer.from(canary), canary] }, { secret: Buffer.from(canary.slice(0, 31)) }, { secret: canary.slice(0, 31) },
    { secret: `-----BEGIN PRIVATE KEY-----\n${canary}` }, { secret: [[canary]] }, { refreshToken: { secret: { canary } } }, { refreshToken: { secret: [canary, canary] } }, { refreshToken: canary },
    { secrets: canary }, { keys: [canary] }, { keys: canary }, { keys: [{ kid: `${canary} `, algorithm: 'HS256', use: 'sign', secret: canary }] }, { keys: [{ kid: 'k 1', algorithm: 'HS256', use: 'sign', secret: canary }] }, { keys: [{ kid: 'k1', algorithm: 'RS256', use: 'sign', secret: canary }] }, { keys: [{ kid: 'k1', algorithm: 'RS256', use: 'sign', privateKey: canary }] }, { keys: [{ kid: 'k1', algorithm: 'HS512', use: 'sign', secret: canary.slice(0, 40) }] }, { refreshToken: { key: canary } }, { accessToken: { secret: canary } }, { accessToken: canary }, { cookie: canary }, { cookie: { secret: canary } }, { passwords: canary }, { passwords: { pepper: canary } }, { passwords: { pepper: { current: canary, keys: {} } } }, { passwords: { pepper: { current: 'k1', keys: { [canary]: 'k1' } } } }, { passwords: { pepper: { current: 'k1', keys: { k1: [canary] } } } }, { store: canary }, { users: canary }
  ]
  for (const options of MISPLACED) {
    const complaint = complaintOf(() => read(options))
    t.match(complaint, 'option')
    t.notOk(complaint.includes(canary.slice(0, 12)), complaint)
  }
})

t.test('information leak: no secret is in printed settings', async t => {
  const settings = read({ secret: [SECRET, randomBytes(32)], refreshToken: { secret: [Buffer.from(OTHER)] }, passwords: { pepper: { current: 'k1', keys: { k1: OTHER } } } })
  for (const text of [JSON.stringify(settings), inspect(settings, { depth: 9 }), inspect(settings.secret), String(settings)]) {
    t.notOk(text.includes(SECRET) || text.includes(OTHER), text)
  }
})
