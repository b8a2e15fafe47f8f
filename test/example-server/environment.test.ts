import t from 'tap'
import { EnvironmentError, inWordsOfEnvironment } from '../../example-server/environment-error.js'
import { readEnvironment } from '../../example-server/environment.js'
import { readOptions } from '../../lib/options/read.js'
import { exactly } from '../support/exactly.js'

t.test('an empty environment is enough', async t => {
  t.same(readEnvironment({ DATA_DIR: '' }), {
    host: '127.0.0.1',
    port: 3000,
    logLevel: 'info',
    dataDir: '.data',
    databaseUrl: undefined,
    redisUrl: undefined,
    authSecret: undefined,
    accessTtl: '1m',
    refreshIdle: undefined,
    refreshAbsolute: undefined,
    grace: undefined,
    recoverLostReply: true,
    trustedOrigins: undefined,
    cookieSecure: true,
    revocation: 'immediate',
    rateLimit: true
  })
})

t.test('every variable is read', async t => {
  t.match(readEnvironment({
    HOST: '0.0.0.0',
    PORT: '0',
    LOG_LEVEL: 'silent',
    DATA_DIR: '/var/lib/app',
    DATABASE_URL: 'postgresql://app@db/app',
    AUTH_SECRET: 'some secret',
    ACCESS_TTL: '15m',
    REFRESH_IDLE: '900',
    REFRESH_ABSOLUTE: '90d',
    GRACE: '10s',
    TRUSTED_ORIGINS: 'https://a.example, https://b.example,',
    COOKIE_SECURE: 'false',
    REVOCATION: 'refresh',
    RATE_LIMIT: 'off'
  }), {
    host: '0.0.0.0',
    port: 0,
    logLevel: 'silent',
    dataDir: '/var/lib/app',
    databaseUrl: 'postgresql://app@db/app',
    authSecret: 'some secret',
    accessTtl: '15m',
    refreshIdle: 900,
    refreshAbsolute: '90d',
    grace: '10s',
    recoverLostReply: true,
    trustedOrigins: exactly('https://a.example', 'https://b.example'),
    cookieSecure: false,
    revocation: 'refresh',
    rateLimit: false
  })
})

t.test('sessions can be in Redis', async t => {
  for (const REDIS_URL of ['redis://localhost', 'rediss://user:secret@redis.example:6380/1']) t.equal(readEnvironment({ REDIS_URL }).redisUrl, REDIS_URL)
})

t.test('no grace period means strict single use', async t => {
  for (const GRACE of ['0', '0s', '00m']) t.equal(readEnvironment({ GRACE }).recoverLostReply, false, GRACE)
  for (const GRACE of ['1', '10s', '30']) t.equal(readEnvironment({ GRACE }).recoverLostReply, true, GRACE)
})

t.test('a bad value is refused by the name of its variable', async t => {
  const bad = {
    PORT: ['http', '65536', '-1', '3000.5', '1e3'],
    LOG_LEVEL: ['loud', 'INFO'],
    DATABASE_URL: ['mysql://db/app', 'db', 'postgres://app@db:port/app'],
    REDIS_URL: ['localhost:6379'],
    COOKIE_SECURE: ['no', '0'],
    REVOCATION: ['soon'],
    RATE_LIMIT: ['5']
  }
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) t.throws(() => readEnvironment({ [name]: value }), { name: 'EnvironmentError', message: new RegExp(`^${name} [^\n]+$`) }, `${name}=${value}`)
  }
})

t.test('production wants a secret of its own', async t => {
  t.throws(() => readEnvironment({ NODE_ENV: 'production' }), { message: /^AUTH_SECRET is missing/ })
  t.equal(readEnvironment({ NODE_ENV: 'production', AUTH_SECRET: 'given' }).authSecret, 'given')
})

t.test('the password of a database is never printed', async t => {
  t.throws(() => readEnvironment({ DATABASE_URL: 'pg://app:hunter2@db/app' }), { message: /^(?!.*hunter2)/ })
})

t.test('what the plugin refuses is said in the names of variables', async t => {
  const refusal = (options: object): unknown => {
    try {
      return readOptions({ secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', ...options }, true)
    } catch (error) {
      return inWordsOfEnvironment(error)
    }
  }
  const named = {
    'AUTH_SECRET has 5 bytes': { secret: 'short' },
    'ACCESS_TTL must be shorter than REFRESH_IDLE': { accessToken: { expiresIn: '1h' }, refreshToken: { idle: '1h' } },
    'REFRESH_IDLE must not be longer than REFRESH_ABSOLUTE': { refreshToken: { idle: '9d', absolute: '8d' } },
    'GRACE is 301:': { refreshToken: { grace: 301 } },
    "TRUSTED_ORIGINS is 'everywhere'": { trustedOrigins: ['https://a.example', 'everywhere'] },
    'COOKIE_SECURE is false in production': { cookie: { secure: false } },
    'option "cookie.path" is': { cookie: { path: 'auth' } }
  }
  for (const [sentence, options] of Object.entries(named)) {
    const error = refusal(options)
    t.type(error, EnvironmentError)
    t.ok(String(error).startsWith(`EnvironmentError: ${sentence}`), String(error))
  }
})

t.test('any other error stays as it is', async t => {
  for (const error of [new TypeError('x is not a function'), new Error('option "secret"'), 'thrown text']) {
    t.equal(inWordsOfEnvironment(error), error)
  }
})
