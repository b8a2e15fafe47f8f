import { whenAborted } from '../revocation-feed.js'
import { assertOption, DEFAULT_USER, evalScript, notConnected, randomNode, readMemoryInfo, REPLY_TIMEOUT_MS, unsupportedVersion, type RedisCommands } from './commands.js'

interface Connection {
  readonly isReady: boolean
  evalSha (sha: string, options: { keys: string[], arguments: string[] }): Promise<unknown>
  eval (script: string, options: { keys: string[], arguments: string[] }): Promise<unknown>
}

/** The parts of node-redis's client that the store uses. */
export interface NodeRedis extends Connection {
  readonly options: { readonly disableOfflineQueue?: unknown, readonly socket?: object | undefined, readonly database?: number | undefined, readonly username?: string | undefined }
  info (section: string): Promise<unknown>
  duplicate (options: object): NodeJS.EventEmitter & {
    connect (): Promise<unknown>
    subscribe (channel: string, listener: (message: string) => void): Promise<unknown>
    ping (): Promise<unknown>
    /** Since redis 5; `disconnect` before. */
    destroy? (): void
    disconnect? (): Promise<unknown>
  }
}

/** The parts of node-redis's cluster that the store uses. */
export interface NodeRedisCluster extends Connection {
  readonly masters: readonly unknown[]
  nodeClient (node: never): Promise<NodeRedis>
}

/** Throws a TypeError for a pool, a client of an unsupported version, and one that could send commands late. */
export function nodeRedisCommands (client: NodeRedis | NodeRedisCluster): RedisCommands {
  if ('totalClients' in client) throw new TypeError('redisStore: its client is a pool: one client of createClient is enough, since it sends the commands of all requests over one connection')
  if (typeof client.isReady !== 'boolean') throw unsupportedVersion('redis', '4.6 or later, for a cluster 5 or later')
  if ('options' in client) assertNeverQueues(client)

  return {
    keyPrefix: '',
    database: 'options' in client ? client.options.database ?? 0 : 0,
    user: async () => randomNode(await nodes()).options.username ?? DEFAULT_USER,

    async run (script, key, ...values) {
      const options = { keys: [key], arguments: values.map(String) }
      return await evalScript(script, sha => client.evalSha(sha, options), text => client.eval(text, options))
    },

    async untilReady () {
      if (!client.isReady) throw notConnected()
      const known = await nodes()
      known.forEach(assertNeverQueues)
    },

    async memoryInfo () {
      const known = await nodes()
      return await Promise.all(known.map(readMemoryInfo))
    },

    subscribe: (channel, onMessage) => async closing => {
      const node = randomNode(await nodes())
      const subscriber = node.duplicate({
        commandOptions: { timeout: REPLY_TIMEOUT_MS },
        // Ends an attempt to connect without a reply. A live subscription is probed more often than this.
        socket: { ...node.options.socket, reconnectStrategy: neverReconnect, socketTimeout: 4 * REPLY_TIMEOUT_MS }
      })
      whenAborted(closing.signal, () => {
        if (subscriber.destroy !== undefined) subscriber.destroy()
        else subscriber.disconnect?.().catch(() => {})
      })
      subscriber.on('error', () => closing.abort())
      await subscriber.connect()
      await subscriber.subscribe(channel, onMessage)
      return () => subscriber.ping()
    }
  }

  async function nodes (): Promise<NodeRedis[]> {
    if (!('masters' in client)) return [client]
    return await Promise.all(client.masters.map(node => client.nodeClient(node as never))) // one of its own nodes
  }
}

/** Stops the client from reconnecting by itself; only newer versions accept `false` for that. */
const neverReconnect = (): Error => new Error('the connection has ended')

/** Such a client rejects commands whose connection is lost before the reply. */
function assertNeverQueues ({ options }: NodeRedis): void {
  assertOption(true, 'disableOfflineQueue', options.disableOfflineQueue, '{ disableOfflineQueue: true }, which a cluster takes in its defaults')
}
