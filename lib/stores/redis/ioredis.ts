import { once } from 'node:events'
import { whenAborted } from '../revocation-feed.js'
import { assertOption, DEFAULT_USER, evalScript, notConnected, randomNode, readMemoryInfo, REPLY_TIMEOUT_MS, unsupportedVersion, type RedisCommands } from './commands.js'

interface Connection extends NodeJS.EventEmitter {
  readonly status: string
  evalsha (sha: string, keys: number, ...keyAndValues: string[]): Promise<unknown>
  eval (script: string, keys: number, ...keyAndValues: string[]): Promise<unknown>
  connect (): Promise<unknown>
}

/** The parts of ioredis's `Redis` that the store uses. */
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

/** The parts of ioredis's `Cluster` that the store uses. */
export interface IoredisCluster extends Connection {
  readonly options: {
    readonly enableOfflineQueue?: unknown
    readonly keyPrefix?: string | undefined
    readonly clusterNodeRetryStrategy?: unknown
    readonly redisOptions?: { readonly maxRetriesPerRequest?: unknown } | undefined
  }
  nodes (role: 'master'): Ioredis[]
}

/** Throws a TypeError for a client of an unsupported version, and for one that could send commands late. */
export function ioredisCommands (client: Ioredis | IoredisCluster): RedisCommands {
  // A client of redis 3 has the same methods, with callbacks. ioredis 5 removed the option dropBufferSupport.
  if (typeof client.status !== 'string') throw unsupportedVersion('redis', '4.6 or later')
  if ('dropBufferSupport' in client.options) throw unsupportedVersion('ioredis', '5 or later')
  const isCluster = 'nodes' in client
  const nodes = (): Ioredis[] => isCluster ? client.nodes('master') : [client]
  if (isCluster) assertClusterNeverQueues(client)
  else assertNeverQueues(client)

  return {
    keyPrefix: client.options.keyPrefix ?? '',
    database: 'db' in client.options ? Number(client.options.db) : 0,
    user: async () => randomNode(nodes()).options.username ?? DEFAULT_USER,

    async run (script, key, ...values) {
      const keyAndValues = [key, ...values.map(String)]
      return await evalScript(script, sha => client.evalsha(sha, 1, ...keyAndValues), text => client.eval(text, 1, ...keyAndValues))
    },

    async untilReady () {
      if (client.status === 'end') throw notConnected()
      if (client.status === 'wait') await client.connect()
      else if (client.status !== 'ready') await once(client, 'ready')
    },

    async memoryInfo () {
      return await Promise.all(nodes().map(readMemoryInfo))
    },

    subscribe: (channel, onMessage) => async closing => {
      const subscriber = randomNode(nodes()).duplicate({ lazyConnect: true, retryStrategy: null, commandTimeout: REPLY_TIMEOUT_MS })
      whenAborted(closing.signal, () => subscriber.disconnect())
      subscriber.on('error', () => {}) // 'end' follows
      subscriber.once('end', () => closing.abort())
      subscriber.on('message', (_channel: string, message: string) => onMessage(message))
      await subscriber.connect()
      await subscriber.subscribe(channel)
      return () => subscriber.ping()
    }
  }
}

/** Otherwise commands without a reply are sent again after a reconnect. */
function assertNeverQueues ({ options }: Ioredis): void {
  const fix = '{ enableOfflineQueue: false, maxRetriesPerRequest: 0 }'
  assertOption(false, 'enableOfflineQueue', options.enableOfflineQueue, fix)
  assertOption(0, 'maxRetriesPerRequest', options.maxRetriesPerRequest, fix)
}

/** By default a cluster does not reconnect to a lost server, and so sends nothing again. */
function assertClusterNeverQueues ({ options }: IoredisCluster): void {
  const fix = '{ enableOfflineQueue: false, redisOptions: { maxRetriesPerRequest: 0 } }'
  assertOption(false, 'enableOfflineQueue', options.enableOfflineQueue, fix)
  if (typeof options.clusterNodeRetryStrategy !== 'function') return
  assertOption(0, 'redisOptions.maxRetriesPerRequest', options.redisOptions?.maxRetriesPerRequest, fix)
}
