import t from 'tap'
import { COOKIE, loggedIn, PASSWORD, payloadOf, server, setCookies, type Answer, type Browser } from '../support/server.js'

/** True if the cookie of a reply outlives the browser; null without a cookie. */
function outlives (answer: Answer): boolean | null {
  const [line] = setCookies(answer)
  return line === undefined ? null : line.includes('Max-Age=')
}

t.test('remember: a login is remembered by default', async t => {
  const { ada } = await loggedIn(t)
  t.equal(outlives(await ada.login('ada')), true)
  t.equal(outlives(await ada.login('ada', { remember: true })), true)
  t.equal(outlives(await ada.login('ada', { remember: false })), false)
})

t.test('remember: with false the cookie stays a session cookie through every refresh', async t => {
  const { ada, events, wait } = await loggedIn(t)
  await ada.login('ada', { remember: false })
  const ways: Array<[outcome: string, refresh: () => Promise<Answer>]> = [
    ['rotate', async () => { wait('30s'); return await ada.refresh() }],
    ['rotate', async () => { wait('1d'); return await ada.refresh() }],
    ['replay', async () => { wait('30s'); await ada.copy().refresh(); return await ada.refresh() }],
    ['recover', async () => { wait('30s'); await ada.copy().refresh(); wait('5m'); return await ada.refresh() }]
  ]
  for (const [outcome, refresh] of ways) {
    const answer = await refresh()
    t.equal(outlives(answer), false, outcome)
    t.match(events.at(-1), { outcome })
    t.equal(payloadOf(ada.cookie())['remember'], false)
  }
})

t.test('remember: a password change keeps the setting', async t => {
  for (const remember of [true, false]) {
    const { ada } = await loggedIn(t)
    await ada.login('ada', { remember })
    const payload = { currentPassword: PASSWORD, newPassword: 'a much better passphrase' }
    t.equal(outlives(await ada.send({ method: 'POST', url: '/auth/password', payload })), remember)
  }
})

t.test('remember: the token of a remembered login has no extra claim', async t => {
  const { ada } = await loggedIn(t)
  t.notHas(payloadOf(ada.cookie()), 'remember')
})

t.test('remember: a login that is not remembered has the same expiry on the server', async t => {
  const { ada, wait } = await loggedIn(t, { refreshToken: { idle: '1h' } })
  await ada.login('ada', { remember: false })
  wait(3599)
  t.match(await ada.copy().refresh(), { statusCode: 200 })
  wait(1)
  t.type(ada.cookie(), 'string', 'the browser still has it')
  wait(3600)
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' })
})

t.test('remember: the next login in the same browser can change it', async t => {
  const { ada } = await loggedIn(t)
  await ada.login('ada', { remember: false })
  t.equal(outlives(await ada.login('ada')), true)
})

t.test('remember: a login that is not remembered logs out as any other', async t => {
  const { ada } = await loggedIn(t)
  await ada.login('ada', { remember: false })
  const copy = ada.copy()
  t.match(await ada.logout(), { statusCode: 204 })
  t.equal(ada.jar.value(COOKIE), undefined)
  t.match((await copy.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
})

t.test('remember: only true and false are accepted', async t => {
  const { ada } = await loggedIn(t)
  for (const remember of ['false', 'no', 0, 1, null, [], {}]) {
    const answer = await ada.login('ada', { remember })
    t.match(answer.json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: /remember/ })
  }
})

t.test('remember: password forms and signups do not have it', async t => {
  const { ada } = await loggedIn(t)
  t.match((await ada.signup('bob', { remember: false })).json(), { statusCode: 400, message: 'body has an unknown field' })
  t.equal(outlives(await form(ada, 'username=ada&password=correct+horse+battery+staple&remember=false')), true)
})

t.test('remember: request.auth.login has it', async t => {
  const { browser, wait } = await server(t, { users: {} }, {}, app => {
    app.post<{ Body: { remember?: boolean } }>('/enter', async ({ auth, body }) => await auth.login('7', body))
  })
  const ada = browser()
  const enter = async (payload: object): Promise<Answer> => await ada.send({ method: 'POST', url: '/enter', payload })
  t.equal(outlives(await enter({})), true)
  t.equal(outlives(await enter({ remember: false })), false)
  wait('30s')
  t.equal(outlives(await ada.refresh()), false)
})

async function form (browser: Browser, payload: string): Promise<Answer> {
  return await browser.send({ method: 'POST', url: '/auth/login', payload, headers: { 'content-type': 'application/x-www-form-urlencoded' } })
}
