import { once } from 'node:events'
import { whenAborted } from '../reconnecting-subscription.js'
import { ANSWER_WITHIN_MS, anyOf, byHashOrText, DEFAULT_USER, memoryInfoOf, notConnected, refuseUnless, unsupported, type RedisCommands } from './commands.js'

interface Connection extends NodeJS.EventEmitter {
  readonly status: string
  evalsha (sha: string, keys: number, ...keyAndValues: string[]): Promise<unknown>
  eval (script: string, keys: number, ...keyAndValues: string[]): Promise<unknown>
  connect (): Promise<unknown>
}

/** What the store needs of a `Redis` of the package ioredis. */
export interface Ioredis extends Connection {
  readonly options: {
    readonly enableOfflineQueue?: unknown
    readonly maxRetriesPerRequest?: unknown
    readonly keyPrefix?: string | undefined
    readonly db?: number | undefined
    readonly username?: string | null | undefined
  }
  info (section: string): Promise<unknown>
  duplicate (options: object): NodeJS.EventEmitter & {
    connect (): Promise<unknown>
    subscribe (channel: string): Promise<unknown>
    ping (): Promise<unknown>
    disconnect (): void
  }
}

/** What the store needs of a `Cluster` of the package ioredis. */
export interface IoredisCluster extends Connection {
  readonly options: {
    readonly enableOfflineQueue?: unknown
    readonly keyPrefix?: string | undefined
    readonly clusterNodeRetryStrategy?: unknown
    readonly redisOptions?: { readonly maxRetriesPerRequest?: unknown } | undefined
  }
  nodes (role: 'master'): Ioredis[]
}

/** The store's commands on a client of ioredis. A TypeError for one that runs commands late. */
export function ioredisCommands (client: Ioredis | IoredisCluster): RedisCommands {
  // A client of redis 3 has the same methods and takes callbacks; the option left with ioredis 5.
  if (typeof client.status !== 'string') throw unsupported('redis', '4.6 or later')
  if ('dropBufferSupport' in client.options) throw unsupported('ioredis', '5 or later')
  const isCluster = 'nodes' in client
  const nodes = (): Ioredis[] => isCluster ? client.nodes('master') : [client]
  if (isCluster) refuseLateCluster(client)
  else refuseLate(client)

  return {
    keyPrefix: client.options.keyPrefix ?? '',
    database: 'db' in client.options ? Number(client.options.db) : 0,
    user: async () => anyOf(nodes()).options.username ?? DEFAULT_USER,

    async run (script, key, ...values) {
      const keyAndValues = [key, ...values.map(String)]
      return await byHashOrText(script, sha => client.evalsha(sha, 1, ...keyAndValues), text => client.eval(text, 1, ...keyAndValues))
    },

    async untilReady () {
      if (client.status === 'end') throw notConnected()
      if (client.status === 'wait') await client.connect()
      else if (client.status !== 'ready') await once(client, 'ready')
    },

    async memoryInfo () {
      return await Promise.all(nodes().map(memoryInfoOf))
    },

    listen: (channel, onMessage) => async over => {
      const subscriber = anyOf(nodes()).duplicate({ lazyConnect: true, retryStrategy: null, commandTimeout: ANSWER_WITHIN_MS })
      whenAborted(over.signal, () => subscriber.disconnect())
      subscriber.on('error', () => {}) // it ends after that
      subscriber.once('end', () => over.abort())
      subscriber.on('message', (_channel: string, message: string) => onMessage(message))
      await subscriber.connect()
      await subscriber.subscribe(channel)
      return () => subscriber.ping()
    }
  }
}

/** What was sent and not answered when a connection was lost would be sent again with the next one. */
function refuseLate ({ options }: Ioredis): void {
  const wayOut = '{ enableOfflineQueue: false, maxRetriesPerRequest: 0 }'
  refuseUnless(false, 'enableOfflineQueue', options.enableOfflineQueue, wayOut)
  refuseUnless(0, 'maxRetriesPerRequest', options.maxRetriesPerRequest, wayOut)
}

/** By default a cluster makes no second connection to a server that it lost, and so sends nothing again there. */
function refuseLateCluster ({ options }: IoredisCluster): void {
  const wayOut = '{ enableOfflineQueue: false, redisOptions: { maxRetriesPerRequest: 0 } }'
  refuseUnless(false, 'enableOfflineQueue', options.enableOfflineQueue, wayOut)
  if (typeof options.clusterNodeRetryStrategy !== 'function') return
  refuseUnless(0, 'redisOptions.maxRetriesPerRequest', options.redisOptions?.maxRetriesPerRequest, wayOut)
}
