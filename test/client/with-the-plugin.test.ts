import t, { type Test } from 'tap'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { PASSWORD, server, type Browser as RealBrowser } from '../support/server.js'
import { browser } from './support/browser.js'

const ANN = { username: 'ann', password: PASSWORD }

/** A page of an app with the plugin, which answers the client's requests. */
async function open (t: Test, options?: RefreshCookieOptions) {
  const { browser: openBrowser, wait } = await server(t, options)
  const { time, tab } = browser(t)
  const cookies = openBrowser()
  return {
    cookies,
    phone: openBrowser(),
    auth: tab({ fetch: overHttp(cookies) }),
    tab: () => tab({ fetch: overHttp(cookies) }),
    async sleep (minutes: number) {
      wait(`${minutes}m`)
      await time.advance(minutes * 60_000)
    }
  }
}

function overHttp (cookies: RealBrowser): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input instanceof Request ? input : new URL(input, 'https://app.example'), init)
    const { statusCode, headers, body } = await cookies.send({
      method: request.method === 'POST' ? 'POST' : 'GET',
      url: new URL(request.url).pathname,
      headers: Object.fromEntries(request.headers),
      payload: await request.text()
    })
    return new Response(statusCode === 204 ? null : body, { status: statusCode, headers: headers as Record<string, string> })
  }
}

t.test('a user signs up, stays logged in for days, and logs out', async t => {
  const { auth, tab, sleep } = await open(t)
  t.match(await auth.signup(ANN), { status: 'in', claims: { sub: '1' } })
  for (let hour = 0; hour < 48; hour++) {
    t.match(await (await auth.fetch('/me')).json(), { id: '1' })
    await sleep(60)
  }
  t.match(await tab().init(), { status: 'in' })
  t.match(await auth.logout(), { status: 'out' })
  t.equal((await auth.fetch('/me')).status, 401)
  t.match(await auth.refresh(), { status: 'out', error: undefined })
})

t.test('a first visit: a visitor who never logged in is logged out, without an error', async t => {
  const { auth } = await open(t)
  t.strictSame(await auth.init(), { status: 'out', claims: undefined, expiresAt: undefined, error: undefined })
})

t.test('the idle timeout logs a user out, with the reason', async t => {
  const { auth, sleep } = await open(t)
  await auth.signup(ANN)
  await sleep(8 * 24 * 60)
  t.equal((await auth.fetch('/me')).status, 401)
  t.match(auth.state, { status: 'out', error: { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' } }, 'the cookie is gone too')
})

t.test('a wrong password rejects with its code', async t => {
  const { auth } = await open(t)
  await auth.signup(ANN)
  await t.rejects(auth.login({ ...ANN, password: 'wrong' }), { name: 'AuthError', status: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.match(auth.state, { status: 'in' })
})

t.test('a password change logs out all other devices', async t => {
  const { auth, phone } = await open(t)
  await auth.signup(ANN)
  await phone.login('ann')
  t.equal((await (await auth.fetch('/auth/sessions')).json()).length, 2)
  const { claims } = auth.state

  const body = JSON.stringify({ currentPassword: PASSWORD, newPassword: 'three small words' })
  t.equal((await auth.fetch('/auth/password', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status, 200)
  t.match(await auth.refresh(), { status: 'in', claims: { sub: '1' } }, 'by the new session’s cookie')
  t.not(auth.state.claims?.sid, claims?.sid)
  t.match(await (await auth.fetch('/auth/sessions')).json(), exactly({ current: true }))
  t.match((await phone.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('step-up: a route that requires a fresh login succeeds after reauthentication', async t => {
  const { auth, sleep } = await open(t)
  await auth.signup(ANN)
  await sleep(20)
  t.match(await (await auth.fetch('/fresh')).json(), { statusCode: 403, code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
  const body = JSON.stringify({ password: PASSWORD })
  t.equal((await auth.fetch('/auth/reauthenticate', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status, 200)
  await auth.refresh()
  t.equal((await auth.fetch('/fresh')).status, 200)
})

t.test('reuse detection: a stolen cookie logs out thief and owner, and the owner gets the reason', async t => {
  const { auth, cookies, sleep } = await open(t)
  await auth.signup(ANN)
  const thief = cookies.copy()
  await sleep(20)
  t.equal((await auth.fetch('/me')).status, 200)
  await sleep(20)
  t.equal((await auth.fetch('/me')).status, 200)
  await thief.refresh()

  await sleep(20)
  t.equal((await auth.fetch('/me')).status, 401)
  t.match(auth.state, { status: 'out', error: { status: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' } })
})
