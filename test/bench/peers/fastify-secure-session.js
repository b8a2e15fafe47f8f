import { randomBytes } from 'node:crypto'
import fastifySecureSession from '@fastify/secure-session'
import Fastify from 'fastify'
import { answer } from './answer.js'

const app = Fastify()
await app.register(fastifySecureSession, { key: randomBytes(32), cookieName: 'session', expiry: 3600, cookie: { path: '/', httpOnly: true, secure: true, sameSite: 'strict' } })
app.post('/enter', async request => {
  request.session.set('sub', 'p1')
  return {}
})
app.get('/me', {
  async onRequest (request) {
    if (request.session.get('sub') === undefined) throw new Error('nobody is logged in')
  }
}, async request => ({ id: request.session.get('sub') }))

await answer(() => app.listen({ port: 0, host: '127.0.0.1' }))
