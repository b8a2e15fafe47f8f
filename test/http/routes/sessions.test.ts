import { mkdtemp, rm } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import t from 'tap'
import { statelessStore } from '../../../lib/index.js'
import { exactly } from '../../support/exactly.js'
import { newSession } from '../../support/session.js'
import { forget, loggedIn, PASSWORD, payloadOf, server, sessionOf, START, type Answer, type Browser, type LoggedIn } from '../../support/server.js'

const ENDED = { statusCode: 401, code: 'FST_AUTH_SESSION_ENDED' }
const UNKNOWN = { statusCode: 404, code: 'FST_AUTH_SESSION_UNKNOWN' }

t.test('a user lists their sessions, oldest first, with the current one marked', async t => {
  const { ada, phone } = await withPhone(t)
  const [first, second, ...others] = await listOf(ada)
  t.strictSame(first, {
    id: sessionOf(ada),
    createdAt: '2026-01-01T00:00:00.000Z',
    lastUsedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2026-01-31T00:00:00.000Z',
    userAgent: 'Mozilla/5.0 (test)',
    ip: '127.0.0.1',
    current: true
  })
  t.match(second, { id: sessionOf(phone), createdAt: '2026-01-01T01:00:00.000Z', userAgent: 'Phone', current: false })
  t.strictSame(others, [])
  t.match(await listOf(phone), exactly({ current: false }, { current: true }))
})

t.test('token theft: no list of sessions shows when the owner refreshed', async t => {
  const { ada, phone, wait } = await withPhone(t)
  wait('5m')
  const thief = ada.copy()
  await thief.refresh()
  await phone.refresh()
  const before = await listOf(thief)
  for (const owner of [ada, phone]) {
    for (let i = 0; i < 5; i++) {
      wait('5m')
      await owner.refresh()
      t.strictSame(await listOf(thief), before, 'a refresh of this session, or of another one, changes nothing within the hour')
    }
  }
})

t.test('token theft: an access token of an ended session cannot manage sessions or the password', async t => {
  const { ada, phone } = await withPhone(t)
  const thief = Object.assign(phone.copy(), { accessToken: phone.accessToken })
  t.match(await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'violet umbrella' } }), { statusCode: 200 })
  const REQUESTS: ReadonlyArray<readonly [method: 'GET' | 'DELETE' | 'POST', url: string, payload?: object]> = [
    ['GET', '/auth/sessions'], ['DELETE', '/auth/sessions'], ['DELETE', `/auth/sessions/${sessionOf(ada)}`],
    ['POST', '/auth/password', { currentPassword: 'violet umbrella', newPassword: 'orange umbrella' }],
    ['POST', '/auth/reauthenticate', { password: 'violet umbrella' }], ['POST', '/auth/reauthenticate', { password: 'wrong password' }]
  ]
  for (const [method, url, payload] of REQUESTS) t.match((await thief.send({ method, url, ...(payload && { payload }) })).json(), ENDED, `${method} ${url}`)
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('app.sessions accepts the id of a user in any type of the app', async t => {
  const { app, ada } = await loggedIn(t)
  t.equal((await app.sessions.list(1)).length, 1)
  t.equal(await app.sessions.revokeAll(1n), 1)
  t.match((await ada.refresh()).json(), ENDED)
  // @ts-expect-error: for those who write JavaScript
  await t.rejects(app.sessions.revokeAll(undefined), { name: 'TypeError', message: /id of a user/ })
})

t.test('an invalid cursor is refused', async t => {
  const { ada } = await withPhone(t)
  for (const after of ['999999999999999.z', '8640000000001.z', '1', 'x.y', '1.', '']) t.match(await ada.send({ url: `/auth/sessions?after=${after}` }), { statusCode: 400 }, after)
  t.match(await ada.send({ url: '/auth/sessions?after=999999999999.z' }), { statusCode: 200, body: '[]' })
})

t.test('lastUsedAt is the issue time of the access token for the current session, the hour of the last refresh for others', async t => {
  const { ada, phone, wait } = await withPhone(t)
  wait('59m')
  await ada.refresh()
  t.match(await listOf(ada), exactly({ lastUsedAt: '2026-01-01T01:59:00.000Z' }, { lastUsedAt: '2026-01-01T01:00:00.000Z' }))
  wait('59m')
  await phone.refresh()
  t.match(await listOf(phone), exactly({ lastUsedAt: '2026-01-01T01:00:00.000Z' }, { lastUsedAt: '2026-01-01T02:58:00.000Z' }))
  wait('29s')
  await ada.refresh()
  t.match(await listOf(ada), exactly({ lastUsedAt: '2026-01-01T02:58:29.000Z' }, { lastUsedAt: '2026-01-01T02:00:00.000Z' }))
})

t.test('lastUsedAt is never before the login', async t => {
  const { ada, browser, wait } = await loggedIn(t)
  wait('5m')
  await browser().login('ada')
  t.match(await listOf(ada), exactly({}, { createdAt: '2026-01-01T00:05:00.000Z', lastUsedAt: '2026-01-01T00:05:00.000Z' }))
})

t.test('a session over a Unix socket has no address', async t => {
  const { app, ada, wait } = await loggedIn(t)
  const folder = await mkdtemp(join(tmpdir(), 'socket-')) // the path of a socket is at most 107 bytes long
  t.teardown(() => rm(folder, { recursive: true }))
  const socketPath = join(folder, 's')
  await app.listen({ path: socketPath })
  wait('1s')
  const send = (options: RequestOptions, body?: object): Promise<unknown> => new Promise((resolve, reject) => {
    request({ socketPath, agent: false, ...options }, answer => resolve(json(answer))).on('error', reject).end(body && JSON.stringify(body))
  })
  const { access_token: token } = await send({ method: 'POST', path: '/auth/login', headers: { 'content-type': 'application/json' } }, { username: 'ada', password: PASSWORD }) as { access_token: string }
  const devices = await send({ path: '/auth/sessions', headers: { authorization: `Bearer ${token}` } })
  t.match(devices, exactly({ id: sessionOf(ada), ip: '127.0.0.1' }, { ip: null, current: true }))
})

t.test('broken access control: only the caller\'s own live sessions are listed', async t => {
  const { ada, phone, browser, wait } = await withPhone(t)
  await browser().signup('bob')
  t.equal((await listOf(ada)).length, 2)
  await phone.logout()
  t.match(await listOf(ada), exactly({ id: sessionOf(ada) }))

  await browser().login('ada')
  wait('6d')
  await ada.refresh()
  wait('1d')
  await ada.refresh()
  t.match(await listOf(ada), exactly({ id: sessionOf(ada) }), 'but not one that is idle-expired')
})

t.test('information leak: the list holds no secret and is not cached', async t => {
  const { ada } = await withPhone(t)
  const answer = await ada.get('/auth/sessions')
  t.match(answer.headers, { 'cache-control': 'no-store' })
  t.strictSame([...new Set(answer.json().flatMap(Object.keys))], ['id', 'createdAt', 'lastUsedAt', 'expiresAt', 'userAgent', 'ip', 'current'])
  for (const secret of [ada.cookie(), ada.accessToken]) t.notMatch(answer.body, String(secret).split('.')[2])
})

t.test('log injection: the user agent is truncated and sanitised', async t => {
  const { ada, browser } = await loggedIn(t)
  for (const agent of ['x'.repeat(10_000), 'a\tb\u0081c', '']) {
    await browser().send({ method: 'POST', url: '/auth/login', payload: { username: 'ada', password: PASSWORD }, headers: { 'user-agent': agent } })
  }
  const agents = (await listOf(ada)).map(({ userAgent }) => userAgent)
  for (const agent of ['x'.repeat(256), 'abc', '']) t.ok(agents.includes(agent), agent)
  t.equal(agents.length, 4)
})

t.test('a user ends one of their other sessions', async t => {
  const { ada, phone, events } = await withPhone(t)
  forget(events)
  t.match(await end(ada, sessionOf(phone)), { statusCode: 204, body: '' })
  t.match((await phone.refresh()).json(), ENDED)
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match(events[0], { type: 'revoked', subject: '1', sessionId: sessionOf(phone), reason: 'revoked' })
})

t.test('a user may end the current session', async t => {
  const { ada } = await loggedIn(t)
  t.match(await end(ada, sessionOf(ada)), { statusCode: 204 })
  t.match((await ada.refresh()).json(), ENDED)
})

t.test('broken access control: sessions of others, and ended ones, are unknown and stay unchanged', async t => {
  const { ada, phone, browser } = await withPhone(t)
  const bob = browser()
  await bob.signup('bob')
  const bobs = await end(ada, sessionOf(bob))
  t.match(bobs.json(), UNKNOWN)
  t.match(await bob.refresh(), { statusCode: 200 })

  const phones = sessionOf(phone)
  await phone.logout()
  for (const id of [phones, 'x', 'x'.repeat(100), '%00', '..%2F1', '%F0%9F%94%91', '%20', '']) {
    const answer = await end(ada, id)
    t.match(answer.json(), UNKNOWN, id)
    t.equal(answer.body, bobs.body, 'and the response contains nothing else')
  }
  await end(ada, sessionOf(ada))
  t.match((await end(ada, sessionOf(ada))).json(), ENDED, 'nor can the token of an ended session end any')
})

t.test('an impossible session id is unknown without a call to the store', async t => {
  const { app, ada, store } = await loggedIn(t)
  forget(store.calls)
  for (const id of ['x'.repeat(65), '%00', '..%2F1', '']) t.match((await end(ada, id)).json(), UNKNOWN)
  t.equal(await app.sessions.revoke('a\u0000'), false)
  t.strictSame(store.calls, Array(4).fill('get'), 'except the check of the current session')
})

t.test('a user ends all other sessions', async t => {
  const { ada, phone, browser } = await withPhone(t)
  const bob = browser()
  await bob.signup('bob')
  t.match(await ada.send({ method: 'DELETE', url: '/auth/sessions' }), { statusCode: 204, body: '' })
  t.match((await phone.refresh()).json(), ENDED)
  for (const browser of [ada, bob]) t.match(await browser.refresh(), { statusCode: 200 })
  t.match(await listOf(ada), exactly({ current: true }))
  t.match(await ada.send({ method: 'DELETE', url: '/auth/sessions' }), { statusCode: 204 }, 'of which there may be none')
})

t.test('anonymous requests cannot manage sessions', async t => {
  const { app, ada, wait, store } = await loggedIn(t)
  const requests = [['GET', '/auth/sessions'], ['DELETE', '/auth/sessions'], ['DELETE', `/auth/sessions/${sessionOf(ada)}`]] as const
  const cookie = String(ada.jar.header('/auth'))
  forget(store.calls)
  for (const [method, url] of requests) {
    const ask = async (headers: Record<string, string>) => (await app.inject({ method, url, headers })).json()
    t.match(await ask({ cookie }), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' }, 'the cookie does not authenticate here')
    t.match(await ask({ authorization: 'Bearer garbage' }), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  }
  wait('10m')
  for (const [method, url] of requests) t.match((await ada.send({ method, url })).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.strictSame(store.calls, [])
})

t.test('denial of service: a flood of sessions is listed in pages', async t => {
  const { app, ada, store } = await loggedIn(t, { sessions: { maxPerUser: false } }, {}, app => {
    app.get('/devices', { onRequest: app.authenticate }, async ({ auth }) => {
      const part = await auth.sessions({ limit: 2 })
      return [part, await auth.sessions({ limit: 2, after: part.at(-1) })]
    })
  })
  for (let nth = 0; nth < 249; nth++) await store.create(newSession({ subject: '1', createdAt: START + nth % 3 }))

  const [first, second, third] = [await ada.get('/auth/sessions'), await followed('?limit=100'), await followed('?limit=100', 2)]
  t.strictSame([first, second, third].map(answer => answer?.json().length), [100, 100, 50])
  t.equal(third?.headers.link, undefined, 'the last page has no Link')
  const listed: Listed[] = [first, second, third].flatMap(answer => answer?.json())
  t.equal(new Set(listed.map(({ id }) => id)).size, 250)
  t.match(listed.filter(({ current }) => current), exactly({ id: sessionOf(ada) }))
  t.strictSame((await ada.get('/auth/sessions?limit=250')).headers.link, undefined)
  t.strictSame((await ada.get('/auth/sessions?limit=250&other=1')).json(), listed, 'the same order for every page size')

  t.strictSame((await ada.get('/devices')).json(), [listed.slice(0, 2), listed.slice(2, 4)])
  const part = await app.sessions.list('1')
  t.equal(part.length, 100)
  t.strictSame((await app.sessions.list('1', { limit: 1, after: part[0] })).map(({ id }) => id), [listed[1]?.id])

  for (const query of ['limit=0', 'limit=1001', 'limit=', 'limit=x', 'limit=1.5', 'limit=1&limit=2', 'after=', 'after=x', `after=1.${'x'.repeat(65)}`, 'after=1.%00']) {
    t.match((await ada.get(`/auth/sessions?${query}`)).json(), { statusCode: 400, code: 'FST_ERR_VALIDATION' }, query)
  }

  /** Follows the Link header of a page, as any client does. */
  async function followed (query: string, times = 1): Promise<Answer> {
    const { headers: { link } } = await ada.get(`/auth/sessions${query}`)
    const [, next = ''] = /^<(.*)>; rel="next"$/.exec(String(link)) ?? []
    return times > 1 ? await followed(next, times - 1) : await ada.get(`/auth/sessions${next}`)
  }
})

t.test('request.auth has the same methods in routes of the app', async t => {
  const { ada, browser } = await loggedIn(t, {}, {}, app => {
    app.get('/devices', { onRequest: app.authenticate }, async ({ auth }) => await auth.sessions())
    app.post('/elsewhere', { onRequest: app.authenticate }, async ({ auth }) => ({ ended: await auth.revokeOtherSessions() }))
    app.post<{ Params: { id: string } }>('/end/:id', { onRequest: app.authenticate }, async ({ auth, params }) => {
      await auth.revokeSession(params.id)
      return {}
    })
    app.get('/nobody', async ({ auth }) => await auth.sessions())
  })
  const phone = browser()
  await phone.login('ada')
  t.strictSame((await ada.get('/devices')).json(), await listOf(ada))
  t.match(await ada.send({ method: 'POST', url: `/end/${sessionOf(phone)}` }), { statusCode: 200 })
  t.match((await ada.send({ method: 'POST', url: '/end/unknown' })).json(), UNKNOWN)
  await phone.login('ada')
  await browser().login('ada')
  t.same((await ada.send({ method: 'POST', url: '/elsewhere' })).json(), { ended: 2 })
  t.match((await ada.get('/nobody')).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' }, 'and only for authenticated requests')
})

t.test('app.sessions', async t => {
  t.test('lists the live sessions of any user', async t => {
    const { app, ada, phone } = await withPhone(t)
    t.match(await app.sessions.list('1'), exactly({ id: sessionOf(ada), subject: '1', generation: 0, createdAt: START }, { id: sessionOf(phone) }))
    t.strictSame(await app.sessions.list('2'), [])
  })

  t.test('ends one session', async t => {
    const { app, ada, phone, events } = await withPhone(t)
    forget(events)
    t.equal(await app.sessions.revoke(sessionOf(phone)), true)
    t.equal(await app.sessions.revoke(sessionOf(phone)), false)
    t.equal(await app.sessions.revoke('unknown'), false)
    t.match(events, exactly({ type: 'revoked', sessionId: sessionOf(phone) }))
    t.match((await phone.refresh()).json(), ENDED)
    t.match(await ada.refresh(), { statusCode: 200 })
  })

  t.test('ends all sessions of a user, as after a password reset', async t => {
    const { app, ada, phone, browser, events } = await withPhone(t)
    const bob = browser()
    await bob.signup('bob')
    forget(events)
    t.equal(await app.sessions.revokeAll('1'), 2)
    t.equal(await app.sessions.revokeAll('1'), 0)
    t.match(events, exactly({ type: 'revoked', subject: '1', sessionId: null }))
    for (const browser of [ada, phone]) t.match((await browser.refresh()).json(), ENDED)
    t.match(await bob.refresh(), { statusCode: 200 })
  })

  t.test('finds a session until it has ended', async t => {
    const { app, ada, wait } = await loggedIn(t)
    const id = sessionOf(ada)
    t.match(await app.sessions.get(id), { id, subject: '1' })
    for (const other of ['session-1', '', 'a\0b', String(payloadOf(await app.issueChallenge('1', { purpose: 'totp' }))['jti'])]) t.equal(await app.sessions.get(other), null, other)
    await ada.logout()
    t.equal(await app.sessions.get(id), null)
    await ada.login('ada')
    const next = sessionOf(ada)
    wait('8d')
    t.equal(await app.sessions.get(next), null, 'nor one that has expired')
  })

  t.test('deletes rows of expired sessions', async t => {
    const { app, ada, wait, store } = await loggedIn(t)
    const id = sessionOf(ada)
    wait('31d')
    t.equal(await app.sessions.purgeExpired(), 1)
    t.equal(await store.get(id), null)
    t.equal(await app.sessions.purgeExpired(), 0)
  })
})

t.test('the stateless store lists no sessions', async t => {
  const { app, ada } = await loggedIn(t, { store: statelessStore() })
  t.match(await ada.get('/auth/sessions'), { statusCode: 404 })
  t.match(await end(ada, sessionOf(ada)), { statusCode: 404 })
  await t.rejects(app.sessions.list('1'), TypeError)
})

t.test('an invalid page is refused, for administrators and in routes of the app', async t => {
  const { app, ada } = await loggedIn(t, {}, {}, app => {
    app.get('/mine', { onRequest: [app.authenticate] }, async ({ auth }) => await auth.sessions({ limit: NaN }))
    app.get('/nonsense', { onRequest: [app.authenticate] }, async ({ auth }) => await auth.sessions({ after: { id: 'x', createdAt: 'yesterday' } }))
  })
  for (const limit of [NaN, 0, -1]) await t.rejects(app.sessions.list('1', { limit }), TypeError)
  for (const url of ['/mine', '/nonsense']) t.match(await ada.get(url), { statusCode: 500 })
  t.equal((await app.sessions.list('1', { limit: 10_000 })).length, 1)
})

t.test('the sessions routes can be switched off or renamed', async t => {
  const { app, browser } = await server(t, { routes: { sessions: '/devices', logout: false } })
  const ada = browser()
  await ada.signup('ada')
  t.equal((await ada.get('/auth/devices')).json().length, 1)
  t.match(await ada.get('/auth/sessions'), { statusCode: 404 })
  t.match(await ada.logout(), { statusCode: 404 })
  t.equal(app.hasRoute({ method: 'POST', url: '/auth/logout' }), false)
})

/** Ada at her desk, and an hour later on her phone. */
async function withPhone (test: Parameters<typeof loggedIn>[0]): Promise<LoggedIn & { phone: Browser }> {
  const s = await loggedIn(test, { accessToken: { expiresIn: '2h' } })
  s.wait('1h')
  const phone = s.browser()
  const payload = { username: 'ada', password: PASSWORD }
  const answer = await phone.send({ method: 'POST', url: '/auth/login', payload, headers: { 'user-agent': 'Phone' } })
  phone.accessToken = answer.json().access_token
  return { ...s, phone }
}

interface Listed { id: string, current: boolean, userAgent: string }

async function listOf (browser: Browser): Promise<Listed[]> {
  return (await browser.get('/auth/sessions')).json()
}

async function end (browser: Browser, id: string): Promise<Answer> {
  return await browser.send({ method: 'DELETE', url: `/auth/sessions/${id}` })
}
