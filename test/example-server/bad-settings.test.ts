import { join } from 'node:path'
import t from 'tap'
import { SECRET } from '../support/server.js'
import { runUntilEnd, startInTurn } from './server-process.js'

t.test('a setting that cannot work is one line, and no server', async t => {
  const DATA_DIR = join(t.testdir(), 'data')
  const bad: ReadonlyArray<readonly [name: string, variables: Record<string, string>]> = [
    ['PORT', { PORT: 'http' }],
    ['DATA_DIR', { DATA_DIR: '/dev/null/data' }],
    ['DATABASE_URL', { DATABASE_URL: 'mysql://localhost/app' }],
    ['DATABASE_URL', { DATABASE_URL: 'postgres://127.0.0.1:1/app' }],
    ['REDIS_URL', { REDIS_URL: 'http://localhost' }],
    ['REDIS_URL', { REDIS_URL: 'redis://127.0.0.1:1' }],
    ['AUTH_SECRET', { AUTH_SECRET: 'short' }],
    ['AUTH_SECRET', { NODE_ENV: 'production' }],
    ['ACCESS_TTL', { ACCESS_TTL: 'soon' }],
    ['ACCESS_TTL', { ACCESS_TTL: '1h', REFRESH_IDLE: '1h' }],
    ['REFRESH_IDLE', { REFRESH_ABSOLUTE: '1h' }],
    ['GRACE', { GRACE: '1h' }],
    ['TRUSTED_ORIGINS', { TRUSTED_ORIGINS: 'https://app.example/path' }],
    ['COOKIE_SECURE', { NODE_ENV: 'production', AUTH_SECRET: SECRET, COOKIE_SECURE: 'false' }],
    ['LOG_LEVEL', { LOG_LEVEL: 'loud' }],
    ['REVOCATION', { REVOCATION: 'soon' }],
    ['RATE_LIMIT', { RATE_LIMIT: '5' }]
  ]
  const ends = await startInTurn(bad.map(([, variables]) => ({ DATA_DIR, ...variables })))
  for (const [nth, [name, variables]] of bad.entries()) {
    t.match(ends[nth], { code: 1, errors: new RegExp(`^${name} [^\n]+\n$`) }, JSON.stringify(variables))
  }
  t.match(await runUntilEnd({ DATA_DIR, PORT: 'http' }), { code: 1, errors: /^PORT [^\n]+\n$/ }, 'in a process of its own')
})
