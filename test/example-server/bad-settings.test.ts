import { join } from 'node:path'
import t from 'tap'
import { SECRET } from '../support/server.js'
import { runUntilEnd, startInTurn } from './server-process.js'

t.test('an invalid setting stops the server with an error that names it', async t => {
  const bad: ReadonlyArray<readonly [error: RegExp, variables: Record<string, string>]> = [
    [/"PORT"/, { PORT: 'http' }],
    [/"AUTH_SECRET"/, { NODE_ENV: 'production' }],
    [/mkdir '\/dev\/null\/data'/, { DATA_DIR: '/dev/null/data' }],
    [/ECONNREFUSED 127\.0\.0\.1:1/, { DATABASE_URL: 'postgres://app:hunter2@127.0.0.1:1/app' }],
    [/Invalid URL/, { DATABASE_URL: 'postgres://app:hunter2@db:port/app' }],
    [/ECONNREFUSED 127\.0\.0\.1:1/, { REDIS_URL: 'redis://app:hunter2@127.0.0.1:1' }],
    // The plugin's own message.
    [/option "secret" has 5 bytes/, { AUTH_SECRET: 'short' }],
    [/option "cookie.secure" is false in production/, { NODE_ENV: 'production', AUTH_SECRET: SECRET, COOKIE_SECURE: 'false' }]
  ]
  const folder = t.testdir()
  const ends = await startInTurn(bad.map(([, variables], nth) => ({ DATA_DIR: join(folder, String(nth)), ...variables })))
  for (const [nth, [errors, variables]] of bad.entries()) {
    t.match(ends[nth], { code: 1, errors }, JSON.stringify(variables))
    t.notMatch(ends[nth]?.errors, 'hunter2', 'and contains no password')
  }
  t.match(await runUntilEnd({ DATA_DIR: folder, PORT: 'http' }), { code: 1, errors: /"PORT"/ }, 'in a separate process')
})
