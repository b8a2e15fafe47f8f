import t from 'tap'
import { loggedIn, PASSWORD, payloadOf, server, setCookies, type Answer, type Browser } from '../support/server.js'

/** True if the cookie of a reply outlives the browser; null without a cookie. */
function outlives (answer: Answer): boolean | null {
  const [line] = setCookies(answer)
  return line === undefined ? null : line.includes('Max-Age=')
}

t.test('remember: a login is remembered by default', async t => {
  const { ada } = await loggedIn(t)
  for (const remember of [undefined, true, false, undefined]) t.equal(outlives(await ada.login('ada', { remember })), remember !== false)
})

t.test('remember: a password change keeps the setting', async t => {
  for (const remember of [true, false]) {
    const { ada } = await loggedIn(t)
    await ada.login('ada', { remember })
    const payload = { currentPassword: PASSWORD, newPassword: 'a much better passphrase' }
    t.equal(outlives(await ada.send({ method: 'POST', url: '/auth/password', payload })), remember)
  }
})

t.test('remember: a password change takes the setting of no other session', async t => {
  const { ada, browser } = await loggedIn(t)
  const elsewhere = await browser().login('ada', { remember: false })
  ada.jar.store(setCookies(elsewhere)) // an attacker planted the cookie of another session (cookie tossing)
  const payload = { currentPassword: PASSWORD, newPassword: 'a much better passphrase' }
  t.equal(outlives(await ada.send({ method: 'POST', url: '/auth/password', payload })), true)
})

t.test('remember: the token of a remembered login has no extra claim', async t => {
  const { ada } = await loggedIn(t)
  t.notHas(payloadOf(ada.cookie()), 'remember')
})

t.test('remember: only true and false are accepted', async t => {
  const { ada } = await loggedIn(t)
  for (const remember of ['false', 'no', 0, 1, null, [], {}]) {
    const answer = await ada.login('ada', { remember })
    t.match(answer.json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: /remember/ })
  }
})

t.test('remember: a signup has it', async t => {
  const { browser } = await server(t)
  for (const [username, remember] of [['ada', undefined], ['bob', true], ['cyd', false]] as const) {
    t.equal(outlives(await browser().signup(username, { remember })), remember !== false)
  }
})

t.test('remember: a silent signup, which logs nobody in, and password forms do not have it', async t => {
  const silent = await server(t, { accounts: { signup: 'silent', onSignup () {} } })
  t.match((await silent.browser().signup('bob', { remember: false })).json(), { statusCode: 400, message: 'body has an unknown field' })
  const { ada } = await loggedIn(t)
  t.equal(outlives(await form(ada, 'username=ada&password=correct+horse+battery+staple&remember=false')), true)
})

t.test('remember: a login of the user whom the cookie identified keeps the setting', async t => {
  const { browser } = await server(t, { users: {} }, {}, app => {
    app.post<{ Body: { sub: string, identify?: boolean, remember?: boolean } }>('/enter', async ({ auth, body: { sub, identify, remember } }) => {
      if (identify) await auth.identify()
      return await auth.login(sub, { remember })
    })
  })
  const ada = browser()
  const enter = async (payload: object): Promise<Answer> => await ada.send({ method: 'POST', url: '/enter', payload })
  for (const [payload, remembered] of [
    [{ sub: '7', remember: false }, false],
    [{ sub: '7', identify: true }, false],
    [{ sub: '8', identify: true }, true],
    [{ sub: '8', remember: false }, false],
    [{ sub: '8' }, true],
    [{ sub: '8', identify: true }, true]
  ] as const) t.equal(outlives(await enter(payload)), remembered, JSON.stringify(payload))
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
