import { ioredisCommands, type Ioredis, type IoredisCluster } from './ioredis.js'
import { nodeRedisCommands, type NodeRedis, type NodeRedisCluster } from './node-redis.js'
import { type RedisCommands } from './redis-commands.js'

/** What redisStore takes: a `Redis` or `Cluster` of the package ioredis, a client or cluster of the package redis. */
export type RedisClient = Ioredis | IoredisCluster | NodeRedis | NodeRedisCluster

/** The store's commands on a client. A TypeError for what is none, and for one that runs commands late. */
export function commandsOf (client: RedisClient): RedisCommands {
  if (has(client, 'evalsha')) return ioredisCommands(client as Ioredis | IoredisCluster)
  if (has(client, 'evalSha')) return nodeRedisCommands(client as NodeRedis | NodeRedisCluster)
  throw new TypeError('redisStore: its first argument is no client: pass one of the package ioredis or of the package redis')
}

function has (client: unknown, method: string): boolean {
  return typeof Object(client)[method] === 'function'
}
