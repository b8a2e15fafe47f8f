import t from 'tap'
import { readEnvironment } from '../../example-server/environment.js'

t.test('an empty environment has defaults', async t => {
  t.strictSame(readEnvironment({ DATA_DIR: '', AUTH_SECRET: '', PATH: '/bin' }), {
    HOST: '127.0.0.1',
    PORT: 3000,
    LOG_LEVEL: 'info',
    DATA_DIR: '.data',
    ACCESS_TTL: '1m',
    TRUSTED_ORIGINS: [],
    COOKIE_SECURE: 'true',
    REVOCATION: 'immediate',
    RATE_LIMIT: 'on'
  })
})

t.test('every variable is read', async t => {
  const variables = {
    HOST: '0.0.0.0',
    LOG_LEVEL: 'silent',
    DATA_DIR: '/var/lib/app',
    DATABASE_URL: 'postgresql://app@db/app',
    REDIS_URL: 'rediss://user:secret@redis.example:6380/1',
    AUTH_SECRET: 'some secret',
    ACCESS_TTL: '15m',
    REFRESH_IDLE: '15d',
    REFRESH_ABSOLUTE: '90d',
    GRACE: '10s',
    COOKIE_SECURE: 'false',
    REVOCATION: 'refresh',
    RATE_LIMIT: 'off',
    NODE_ENV: 'production'
  }
  t.strictSame(
    readEnvironment({ ...variables, PORT: '0', TRUSTED_ORIGINS: 'https://a.example, https://b.example,' }),
    { ...variables, PORT: 0, TRUSTED_ORIGINS: ['https://a.example', 'https://b.example'] }
  )
})

t.test('an invalid value is refused with the name of its variable', async t => {
  const bad = {
    PORT: ['http', '65536', '-1', '3000.5'],
    LOG_LEVEL: ['loud', 'INFO'],
    DATABASE_URL: ['mysql://db/app', 'db'],
    REDIS_URL: ['localhost:6379'],
    COOKIE_SECURE: ['no', '0'],
    REVOCATION: ['soon'],
    RATE_LIMIT: ['5']
  }
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) t.throws(() => readEnvironment({ [name]: value }), { name: 'ZodError', message: new RegExp(`"${name}"`) }, `${name}=${value}`)
  }
})

t.test('production needs its own secret', async t => {
  t.throws(() => readEnvironment({ NODE_ENV: 'production' }), { message: /"AUTH_SECRET"[^]*production needs a secret/ })
})

t.test('information leak: no error shows the credentials of an address', async t => {
  for (const name of ['DATABASE_URL', 'REDIS_URL']) t.throws(() => readEnvironment({ [name]: 'app:hunter2@db/app' }), { message: /^(?![^]*hunter2)/ }, name)
})
