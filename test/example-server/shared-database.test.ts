import t from 'tap'
import { postgres } from '../support/postgres.js'
import { SECRET } from '../support/server.js'
import { ADA, client } from './client.js'
import { runUntilEnd, startServer } from './server-process.js'

t.test('servers on one PostgreSQL database share users and sessions', async t => {
  const url = await postgres(t)
  if (url === null) return
  const variables = { DATABASE_URL: url, AUTH_SECRET: SECRET, COOKIE_SECURE: 'false', NODE_ENV: 'development' }
  const [one, two] = await Promise.all([startServer(t, variables), startServer(t, variables)])
  const ada = client(one.url)
  t.equal((await ada.send('POST', '/auth/signup', ADA)).status, 201)
  t.match(ada.jar.header('/'), /^refresh=/, 'a cookie for plain http')

  const other = client(two.url, ada.jar)
  t.equal((await other.send('POST', '/auth/refresh')).status, 200)
  t.match((await other.send('GET', '/me')).json(), { username: 'ada' })
  t.match(await runUntilEnd({ ...variables, PORT: new URL(one.url).port }), { code: 1, errors: /EADDRINUSE/ }, 'a port that is taken')
  t.match(await runUntilEnd({ ...variables, HOST: '203.0.113.1' }), { code: 1, errors: /EADDRNOTAVAIL/ }, 'an address of another machine')
  t.same(await Promise.all([one.stop(), two.stop()]), [0, 0])
})
