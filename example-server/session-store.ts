import { once } from 'node:events'
import { type FastifyInstance } from 'fastify'
import { type SessionStore } from 'fastify-refresh-cookie'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { Redis } from 'ioredis'
import { type Database } from './database.js'
import { type Environment } from './environment.js'

/** Keeps sessions in Redis if REDIS_URL is set, else in the database of the users. */
export async function openSessionStore (app: FastifyInstance, { REDIS_URL }: Environment, database: Database): Promise<SessionStore> {
  if (REDIS_URL === undefined) return postgresStore(database)
  // Without an offline queue: with one, a command could run minutes after its caller gave up.
  const redis = new Redis(REDIS_URL, { enableOfflineQueue: false, maxRetriesPerRequest: 0, socketTimeout: 5000 })
  redis.on('error', error => app.log.error(error)) // ioredis connects again by itself
  app.addHook('onClose', async () => { await redis.quit() })
  await once(redis, 'ready')
  return redisStore(redis)
}
