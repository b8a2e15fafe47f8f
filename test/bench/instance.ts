/**
 * One of several processes that serve one app. `startInstance` starts it on the store that its arguments name.
 * It sends its address when it listens, and its memory on request.
 */
import Fastify from 'fastify'
import refreshCookie, { type SessionStore, type User, type Users } from 'fastify-refresh-cookie'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { newPool, newRedis } from './connections.js'
import { PASSWORD } from './start-instance.js'

const [engine = '', name = '', settings = '{}'] = process.argv.slice(2)
const app = Fastify({ logger: { level: 'error' } })

await app.register(refreshCookie, { secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', store: await openStore(), rateLimit: false, users: everybody(), ...JSON.parse(settings) })
const passwordHash = await app.passwords.hash(PASSWORD)
app.get('/me', { onRequest: app.authenticate }, async request => ({ id: request.auth.claims.sub }))
app.post<{ Params: { id: string } }>('/enter/:id', async request => await request.auth.login(request.params.id))
app.post('/purge', async () => ({ purged: await app.sessions.purgeExpired() }))

const url = await app.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ url })
process.on('message', () => {
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  process.send?.({ rss, heapUsed })
})
process.once('SIGTERM', async () => {
  // Else close would wait for connections that stay open after their last reply.
  setInterval(() => app.server.closeIdleConnections(), 100).unref()
  await app.close()
  process.disconnect()
})

async function openStore (): Promise<SessionStore> {
  if (engine === 'redis') {
    const client = await newRedis()
    app.addHook('onClose', async () => { await client.quit() })
    return redisStore(client, { prefix: `${name}:` })
  }
  const pool = newPool()
  app.addHook('onClose', async () => { await pool.end() })
  return postgresStore(pool, { table: name })
}

/** A table in which every name is a user. All have the same password, and a password change has no effect. */
function everybody (): Users {
  const user = (id: string): User => ({ id, username: id, passwordHash })
  return { findById: user, findByUsername: user, updatePasswordHash: async () => true }
}
