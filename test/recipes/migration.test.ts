import auth from '@fastify/auth'
import cookie, { sign } from '@fastify/cookie'
import jwt from '@fastify/jwt'
import t from 'tap'
import { type FastifyRequest } from 'fastify'
import refreshCookie from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, ORIGIN, PASSWORD, SECRET, sessionOf, testClock, userTable } from '../support/server.js'
import { recipe } from './recipe.js'

t.test('an old session is exchanged once, however many tabs ask', async t => {
  const users = userTable({ ada: {} })
  const clock = testClock()
  const old = new Map([['of ada', '1']])
  const s = await recipe(t, 'exchange', {
    clock,
    given: {
      async takeOldSession ({ headers }: FastifyRequest) {
        const id = String(headers['x-old-session'])
        const sub = old.get(id) ?? null
        old.delete(id)
        return sub
      }
    },
    before: async app => { await app.register(refreshCookie, { secret: SECRET, clock, users }) }
  })
  const ada = s.browser()
  const exchange = async (headers: Record<string, string> = {}) => await ada.send({ method: 'POST', url: '/auth/exchange', headers: { 'x-old-session': 'of ada', ...headers } })
  t.match(await exchange({ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), { statusCode: 403 })
  t.match(await exchange({ origin: ORIGIN, 'x-old-session': 'unknown' }), { statusCode: 401 })
  const answers = await Promise.all(Array.from({ length: 5 }, async () => await exchange()))
  t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [200, 401, 401, 401, 401])
  t.match(await ada.refresh(), { statusCode: 200 })
  t.strictSame((await s.app.sessions.list('1')).map(({ id }) => id), [sessionOf(ada)])
})

t.test('a session of express-session and connect-redis is exchanged once, with its current or its previous secret', async t => {
  const users = userTable({ ada: {} })
  const sessions = new Map([
    ['sess:of ada', '{"cookie":{},"passport":{"user":1}}'],
    ['sess:older', '{"cookie":{},"passport":{"user":"1"}}'],
    ['sess:of nobody', '{"cookie":{},"cart":[]}']
  ])
  const client = {
    async getDel (key: string) {
      const session = sessions.get(key) ?? null
      sessions.delete(key)
      return session
    }
  }
  const s = await recipe(t, ['old-express-session', 'exchange'], {
    given: { client, oldSecret: ['current', 'previous'] },
    before: async app => { await app.register(refreshCookie, { secret: SECRET, users }) }
  })
  const exchange = async (cookie?: string) => await s.app.inject({ method: 'POST', url: '/auth/exchange', headers: { ...cookie !== undefined && { cookie: `connect.sid=${encodeURIComponent(cookie)}` } } })
  t.match(await exchange(`s:${sign('of ada', 'current')}`), { statusCode: 200 })
  t.match(await exchange(`s:${sign('of ada', 'current')}`), { statusCode: 401 }, 'it was deleted')
  t.match(await exchange(`s:${sign('older', 'stolen')}`), { statusCode: 401 })
  t.match(await exchange(`s:${sign('older', 'previous')}`), { statusCode: 200 })
  t.match(await exchange(`s:${sign('of nobody', 'current')}`), { statusCode: 401 })
  for (const cookie of [undefined, '', 's:', 'older', 's:older']) t.match(await exchange(cookie), { statusCode: 401 })
})

t.test('a cookie of @fastify/jwt is exchanged and cleared', async t => {
  const users = userTable({ ada: {} })
  const s = await recipe(t, ['old-jwt', 'exchange'], {
    before: async app => {
      await app.register(cookie)
      await app.register(jwt, { secret: 'old secret', cookie: { cookieName: 'token', signed: false } })
      await app.register(refreshCookie, { secret: SECRET, users })
    }
  })
  const exchange = async (headers: Record<string, string>) => await s.app.inject({ method: 'POST', url: '/auth/exchange', headers })
  const token = s.app.jwt.sign({ id: 1 })
  const reply = await exchange({ cookie: `token=${token}` })
  t.match(reply, { statusCode: 200 })
  t.match(reply.cookies.find(({ name }) => name === 'token'), { value: '', path: '/' })
  t.equal(reply.cookies.length, 2)
  t.match(await exchange({ authorization: `Bearer ${token}` }), { statusCode: 401 }, 'the cookie only')
  t.match(await exchange({ cookie: `token=${token}x` }), { statusCode: 401, cookies: exactly() })
})

t.test('a Bearer token of @fastify/jwt is accepted beside those of the plugin, and exchanged', async t => {
  const users = userTable({ ada: {} })
  const clock = testClock()
  const s = await recipe(t, ['both-tokens', 'old-bearer'], {
    clock,
    modules: { '@fastify/auth': { ...auth, __esModule: true, default: auth } },
    before: async app => {
      await app.register(jwt, { secret: SECRET })
      await app.register(refreshCookie, { secret: SECRET, clock, users })
    }
  })
  const get = async (token: string) => await s.app.inject({ url: '/orders', headers: { authorization: `Bearer ${token}` } })
  const exchange = async (token: string) => await s.app.inject({ method: 'POST', url: '/auth/exchange', headers: { authorization: `Bearer ${token}` } })
  const old = s.app.jwt.sign({ id: 1 })
  t.strictSame((await get(old)).json(), { of: 1 })
  const exchanged = await exchange(old)
  t.match(exchanged, { statusCode: 200 })
  const { access_token: token } = exchanged.json<{ access_token: string }>()
  t.strictSame((await get(token)).json(), { of: 1 })
  t.match(await exchange(token), { statusCode: 401 }, 'a token of the plugin is no old one')
  t.match(await get(`${old}x`), { statusCode: 401, body: /FST_AUTH_ACCESS_TOKEN_INVALID/ })
  clock.wait('11m')
  t.match(await get(token), { statusCode: 401, body: /FST_AUTH_ACCESS_TOKEN_EXPIRED/ }, 'the browser client refreshes after this code')
})

t.test('a login at the root replies as the old one did, with the limits of the plugin', async t => {
  const users = userTable()
  const clock = testClock()
  const s = await recipe(t, 'root-login', {
    clock,
    before: async app => { await app.register(refreshCookie, { secret: SECRET, clock, users, passwords: FAST_HASHING, rateLimit: { perAccount: { max: 3, per: '15m' } }, routes: { login: false } }) }
  })
  await s.browser().signup('ada')
  const login = async (password: string, headers: Record<string, string> = {}) => await s.app.inject({ method: 'POST', url: '/login', payload: { username: 'ada', password }, headers })
  const reply = await login(PASSWORD)
  t.strictSame(Object.keys(reply.json()), ['token'])
  t.equal(reply.cookies.length, 1)
  t.match(await login(PASSWORD, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), { statusCode: 403 })
  for (let guess = 0; guess < 3; guess++) t.match(await login('wrong password'), { statusCode: 401 })
  t.match(await login('wrong password'), { statusCode: 429 })
})
