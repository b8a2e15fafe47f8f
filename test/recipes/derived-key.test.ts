import Fastify from 'fastify'
import t from 'tap'
import refreshCookie from '../../lib/index.js'
import { SECRET } from '../support/server.js'
import { recipe } from './recipe.js'

t.test('another service verifies access tokens with the key derived from the shared secret', async t => {
  const issuer = Fastify()
  t.teardown(async () => { await issuer.close() })
  await issuer.register(refreshCookie, { secret: SECRET, refreshToken: { transport: 'body' } })
  issuer.post('/enter', async ({ auth }) => await auth.login('ada'))
  const { access_token: access, refresh_token: refresh } = (await issuer.inject({ method: 'POST', url: '/enter' })).json()

  const { app } = await recipe(t, 'derived-key')
  const orders = async (token: string) => await app.inject({ url: '/orders', headers: { authorization: `Bearer ${token}` } })
  t.strictSame((await orders(access)).json(), { of: 'ada' })
  t.equal((await orders(refresh)).statusCode, 500, 'no refresh token')
  t.equal((await orders(`${access.slice(0, -4)}AAAA`)).statusCode, 500, 'no forged signature')
})
