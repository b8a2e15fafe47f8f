import { createHook } from 'node:async_hooks'
import Fastify from 'fastify'
import t from 'tap'
import refreshCookie, { authenticate } from '../../lib/index.js'
import { COOKIE, FAST_HASHING, HOST, SECRET, userTable } from '../support/server.js'

/** The number of promises that work makes, without those of the test itself. */
async function promisesOf (work: () => Promise<{ statusCode: number }>): Promise<number> {
  let count = 0
  const hook = createHook({ init (_id, type) { if (type === 'PROMISE') count++ } })
  for (let nth = 0; nth < 3; nth++) await work() // without the work of first requests
  hook.enable()
  const { statusCode } = await work()
  hook.disable()
  if (statusCode !== 200) throw new Error(`answered ${statusCode}`)
  return count
}

t.test('the cost of a request in promises, with the default options, beside a route without authentication', async t => {
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, users: userTable(), passwords: FAST_HASHING })
  app.post('/plain', async () => ({ ok: true }))
  app.get('/me', { onRequest: authenticate }, async ({ auth }) => ({ id: auth.claims.sub }))
  t.teardown(() => app.close())
  const headers = { host: HOST }
  const signup = await app.inject({ method: 'POST', url: '/auth/signup', headers, payload: { username: 'ada', password: 'correct horse battery' } })
  const cookie = `${COOKIE}=${signup.cookies[0]?.value}`
  const authorization = `Bearer ${signup.json().access_token}`

  const plain = await promisesOf(async () => await app.inject({ method: 'POST', url: '/plain', headers }))
  const get = await promisesOf(async () => await app.inject({ url: '/me', headers: { ...headers, authorization } }))
  const login = await promisesOf(async () => await app.inject({ method: 'POST', url: '/auth/login', headers, payload: { username: 'ada', password: 'correct horse battery' } }))
  const refresh = await promisesOf(async () => await app.inject({ method: 'POST', url: '/auth/refresh', headers: { ...headers, cookie } }))
  t.ok(login - plain <= 79, `a login makes ${login - plain}`)
  t.equal(get - plain, 0, 'the hook of a protected route makes none')
  t.ok(refresh - plain <= 12, `a refresh makes ${refresh - plain}`)
})
