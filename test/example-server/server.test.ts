import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { exactly } from '../support/exactly.js'
import { ADA, BOB, client, EVE } from './client.js'
import { runUntilEnd, startServer } from './server-process.js'

const HOUR = 3_600_000

t.test('a server with its data in a folder', async t => {
  const dataDir = join(t.testdir(), 'data')
  const first = await startServer(t, { DATA_DIR: dataDir, ACCESS_TTL: '5m' })
  const ada = client(first.url)

  t.test('logs a user in', async t => {
    const { status, json } = await ada.send('POST', '/auth/signup', ADA)
    t.equal(status, 201)
    t.match(json(), { access_token: String, token_type: 'Bearer', expires_in: 300 })
    t.match((await ada.send('GET', '/me')).json(), { id: String, username: 'ada' })
  })

  t.test('refuses a taken name', async t => {
    const { status, json } = await client(first.url).send('POST', '/auth/signup', ADA)
    t.match([status, json()], exactly(409, { code: 'FST_AUTH_USERNAME_TAKEN' }))
  })

  t.test('holds the cookie of a young token', async t => {
    const { status, headers } = await ada.send('POST', '/auth/refresh')
    t.equal(status, 200)
    t.same(headers.getSetCookie(), [])
  })

  t.test('lists the sessions of a user, and ends them', async t => {
    const phone = client(first.url)
    t.equal((await phone.send('POST', '/auth/login', ADA)).status, 200)
    const other = (await ada.send('GET', '/auth/sessions')).json().find((device: { current: boolean }) => !device.current)
    t.equal((await ada.send('DELETE', `/auth/sessions/${other.id}`)).status, 204)
    t.match((await phone.send('POST', '/auth/refresh')).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  })

  t.test('ends the access token of a signed-out device too', async t => {
    const phone = client(first.url)
    await phone.send('POST', '/auth/login', ADA)
    t.equal((await ada.send('DELETE', '/auth/sessions')).status, 204)
    t.match((await phone.send('GET', '/me')).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
  })

  t.test('refuses a logged-out user', async t => {
    const guest = client(first.url)
    await guest.send('POST', '/auth/login', ADA)
    t.equal((await guest.send('POST', '/auth/logout')).status, 204)
    t.equal(guest.jar.header('/'), undefined)
    t.equal((await guest.send('POST', '/auth/refresh')).status, 401)
    t.match((await client(first.url).send('GET', '/me')).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
  })

  t.test('broken access control: each of its routes needs an access token', async t => {
    for (const path of ['/me', '/me/activity', '/me/data']) t.equal((await client(first.url).send('GET', path)).status, 401, path)
  })

  t.test('has a health check', async t => {
    t.same((await client(first.url).send('GET', '/health')).json(), { status: 'ok' })
  })

  t.test('XSS: serves a page that runs only its own scripts', async t => {
    const { status, headers, text } = await client(first.url).send('GET', '/')
    t.equal(status, 200)
    t.match(headers.get('content-security-policy'), /default-src 'self'/)
    const files = [...text.matchAll(/(?:src|href)="(\/[^"]+\.\w+)"/g)].map(([, path = '']) => path)
    for (const path of new Set([...files, '/docs'])) {
      t.equal((await client(first.url).send('GET', path)).status, 200, path)
    }
  })

  t.test('serves every module that its page imports', async t => {
    const seen = new Set(['/app.js'])
    for (const path of seen) { // grows meanwhile
      const { status, headers, text } = await client(first.url).send('GET', path)
      t.match([status, headers.get('content-type')], exactly(200, /^(text|application)\/javascript; charset=utf-8$/), path)
      for (const [, module = ''] of text.matchAll(/ from '([^']+)'/g)) seen.add(new URL(module, `http://host${path}`).pathname)
    }
    t.ok(seen.has('/client/auth-client.js'))
  })

  t.test('documents its routes, and which of them need a login', async t => {
    const { paths, components } = (await client(first.url).send('GET', '/docs/json')).json()
    t.match(Object.keys(paths).filter(path => path.startsWith('/auth/')), exactly('/auth/signup', '/auth/login', '/auth/refresh', '/auth/logout', '/auth/sessions', '/auth/sessions/{id}', '/auth/password', '/auth/reauthenticate'))
    t.same(paths['/me'].get.security, [{ accessToken: [] }])
    t.same(paths['/health'].get.security, [])
    t.match(Object.keys(paths['/me/data'].get.responses), exactly('200', '401', '403'))
    t.equal(components.securitySchemes.accessToken.flows.password.tokenUrl, '/auth/login')
  })

  t.test('shows users their own activity, newest first', async t => {
    const bob = client(first.url)
    await bob.send('POST', '/auth/signup', BOB)
    const thief = client(first.url)
    await thief.send('POST', '/auth/login', { ...BOB, password: 'a wild guess' })
    await bob.send('POST', '/auth/reauthenticate', { password: BOB.password })
    await bob.send('POST', '/auth/login', BOB)
    await bob.send('POST', '/auth/refresh')

    const activity: Array<{ type: string }> = (await bob.send('GET', '/me/activity')).json()
    t.same(activity.map(({ type }) => type), ['login', 'reauthenticated', 'login_failed', 'login', 'signup'])
    t.match(activity[0], { reason: null, at: /^\d{4}-.+Z$/, userAgent: 'node', ip: '127.0.0.1' })
    t.equal((await thief.send('GET', '/me/activity')).status, 401)
  })

  t.test('information disclosure: the activity shows a signed-out device once, without its consequences', async t => {
    const eve = client(first.url)
    await eve.send('POST', '/auth/signup', EVE)
    await client(first.url).send('POST', '/auth/login', EVE)
    await eve.send('DELETE', '/auth/sessions')
    await client(first.url).send('POST', '/auth/login', EVE)
    await eve.send('POST', '/auth/password', { currentPassword: EVE.password, newPassword: 'three small words' })
    const activity: Array<{ type: string, reason: string | null }> = (await eve.send('GET', '/me/activity')).json()
    t.same(activity.map(({ type }) => type), ['login', 'password_changed', 'login', 'revoked', 'login', 'login', 'signup'])
    t.match(activity[3], { reason: 'revoked' })
  })

  t.test('exports all stored data after a fresh login', async t => {
    const { status, json, text } = await ada.send('GET', '/me/data')
    t.equal(status, 200)
    t.match(json(), { id: String, username: 'ada', createdAt: /^\d{4}-.+Z$/, devices: exactly({ current: true }), activity: Array })
    t.notMatch(text, 'argon2')
  })

  t.test('keeps its secret readable for this user only', async t => {
    const { mode } = await stat(join(dataDir, 'auth-secret'))
    t.equal(mode & 0o777, 0o600)
  })

  t.test('refuses a second process on its folder', async t => {
    t.match(await runUntilEnd({ DATA_DIR: dataDir }), { code: 1, errors: /DATA_DIR \S+ is in use by process \d+: stop it/ })
  })

  t.test('stops on a signal', async t => {
    t.equal(await first.stop('SIGTERM'), 0)
  })

  t.test('keeps all sessions after a restart', async t => {
    await writeFile(join(dataDir, 'process-id'), '4194305') // of a process that was killed: Linux assigns no id that high
    const second = await startServer(t, { DATA_DIR: dataDir, GRACE: '0s', LOG_LEVEL: 'silent' })
    await second.wait(HOUR)
    const again = client(second.url, ada.jar)
    const thief = client(second.url, ada.jar.copy())

    t.equal((await again.send('POST', '/auth/refresh')).status, 200, 'the session')
    t.match((await again.send('GET', '/me/data')).json(), { statusCode: 403, code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' }, 'the password was confirmed an hour ago')
    await again.send('POST', '/auth/reauthenticate', { password: ADA.password })
    t.equal((await again.send('GET', '/me/data')).status, 200)
    t.equal((await client(second.url).send('POST', '/auth/login', ADA)).status, 200, 'the user')
    t.match((await thief.send('POST', '/auth/refresh')).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }, 'without a grace period a cookie is accepted once')
    t.match((await again.send('POST', '/auth/refresh')).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
    t.equal(second.output().split('\n').length, 2, 'with the log level silent only the address is printed')
    t.equal(await second.stop('SIGINT'), 0)
  })
})
