import Fastify from 'fastify'
import t from 'tap'
import refreshCookie from '../../lib/index.js'
import { SECRET } from '../support/server.js'
import { recipe } from './recipe.js'

t.test('another service verifies access tokens with the key derived from the shared secret', async t => {
  const issuer = Fastify()
  t.teardown(async () => { await issuer.close() })
  await issuer.register(async app => {
    await app.register(refreshCookie, { secret: SECRET, issuer: 'https://login.example', audience: 'https://orders.example', refreshToken: { transport: 'body' } })
    app.post('/enter', async ({ auth }) => await auth.login('ada'))
  })
  await issuer.register(async app => {
    await app.register(refreshCookie, { secret: SECRET, prefix: '/other/auth', issuer: 'https://login.example', audience: 'https://other.example', refreshToken: { transport: 'body' } })
    app.post('/enter-other', async ({ auth }) => await auth.login('ada'))
  })
  const { access_token: access, refresh_token: refresh } = (await issuer.inject({ method: 'POST', url: '/enter' })).json()
  const { access_token: other } = (await issuer.inject({ method: 'POST', url: '/enter-other' })).json()

  const { app } = await recipe(t, 'derived-key')
  const orders = async (token: string) => await app.inject({ url: '/orders', headers: { authorization: `Bearer ${token}` } })
  t.strictSame((await orders(access)).json(), { of: 'ada' })
  t.equal((await orders(refresh)).statusCode, 401, 'no refresh token')
  t.equal((await orders(`${access.slice(0, -4)}AAAA`)).statusCode, 401, 'no forged signature')
  t.equal((await orders(other)).statusCode, 401, 'no token for another service')
})
