import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { CookieJar } from 'tough-cookie'
import refreshCookie from '../../lib/index.js'
import { SECRET } from '../support/server.js'

const HOSTS = ['127.0.0.1', 'localhost']

/** An app on its own port, over plain http. */
async function listening (t: Test) {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret: SECRET })
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  const { port } = new URL(await app.listen({ host: 'localhost', port: 0 }))
  return (host: string, path: string) => `http://${host}:${port}${path}`
}

t.test('Secure cookie over plain http: curl sends it to 127.0.0.1 and localhost, as the documentation states', async t => {
  const url = await listening(t)
  const folder = t.testdir()
  for (const host of HOSTS) {
    const curl = async (path: string) => (await promisify(execFile)('curl', ['-4', '-sS', '-X', 'POST', '-b', join(folder, host), '-c', join(folder, host), url(host, path)])).stdout
    t.match(JSON.parse(await curl('/enter')), { token_type: 'Bearer' })
    t.match(JSON.parse(await curl('/auth/refresh')), { token_type: 'Bearer' }, host)
  }
})

t.test('Secure cookie over plain http: tough-cookie sends it to both, older versions and others to neither, as the documentation states', async t => {
  const url = await listening(t)
  for (const [allowSecureOnLocal, status] of [[true, 200], [false, 401]] as const) {
    for (const host of HOSTS) {
      const jar = new CookieJar(undefined, { allowSecureOnLocal }) // false: as before version 6
      const login = await fetch(url('localhost', '/enter'), { method: 'POST' })
      await jar.setCookie(login.headers.getSetCookie()[0] ?? '', url(host, '/enter')).catch(() => {}) // it rejects when it drops a cookie
      const cookie = await jar.getCookieString(url(host, '/auth/refresh'))
      const refresh = await fetch(url('localhost', '/auth/refresh'), { method: 'POST', headers: { cookie } })
      t.equal(refresh.status, status, `${host}, ${allowSecureOnLocal}`)
      if (status === 401) t.match(await refresh.json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING', message: /plain http/ })
    }
  }
})

t.test('two apps on localhost keep their sessions apart by cookie name', async t => {
  const apart: number[] = []
  for (const [first, second] of [[undefined, undefined], ['__Host-Http-shop', '__Host-Http-blog']]) {
    const jar = new CookieJar()
    const refresh = async (app: Awaited<ReturnType<typeof appNamed>>) => (await app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: await jar.getCookieString('http://localhost/') } })).statusCode
    const apps = [await appNamed(t, first, SECRET), await appNamed(t, second, `${SECRET}2`)] as const
    for (const app of apps) {
      const login = await app.inject({ method: 'POST', url: '/enter' })
      await jar.setCookie(String(login.headers['set-cookie']), 'http://localhost/')
    }
    apart.push(await refresh(apps[0]), await refresh(apps[1]))
  }
  t.strictSame(apart, [401, 200, 200, 200])
})

async function appNamed (t: Test, name: string | undefined, secret: string) {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret, cookie: { name } })
  app.post('/enter', async ({ auth }) => await auth.login('ada'))
  return app
}
