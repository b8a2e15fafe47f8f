import { type SessionStore } from 'fastify-refresh-cookie'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { type Database } from './database.js'
import { EnvironmentError } from './environment-error.js'

/** Where sessions live, and how to let go of it. */
export interface OpenSessionStore {
  readonly store: SessionStore
  close (): Promise<void>
}

/** Sessions beside the users, in the database. */
export function sessionsInDatabase (database: Database): OpenSessionStore {
  return { store: postgresStore(database.connection), close: async () => {} }
}

/** Sessions in Redis. An EnvironmentError says why it cannot be reached. */
export async function sessionsInRedis (url: string): Promise<OpenSessionStore> {
  const { Redis } = await import('ioredis')
  // Without an offline queue: a command that was given up must not run minutes later. A connection that does not answer is lost.
  const redis = new Redis(url, { lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 0, socketTimeout: 5000 })
  // A lost connection is made anew; without a listener it would end the process.
  redis.on('error', () => {})
  await redis.connect().catch(cause => {
    redis.disconnect()
    throw new EnvironmentError(`REDIS_URL leads to no Redis server: ${cause.message}`, { cause })
  })
  return { store: redisStore(redis), close: async () => { await redis.quit() } }
}
