import t from 'tap'
import { type AuthError, memoryStore } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { FAST_HASHING, forget, loggedIn, PASSWORD, payloadOf, server, sessionOf, setCookies, START, type Answer, type Browser, type LoggedIn } from '../../support/server.js'

const FORM = 'application/x-www-form-urlencoded'
const WRONG = { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }
const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }

t.test('a login returns a token response and the cookie, and nothing else', async t => {
  const { ada } = await loggedIn(t)
  const answer = await ada.login('ada')
  t.equal(answer.statusCode, 200)
  t.strictSame(answer.json(), { access_token: ada.accessToken, token_type: 'Bearer', expires_in: 600 })
  t.equal(setCookies(answer).length, 1)
  t.match(answer.headers, { 'cache-control': 'no-store', pragma: 'no-cache', 'content-type': 'application/json; charset=utf-8' })
  t.same((await ada.get('/me')).json(), { id: '1' })
})

t.test('both tokens belong to the same session', async t => {
  const { ada } = await loggedIn(t)
  await ada.login('ada')
  const [access, refresh] = [payloadOf(ada.accessToken), payloadOf(ada.cookie())]
  t.match(access, { sub: '1', sid: refresh['sid'], iat: START, exp: START + 600, auth_time: START })
  t.strictSame(Object.keys(access).sort(), ['auth_time', 'exp', 'iat', 'jti', 'sid', 'sub'])
  t.match(refresh, { sub: '1', gen: 0, iat: START, auth_time: START })
})

/** Bodies that log Ada in. */
const FORMS: Array<[why: string, body: Record<string, string> | string, headers?: Record<string, string>]> = [
  ['the two fields', { username: 'ada', password: PASSWORD }],
  ['a grant type', { grant_type: 'password', username: 'ada', password: PASSWORD }],
  ['an empty grant type, which is none (RFC 6749 section 3.2)', { grant_type: '', username: 'ada', password: PASSWORD }],
  ['an empty scope, as Swagger UI sends it', { grant_type: 'password', username: 'ada', password: PASSWORD, scope: '' }],
  ['a client, as FastAPI clients send it', { username: 'ada', password: PASSWORD, scope: 'read write', client_id: 'app', client_secret: 'x' }],
  ['a Basic header', { username: 'ada', password: PASSWORD }, { authorization: `Basic ${Buffer.from('app:x').toString('base64')}` }],
  ['unknown fields, even twice', `username=ada&password=${encodeURIComponent(PASSWORD)}&state=1&state=2&__proto__=x`],
  ['spaces as plus signs', `username=ada&password=${PASSWORD.replaceAll(' ', '+')}`],
  ['a charset', { username: 'ada', password: PASSWORD }, { 'content-type': `${FORM}; charset=UTF-8` }]
]

for (const [why, body, headers] of FORMS) {
  t.test(`the OAuth 2.0 password form logs in: ${why}`, async t => {
    const { ada } = await loggedIn(t)
    const answer = await post(ada, body, headers)
    t.match(answer, { statusCode: 200 })
    t.match(answer.json(), { access_token: String, token_type: 'Bearer', expires_in: 600 })
    t.equal(setCookies(answer).length, 1)
  })
}

/** Forms that are refused, with the field that the message names. */
const BAD_FORMS: Array<[body: string, named: RegExp]> = [
  ['grant_type=refresh_token&username=ada&password=x', /grant_type/],
  ['grant_type=Password&username=ada&password=x', /grant_type/],
  ['grant_type=password&grant_type=password&username=ada&password=x', /twice/],
  ['username=ada&username=bob&password=x', /twice/],
  ['username=ada&password=x&password=y', /twice/],
  ['username=ada', /password/],
  ['username=ada&password=', /password/],
  ['password=x', /username/],
  ['username=&password=x', /username/],
  ['{"username":"ada","password":"x"}', /username/],
  ['&&==&', /username/]
]

for (const [body, named] of BAD_FORMS) {
  t.test(`the form ${body} is refused`, async t => {
    const { ada, users } = await loggedIn(t)
    const answer = await post(ada, body)
    t.match(answer.json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: named })
    t.strictSame(users.calls, [])
  })
}

/** JSON bodies that are refused, with the field that the message names. */
const BAD_BODIES: Array<[body: unknown, named: RegExp]> = [
  [{ username: 'ada', password: PASSWORD, role: 'admin' }, /^body has an unknown field$/],
  [{ username: 'ada', password: PASSWORD, grant_type: 'password' }, /^body has an unknown field$/],
  [{ username: 'ada', password: PASSWORD, 'evil <field>': 1 }, /^body has an unknown field$/],
  [{ username: ['ada'], password: PASSWORD }, /^body\/username /],
  [{ username: 1, password: PASSWORD }, /^body\/username /],
  [{ username: null, password: PASSWORD }, /^body\/username /],
  [{ username: true, password: PASSWORD }, /^body\/username /],
  [{ username: '', password: PASSWORD }, /^body\/username /],
  [{ username: 'a'.repeat(1025), password: PASSWORD }, /^body\/username /],
  [{ username: 'ada', password: [PASSWORD] }, /^body\/password /],
  [{ username: 'ada', password: 12345678 }, /^body\/password /],
  [{ username: 'ada', password: { toString: PASSWORD } }, /^body\/password /],
  [{ username: 'ada', password: null }, /^body\/password /],
  [{ username: 'ada', password: '' }, /^body\/password /],
  [{ username: 'ada' }, /password/],
  [{ password: PASSWORD }, /username/],
  [{}, /username/],
  [[], /^body /],
  [null, /^body /],
  ['text', /^body /],
  [7, /^body /]
]

t.test('a JSON body is strict: no unknown fields, no type coercion', async t => {
  const { ada, users } = await loggedIn(t)
  for (const [body, named] of BAD_BODIES) {
    const answer = await post(ada, JSON.stringify(body), { 'content-type': 'application/json' })
    t.match(answer.json(), { statusCode: 400, code: 'FST_ERR_VALIDATION', message: named }, JSON.stringify(body).slice(0, 60))
    t.notMatch(answer.body, PASSWORD)
    t.match(answer.headers, { 'cache-control': 'no-store', 'set-cookie': undefined })
  }
  t.strictSame(users.calls, [])
})

/** Invalid bodies. */
const NO_BODIES: Array<[type: string, body: string, status: number]> = [
  ['application/json', '{', 400],
  ['application/json', '{"username":"ada","username":"bob"', 400],
  ['application/json', '{"__proto__":{"password":"x"},"username":"ada"}', 400],
  ['application/json', '{"constructor":{"prototype":{"x":1}},"username":"ada","password":"x"}', 400],
  ['application/json', '', 400],
  [FORM, '', 400],
  ['text/plain', '', 400],
  ['text/plain', `{"username":"ada","password":"${PASSWORD}"}`, 415],
  ['text/plain;application/json', `{"username":"ada","password":"${PASSWORD}"}`, 415],
  ['application/json\ta', `{"username":"ada","password":"${PASSWORD}"}`, 415],
  ['application/jsonx', `{"username":"ada","password":"${PASSWORD}"}`, 415],
  ['application/ld+json', `{"username":"ada","password":"${PASSWORD}"}`, 415],
  ['multipart/form-data; boundary=x', '--x--', 415],
  ['garbage', 'garbage', 415],
  ['application/json', JSON.stringify({ username: 'ada', password: 'x'.repeat(17 * 1024) }), 413],
  [FORM, `username=ada&password=${'x'.repeat(17 * 1024)}`, 413]
]

t.test('other content types are refused before any lookup', async t => {
  const { ada, users, store } = await loggedIn(t)
  for (const [type, body, status] of NO_BODIES) {
    const answer = await post(ada, body, { 'content-type': type })
    t.equal(answer.statusCode, status, `${type} ${body.slice(0, 40)}`)
    t.notMatch(answer.body, PASSWORD)
    t.match(answer.headers, { 'cache-control': 'no-store', 'set-cookie': undefined })
  }
  t.strictSame([...users.calls, ...store.calls], [])
})

/** Logins that fail for different reasons. */
const FAILURES: Record<string, (s: LoggedIn) => { username: string, password: string } | Promise<{ username: string, password: string }>> = {
  'an unknown user': () => ({ username: 'nobody', password: PASSWORD }),
  'a wrong password': () => ({ username: 'ada', password: 'wrong password' }),
  'a password in other case': () => ({ username: 'ada', password: PASSWORD.toUpperCase() }),
  'a disabled user' ({ users }) {
    users.change('ada', { disabled: true })
    return { username: 'ada', password: PASSWORD }
  },
  'a user without a password' ({ users }) {
    users.change('ada', { passwordHash: null })
    return { username: 'ada', password: PASSWORD }
  },
  'a stored hash that is empty' ({ users }) {
    users.change('ada', { passwordHash: '' })
    return { username: 'ada', password: PASSWORD }
  },
  'a stored hash of bcrypt' ({ users }) {
    users.change('ada', { passwordHash: '$2b$12$abcdefghijklmnopqrstuv' })
    return { username: 'ada', password: PASSWORD }
  },
  'a stored hash that would cost 4 GiB' ({ users }) {
    users.change('ada', { passwordHash: '$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo' })
    return { username: 'ada', password: PASSWORD }
  },
  'an impossible username': () => ({ username: 'a\u0000da', password: PASSWORD }),
  'a username of blanks': () => ({ username: '   ', password: PASSWORD }),
  'a username that is too long': () => ({ username: 'a'.repeat(1024), password: PASSWORD }),
  'a password that is too long': () => ({ username: 'ada', password: 'p'.repeat(1025) }),
  'a password in ill-formed Unicode': () => ({ username: 'ada', password: '\ud800'.repeat(10) })
}

t.test('user enumeration: every failed login has the same response, byte for byte', async t => {
  const seen = new Map<string, string>()
  for (const [why, prepare] of Object.entries(FAILURES)) {
    const s = await loggedIn(t)
    const credentials = await prepare(s)
    for (const answer of [await s.browser().login('', credentials), await post(s.browser(), credentials)]) {
      t.match(answer.json(), WRONG, why)
      const { date: _, ...headers } = answer.headers
      seen.set(JSON.stringify([answer.statusCode, headers, answer.body]), why)
    }
    t.strictSame(s.store.calls, [])
    t.match(s.events, exactly({ type: 'login_failed' }, { type: 'login_failed' }))
  }
  t.equal(seen.size, 1, [...seen.values()].join(', '))
})

t.test('a failed login leaves the cookie and the session unchanged', async t => {
  const { ada } = await loggedIn(t)
  const before = ada.cookie()
  const answer = await ada.login('ada', { password: 'wrong password' })
  t.strictSame(setCookies(answer), [])
  t.equal(ada.cookie(), before)
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('Unicode: usernames and passwords are normalised, so every keyboard gives the same text', async t => {
  const { browser } = await server(t)
  await browser().signup('café@example.com', { password: 'zwölf Käfer' })
  for (const username of ['café@example.com', 'cafe\u0301@example.com', ' café@example.com\t', 'café＠example.com']) {
    t.match(await browser().login(username, { password: 'zwo\u0308lf Ka\u0308fer' }), { statusCode: 200 }, username)
  }
  t.match((await browser().login('CAFÉ@example.com', { password: 'zwölf Käfer' })).json(), WRONG, 'case matters')
  t.match((await browser().login('café@example.com', { password: ' zwölf Käfer' })).json(), WRONG, 'and spaces in a password matter too')
})

t.test('a hash that is weaker than the settings is replaced at the next login', async t => {
  const { browser, users } = await server(t, { passwords: { ...FAST_HASHING, timeCost: 1 } })
  await browser().signup('ada')
  const weak = users.byName.get('ada')?.passwordHash
  const stronger = await server(t, { users })
  t.match(await stronger.browser().login('ada'), { statusCode: 200 })
  t.not(users.byName.get('ada')?.passwordHash, weak)
  t.match(await stronger.browser().login('ada'), { statusCode: 200 })
})

t.test('a new login', async t => {
  t.test('in the same browser ends the old session', async t => {
    const { ada, wait } = await loggedIn(t)
    const before = ada.copy()
    wait('30s')
    await ada.refresh()
    const rotated = ada.copy()
    t.match(await ada.login('ada'), { statusCode: 200 })
    t.not(sessionOf(ada), sessionOf(before))
    t.match((await before.refresh()).json(), ENDED)
    t.match((await rotated.refresh()).json(), ENDED)
    t.match(await ada.refresh(), { statusCode: 200 })
  })

  t.test('in another browser ends no session', async t => {
    const { ada, browser } = await loggedIn(t)
    t.match(await browser().login('ada'), { statusCode: 200 })
    t.match(await ada.refresh(), { statusCode: 200 })
  })

  t.test('session fixation: over a planted cookie of another user leaves that session alive and unused', async t => {
    const { ada, browser } = await loggedIn(t)
    const mallory = browser()
    await mallory.signup('mallory')
    const planted = mallory.copy()
    t.match(await planted.login('ada'), { statusCode: 200 })
    t.equal(payloadOf(planted.cookie())['sub'], '1')
    t.not(sessionOf(planted), sessionOf(mallory))
    for (const browser of [mallory, ada, planted]) t.match(await browser.refresh(), { statusCode: 200 })
  })

  t.test('over two cookies of one user replaces the newest session', async t => {
    const { ada, browser } = await loggedIn(t)
    const other = browser()
    await other.login('ada')
    const cookie = `${String(ada.jar.header('/'))}; ${String(other.jar.header('/'))}`
    t.match(await post(browser(), { username: 'ada', password: PASSWORD }, { cookie }), { statusCode: 200 })
    t.match(await ada.refresh(), { statusCode: 200 })
    t.match((await other.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' })
  })

  t.test('over an invalid cookie succeeds', async t => {
    const { browser } = await loggedIn(t)
    const answer = await post(browser(), { username: 'ada', password: PASSWORD }, { cookie: '__Host-Http-refresh=garbage' })
    t.equal(answer.statusCode, 200)
  })

  t.test('that fails ends no session', async t => {
    const { ada } = await loggedIn(t)
    await ada.login('ada', { password: 'wrong password' })
    t.match(await ada.refresh(), { statusCode: 200 })
  })
})

t.test('race: the user changes during a login', async t => {
  const MEANWHILE: Readonly<Record<string, readonly [change: (s: LoggedIn) => Promise<unknown>, status: number]>> = {
    'a changed password, which ended every session: refused': [async ({ app, users }) => {
      users.change('ada', { passwordHash: await app.passwords.hash('another good password') })
      await app.sessions.revokeAll('1')
    }, 401],
    'a hash that another login has replaced: logged in': [async ({ app, users }) => {
      users.change('ada', { passwordHash: await app.passwords.hash(PASSWORD) })
    }, 200],
    'a disabled user: refused': [async ({ users }) => users.change('ada', { disabled: true }), 401],
    'a deleted user: refused': [async ({ users }) => users.byName.delete('ada'), 401],
    'a name that belongs to another user now: refused': [async ({ users }) => users.change('ada', { id: 2 }), 401],
    'a user table that fails: 503': [async ({ users }) => { users.byName.get = () => { throw new Error('away') } }, 503]
  }
  for (const [what, [change, status]] of Object.entries(MEANWHILE)) {
    t.test(what, async t => {
      const store = memoryStore()
      let meanwhile = async (): Promise<unknown> => undefined
      const create: typeof store.create = async session => {
        await meanwhile()
        await store.create(session)
      }
      const s = await loggedIn(t, { store: { ...store, create } })
      meanwhile = async () => await change(s)
      const answer = await s.browser().login('ada')
      t.equal(answer.statusCode, status)
      t.equal(setCookies(answer).length, status === 200 ? 1 : 0)
      if (status === 401) t.match(answer.json(), WRONG)
      const others = (await store.list('1')).filter(({ id }) => id !== sessionOf(s.ada))
      t.equal(others.length, status === 200 ? 1 : 0)
    })
  }
})

t.test("with usernameField 'email'", async t => {
  const options = { accounts: { usernameField: 'email' } }

  t.test('JSON bodies have that field', async t => {
    const { browser } = await server(t, options)
    const ada = browser()
    const send = async (url: string, payload: object) => await ada.send({ method: 'POST', url, payload })
    t.match(await send('/auth/signup', { email: 'ada@example.com', password: PASSWORD }), { statusCode: 201 })
    t.match(await send('/auth/login', { email: 'ada@example.com', password: PASSWORD, remember: false }), { statusCode: 200 })
    for (const url of ['/auth/signup', '/auth/login']) {
      t.match((await send(url, { username: 'ada@example.com', password: PASSWORD })).json(), { statusCode: 400, message: /email|username/ })
      t.match((await send(url, { email: 1, password: PASSWORD })).json(), { statusCode: 400, message: /^body\/email / })
    }
    t.match((await send('/auth/signup', { email: ' ', password: PASSWORD })).json(), { statusCode: 400, message: /^body\/email / })
  })

  t.test('a password form has the standard field username, or that field', async t => {
    const { browser } = await server(t, options)
    const ada = browser()
    await ada.send({ method: 'POST', url: '/auth/signup', payload: { email: 'ada@example.com', password: PASSWORD } })
    t.match(await post(ada, { grant_type: 'password', username: 'ada@example.com', password: PASSWORD }), { statusCode: 200 })
    t.match((await post(ada, { username: 'ada@example.com', password: 'wrong password' })).json(), WRONG)
    t.match(await post(ada, { email: 'ada@example.com', password: PASSWORD }), { statusCode: 200 }, 'as Swagger shows it')
    t.match(await post(ada, { username: 'ada@example.com', email: 'ada@example.com', password: PASSWORD }), { statusCode: 400 })
  })
})

t.test('request.auth.login in a route of the app', async t => {
  t.test('returns a token response and the cookie, with the claims of this login', async t => {
    const { browser, wait } = await server(t, { users: {} }, {}, app => {
      app.post('/sso', async ({ auth }) => ({ ...await auth.login(7, { claims: { role: 'admin', sub: 'root', exp: 1 } }), who: auth.claims?.sub }))
      app.get('/role', { onRequest: app.authenticate }, async ({ auth }) => ({ role: auth.claims?.['role'] ?? null }))
    })
    const ada = browser()
    const answer = await ada.send({ method: 'POST', url: '/sso' })
    t.match(answer.json(), { token_type: 'Bearer', expires_in: 600, who: '7' })
    t.match(answer.headers, { 'cache-control': 'no-store' })
    ada.accessToken = answer.json().access_token
    t.match(payloadOf(answer.json().access_token), { sub: '7', role: 'admin', exp: START + 600 })
    t.same((await ada.get('/role')).json(), { role: 'admin' })
    wait('30s')
    await ada.refresh()
    t.same((await ada.get('/role')).json(), { role: null }, 'which the next access token does not have')
  })

  t.test('loads the user, if users are configured', async t => {
    const { app, users } = await server(t, {}, {}, app => {
      app.post<{ Params: { id: string } }>('/sso/:id', async ({ auth, params }) => await auth.login(params.id))
    })
    await users.create({ username: 'ada', passwordHash: '' })
    const enter = async (id: string) => await app.inject({ method: 'POST', url: `/sso/${id}` })
    t.match(await enter('1'), { statusCode: 200 })
    const refused = [await enter('2')]
    users.change('ada', { disabled: true })
    refused.push(await enter('1'))
    for (const answer of refused) {
      t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
      t.match(answer.headers, { 'www-authenticate': /^Bearer /, 'set-cookie': undefined })
    }
  })

  t.test('race: refuses a user who is disabled, and logged out, while the session is written', async t => {
    const { app, users, store } = await server(t, {}, {}, app => {
      app.post('/sso', async ({ auth }) => await auth.login(1))
      app.post('/link', async ({ auth }) => await auth.login(await auth.acceptChallenge(await auth.issueChallenge(1, { purpose: 'link' }), { purpose: 'link' })))
    })
    const { create } = store
    store.create = async session => {
      if (session.subject === '1') {
        users.change('ada', { disabled: true })
        await app.sessions.revokeAll('1')
      }
      await create(session)
    }
    for (const url of ['/sso', '/link']) {
      users.byName.clear()
      await users.create({ username: 'ada', passwordHash: '' })
      t.match((await app.inject({ method: 'POST', url })).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
      t.strictSame(await app.sessions.list('1'), [])
    }
  })

  t.test('step-up: takes the time of an earlier authentication, as of a session of another system', async t => {
    const { browser, clock, wait } = await server(t, { users: {} }, {}, app => {
      app.post<{ Body: { authTime: number } }>('/exchange', async ({ auth, body }) => await auth.login(7, body))
      app.get('/transfer', { onRequest: app.requireFreshLogin('5m') }, async () => ({ done: true }))
    })
    const ada = browser()
    for (const [authTime, status] of [[0, 403], [clock() - 301, 403], [clock() - 60, 200], [clock() + 1000, 200]] as const) {
      ada.accessToken = (await ada.send({ method: 'POST', url: '/exchange', payload: { authTime } })).json().access_token
      t.equal((await ada.get('/transfer')).statusCode, status)
      wait('30s')
      await ada.refresh()
      t.equal(payloadOf(ada.accessToken)['auth_time'], Math.min(authTime, START + (clock() - START) - 30), 'a refresh keeps it, and it is never in the future')
    }
    for (const authTime of [-1, 1.5, '0', NaN]) t.match(await ada.send({ method: 'POST', url: '/exchange', payload: { authTime } }), { statusCode: 500 })
  })

  t.test('a later call of the same request goes by the new session', async t => {
    const { app, browser, store } = await server(t, {}, {}, app => {
      app.post('/enter', async ({ auth }) => {
        await auth.login(2)
        const { sub, sid } = await auth.identify()
        const refreshed = await auth.refresh()
        return { sub, sid, refreshed: payloadOf(refreshed.access_token) }
      })
      app.post('/leave', async ({ auth }) => {
        await auth.login(2)
        await auth.logout()
        return { refusal: await auth.identify().catch((error: AuthError) => error.code) }
      })
    })
    const ada = browser()
    await ada.signup('ada')
    await browser().signup('bob')
    const { sub, sid, refreshed } = (await ada.send({ method: 'POST', url: '/enter' })).json()
    t.match({ sub, refreshed }, { sub: '2', refreshed: { sub: '2', sid } })
    store.calls.length = 0
    t.match((await ada.send({ method: 'POST', url: '/leave' })).json(), { refusal: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
    t.equal((await app.sessions.list('2')).length, 1, 'that of bob himself')
    t.equal((await app.sessions.list('1')).length, 1, 'and the session of the cookie that was replaced is left alone')
  })

  t.test('overrides claims of accessToken.claims', async t => {
    const { app, users } = await server(t, { accessToken: { claims: user => ({ name: user.username, role: 'reader' }) } }, {}, app => {
      app.post('/sso', async ({ auth }) => await auth.login(1, { claims: { role: 'admin' } }))
    })
    await users.create({ username: 'ada', passwordHash: '' })
    const grant = (await app.inject({ method: 'POST', url: '/sso' })).json()
    t.match(payloadOf(grant.access_token), { name: 'ada', role: 'admin' })
  })

  t.test('refuses claims that make the token too long, before anything is written', async t => {
    const { app, browser, store } = await server(t, { accessToken: { claims: () => ({ a: 'x'.repeat(2000) }) } }, {}, app => {
      app.post<{ Body: { length: number } }>('/sso', async ({ auth, body }) => await auth.login(1, { claims: { b: 'x'.repeat(body.length) } }))
    })
    await browser().signup('ada')
    forget(store.calls)
    const enter = async (length: number) => await app.inject({ method: 'POST', url: '/sso', payload: { length } })
    t.match(await enter(2082), { statusCode: 500, headers: { 'set-cookie': undefined } })
    t.strictSame(store.calls, [])
    const { access_token: token } = (await enter(2081)).json()
    t.match(await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } }), { statusCode: 200 })
  })

  t.test('throws a TypeError for an impossible subject', async t => {
    const { app, store } = await server(t, { users: {} }, {}, app => {
      app.post<{ Body: { sub: string } }>('/sso', async ({ auth, body }) => await auth.login(body.sub))
    })
    for (const sub of ['', 'x'.repeat(256), 'a\u0000', null]) {
      t.match(await app.inject({ method: 'POST', url: '/sso', payload: { sub } }), { statusCode: 500, headers: { 'set-cookie': undefined } })
    }
    t.strictSame(store.calls, [])
  })
})

t.test('an app without users has its own logins, and all other routes', async t => {
  for (const users of [{}, undefined]) {
    const { app, browser, wait } = await server(t, { users }, {}, app => {
      app.post('/sso', async ({ auth }) => await auth.login('7'))
    })
    for (const url of ['/auth/login', '/auth/signup']) {
      t.match(await app.inject({ method: 'POST', url, payload: { username: 'ada', password: PASSWORD } }), { statusCode: 404 })
    }
    const ada = browser()
    ada.accessToken = (await ada.send({ method: 'POST', url: '/sso' })).json().access_token
    t.same((await ada.get('/me')).json(), { id: '7' })
    wait('30s')
    t.match(await ada.refresh(), { statusCode: 200 })
    t.equal((await ada.get('/auth/sessions')).json().length, 1)
    t.match(await ada.logout(), { statusCode: 204 })
    t.match((await ada.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  }
})

t.test('each route exists if users has the functions that it needs', async t => {
  const findByUsername = () => null
  const create = () => null
  const tables: Array<[users: object, login: number, signup: number]> = [[{ findByUsername }, 400, 404], [{ create }, 404, 400], [{ findByUsername, create }, 400, 400]]
  for (const [users, login, signup] of tables) {
    const { app } = await server(t, { users })
    t.match(await app.inject({ method: 'POST', url: '/auth/login', payload: {} }), { statusCode: login })
    t.match(await app.inject({ method: 'POST', url: '/auth/signup', payload: {} }), { statusCode: signup })
  }
})

/** A login with a form, unless the headers differ. */
async function post (browser: Browser, body: Record<string, string> | string, headers: Record<string, string> = {}): Promise<Answer> {
  const payload = typeof body === 'string' ? body : new URLSearchParams(body).toString()
  return await browser.send({ method: 'POST', url: '/auth/login', payload, headers: { 'content-type': FORM, ...headers } })
}
