// A whole life of a login over HTTP, with the packed package: for every runtime, so only fetch and node:assert.

import assert from 'node:assert/strict'

const HOUR = 3600

/** Throws at the first step that answers otherwise. `openStore` receives the clock of the app. */
export async function serveLogins ({ Fastify, plugin, openStore }) {
  let ahead = 0
  const clock = () => Math.floor(Date.now() / 1000) + ahead
  const people = new Map()
  const app = Fastify()
  await app.register(plugin.refreshCookie, {
    secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
    clock,
    store: await openStore(clock),
    passwords: { memoryCost: 1024, [plugin.allowWeakHashing]: true },
    users: {
      findByUsername: async username => people.get(username) ?? null,
      findById: async id => people.get(id) ?? null,
      create: async user => people.set(user.username, { id: user.username, ...user }).get(user.username)
    }
  })
  app.get('/me', { onRequest: plugin.authenticate }, async request => ({ id: request.auth.claims.sub }))
  app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({}))
  app.get('/page', { onRequest: app.authenticateByCookie }, async request => ({ id: request.auth.identity.sub }))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  try {
    await live(url, seconds => { ahead += seconds })
  } finally {
    await app.close()
  }
}

async function live (url, wait) {
  const send = async (method, path, { cookie, token, origin = url, body } = {}) => {
    const headers = { origin, ...(cookie && { cookie }), ...(token && { authorization: `Bearer ${token}` }), ...(body && { 'content-type': 'application/json' }) }
    const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    const text = await response.text()
    const { access_token: accessToken, code, id } = text === '' ? {} : JSON.parse(text)
    return { status: response.status, code, id, token: accessToken, cookie: response.headers.getSetCookie().at(-1)?.split(';', 1)[0] }
  }
  const answers = async (expected, ...request) => {
    const { status, code, id } = await send(...request)
    assert.equal([status, code ?? id ?? ''].join(' ').trim(), expected, request.slice(0, 2).join(' '))
  }
  const body = { username: 'ada', password: 'correct horse battery staple' }

  await answers('201', 'POST', '/auth/signup', { body })
  await answers('401 FST_AUTH_CREDENTIALS_INVALID', 'POST', '/auth/login', { body: { ...body, password: 'a wild guess' } })
  const login = await send('POST', '/auth/login', { body })
  assert.equal(login.status, 200)
  // The parser of Fastify before 5.5 quotes the body.
  const malformed = await fetch(`${url}/auth/login`, { method: 'POST', headers: { origin: url, 'content-type': 'application/json' }, body: '{"password":hunter2' })
  assert.equal(malformed.status, 400)
  assert.doesNotMatch(await malformed.text(), /hunt/i)

  await answers('401 FST_AUTH_ACCESS_TOKEN_MISSING', 'GET', '/me')
  await answers('200 ada', 'GET', '/me', { token: login.token })
  await answers('200', 'GET', '/strict', { token: login.token })
  await answers('200 ada', 'GET', '/page', { cookie: login.cookie })

  wait(HOUR)
  await answers('401 FST_AUTH_ACCESS_TOKEN_EXPIRED', 'GET', '/me', { token: login.token })
  const refresh = await send('POST', '/auth/refresh', { cookie: login.cookie })
  assert.equal(refresh.status, 200)
  assert.notEqual(refresh.cookie, login.cookie)
  await answers('200 ada', 'GET', '/me', { token: refresh.token })
  await answers('403 FST_AUTH_CROSS_SITE', 'POST', '/auth/refresh', { cookie: refresh.cookie, origin: 'https://another-site.invalid' })
  await answers('200', 'POST', '/auth/refresh', { cookie: refresh.cookie })

  wait(HOUR)
  const next = await send('POST', '/auth/refresh', { cookie: refresh.cookie })
  await answers('401 FST_AUTH_REFRESH_TOKEN_REUSED', 'POST', '/auth/refresh', { cookie: login.cookie })
  const owner = await send('POST', '/auth/refresh', { cookie: next.cookie })
  assert.equal(owner.status, 401)

  const again = await send('POST', '/auth/login', { body })
  await answers('204', 'POST', '/auth/logout', { cookie: again.cookie })
  await answers('401 FST_AUTH_SESSION_ENDED', 'GET', '/strict', { token: again.token })
  await answers('401 FST_AUTH_SESSION_ENDED', 'POST', '/auth/refresh', { cookie: again.cookie })
}
