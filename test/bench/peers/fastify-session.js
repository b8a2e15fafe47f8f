import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import { RedisStore } from 'connect-redis'
import Fastify from 'fastify'
import { createClient } from 'redis'
import { answer } from './answer.js'

const app = Fastify()
await app.register(fastifyCookie)
await app.register(fastifySession, {
  secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
  cookieName: 'session',
  cookie: { secure: false, maxAge: 3_600_000 },
  saveUninitialized: false,
  rolling: false,
  ...(process.argv[2] === 'redis' && { store: await redisStore() })
})
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

async function redisStore () {
  const client = createClient({ url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' })
  await client.connect()
  return new RedisStore({ client, prefix: `bench_${process.pid}:`, ttl: 3600, disableTouch: true })
}
