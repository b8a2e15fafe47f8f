import { once } from 'node:events'
import { type FastifyInstance } from 'fastify'
import { type SessionStore } from 'fastify-refresh-cookie'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { Redis } from 'ioredis'
import { type Database } from './database.js'
import { type Environment } from './environment.js'

/** Sessions in Redis where there is one, else beside the users in the database. */
export async function openSessionStore (app: FastifyInstance, { REDIS_URL }: Environment, database: Database): Promise<SessionStore> {
  if (REDIS_URL === undefined) return postgresStore(database)
  // Without an offline queue, or a command that was given up could run minutes later.
  const redis = new Redis(REDIS_URL, { enableOfflineQueue: false, maxRetriesPerRequest: 0, socketTimeout: 5000 })
  redis.on('error', error => app.log.error(error)) // ioredis connects again by itself
  app.addHook('onClose', async () => { await redis.quit() })
  await once(redis, 'ready')
  return redisStore(redis)
}
