import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Readable, type Writable } from 'node:stream'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { createClient, createCluster, type RedisClientOptions } from 'redis'
import root, { type Test } from 'tap'
import { freePort } from './free-port.js'

/** Without an option that ioredis does not take as undefined. */
type IoredisOptions = Omit<RedisOptions, 'replyMapping'>

/** A Redis server: its address in the format of both packages. */
export interface RedisServer {
  readonly ioredis: IoredisOptions
  readonly nodeRedis: RedisClientOptions
}

/** A server of one test, which may break it. */
export interface OwnRedisServer extends RedisServer {
  /** Its socket. */
  readonly path: string
  /** Like `kill -9`: connections are lost, and everything that is not in its log, which is off by default. */
  stop (): Promise<void>
  start (): Promise<void>
  /** Copies the log; the returned function restores it for a stopped server. */
  snapshot (): Promise<() => Promise<void>>
}

type Keeper = ChildProcessByStdio<Writable, Readable, null>

let shared: Promise<RedisServer> | undefined

/**
 * A shared server: that of REDIS_URL, else one that is started for this test file. Without either `t` is skipped
 * with the reason, and the result is null. Each test uses its own key prefix.
 */
export async function redisServer (t: Test): Promise<RedisServer | null> {
  shared ??= process.env.REDIS_URL ? serverAt(process.env.REDIS_URL) : startServer(root)
  return await orSkip(t, shared, 'REDIS_URL, or the program redis-server')
}

/** A new, empty server for this test only, until `t` ends; null as with `redisServer`. */
export async function ownRedisServer (t: Test, ...settings: string[]): Promise<OwnRedisServer | null> {
  return await orSkip(t, startServer(t, ...settings), PROGRAM)
}

/** Three servers in cluster mode that share the slots. */
export interface RedisCluster {
  readonly ports: readonly number[]
  /** Ends one of the servers permanently. */
  stop (nth: number): Promise<void>
}

/** A cluster for this test, until `t` ends; null as with `redisServer`. */
export async function redisCluster (t: Test): Promise<RedisCluster | null> {
  const servers = await orSkip(t, Promise.all([startClusterNode(t), startClusterNode(t), startClusterNode(t)]), PROGRAM)
  if (servers === null) return null
  const ports = servers.map(({ port }) => port)
  const nodes = await Promise.all(ports.map(port => ioredisOn(t, { port })))
  await Promise.all(nodes.map(async (node, nth) => {
    await node.call('CLUSTER', ['ADDSLOTS', ...slotsOf(nth)])
    for (const port of ports) await node.call('CLUSTER', 'MEET', '127.0.0.1', String(port))
  }))
  for (const node of nodes) {
    let info = ''
    while (!info.includes('cluster_state:ok') || !info.includes(`cluster_slots_assigned:${SLOTS}`)) info = String(await node.cluster('INFO'))
  }
  return { ports, stop: async nth => await servers[nth]?.stop() }
}

const SLOTS = 16_384

/** A third of the slots. */
function slotsOf (nth: number): string[] {
  return Array.from({ length: SLOTS }, (_, slot) => String(slot)).filter((_, slot) => Math.floor(slot * 3 / SLOTS) === nth)
}

/** A client of ioredis, ready, until `t` ends. */
export async function ioredisOn (t: Test, options: IoredisOptions): Promise<Redis> {
  const client = new Redis({ enableOfflineQueue: false, maxRetriesPerRequest: 0, ...options })
  t.teardown(() => client.disconnect())
  await once(client, 'ready')
  client.on('error', () => {})
  return client
}

/** A connected client of the package redis, until `t` ends. */
export async function nodeRedisOn (t: Test, options: Omit<RedisClientOptions, 'RESP'> & { readonly RESP?: 2 | 3 }) {
  // The protocol changes the types of some replies, but of none that the store uses.
  const client = createClient({ disableOfflineQueue: true, ...options } as RedisClientOptions)
  client.on('error', () => {})
  t.teardown(() => client.destroy())
  await client.connect()
  return client
}

/** A cluster of ioredis, ready, until `t` ends. */
export async function ioredisClusterOn (t: Test, ports: readonly number[]): Promise<Cluster> {
  const cluster = new Cluster(ports.map(port => ({ host: '127.0.0.1', port })), { enableOfflineQueue: false })
  cluster.on('error', () => {})
  t.teardown(() => cluster.disconnect())
  await once(cluster, 'ready')
  return cluster
}

/** A connected cluster of the package redis, until `t` ends. */
export async function nodeRedisClusterOn (t: Test, ports: readonly number[]) {
  const cluster = createCluster({ rootNodes: ports.map(port => ({ socket: { host: '127.0.0.1', port } })), defaults: { disableOfflineQueue: true } })
  cluster.on('error', () => {})
  t.teardown(() => cluster.destroy())
  await cluster.connect()
  return cluster
}

/** A unique key prefix, also below the prefix of a client; its keys are deleted when `t` ends. */
export function newPrefix (t: Test, { ioredis }: RedisServer): string {
  const prefix = `test:${randomUUID()}:`
  t.teardown(async () => {
    const client = await ioredisOn(t, ioredis)
    for await (const keys of client.scanStream({ match: `*${prefix}*`, count: 1000 })) await client.del(prefix, ...keys)
    client.disconnect()
  })
  return prefix
}

const PROGRAM = 'the program redis-server'

async function orSkip<T> (t: Test, found: Promise<T>, needs: string): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    t.pass('needs Redis', { skip: `needs ${needs} (${String(error).split('\n', 1)[0]})` })
    return null
  }
}

async function serverAt (url: string): Promise<RedisServer> {
  const { hostname, port, username, password, pathname } = new URL(url)
  return {
    ioredis: { host: hostname, port: Number(port || 6379), username, password, db: Number(pathname.slice(1) || 0) },
    nodeRedis: { url }
  }
}

async function startServer (t: Test, ...settings: string[]): Promise<OwnRedisServer> {
  const home = await mkdtemp(HOMES)
  const path = join(home, 'socket')
  const log = join(home, 'appendonlydir')
  let keeper: Keeper | undefined
  const server: OwnRedisServer = {
    path,
    ioredis: { path },
    nodeRedis: { socket: { path, tls: false } },
    async start () {
      keeper = await launch(home, '--port', '0', '--unixsocket', path, ...settings)
    },
    async stop () {
      if (keeper !== undefined) await end(keeper, 'keep its folder\n')
      keeper = undefined
    },
    async snapshot () {
      await cp(log, join(home, 'snapshot'), { recursive: true })
      return async () => {
        await rm(log, { recursive: true })
        await cp(join(home, 'snapshot'), log, { recursive: true })
      }
    }
  }
  t.teardown(async () => {
    await server.stop()
    await rm(home, { recursive: true, force: true })
  })
  await server.start()
  return server
}

async function startClusterNode (t: Test): Promise<{ port: number, stop: () => Promise<void> }> {
  const port = await freePort(55_536) // its second port is 10,000 higher
  const keeper = await launch(await mkdtemp(HOMES), '--port', String(port), '--bind', '127.0.0.1', '--cluster-enabled', 'yes')
  const stop = () => end(keeper)
  t.teardown(stop)
  return { port, stop }
}

const HOMES = join(tmpdir(), 'redis-')

// If this process dies, the standard input of the keeper closes: it stops the server and removes the folder,
// unless it has received a line. Only the server has the output, so its end is noticed.
const KEEPER = 'trap "" HUP INT TERM; "$@" & exec >&-; read -r _ && kept=1; kill -KILL $!; wait; [ "$kept" ] || rm -rf "$SERVER_HOME"'

async function launch (home: string, ...settings: string[]): Promise<Keeper> {
  await mkdir(home, { recursive: true })
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', 'redis-server', '--dir', home, '--save', '', '--appendonly', 'no', ...settings], {
    env: { ...process.env, SERVER_HOME: home },
    stdio: ['pipe', 'pipe', 'ignore']
  })
  try {
    await untilReady(keeper.stdout)
  } catch (error) {
    await end(keeper)
    throw error
  }
  keeper.stdout.resume()
  keeper.unref()
  return keeper
}

async function untilReady (log: Readable): Promise<void> {
  let lines = ''
  for await (const chunk of log.iterator({ destroyOnReturn: false })) {
    lines += String(chunk)
    if (/ready to accept connections/i.test(lines)) return
  }
  throw new Error(/# .*/.exec(lines)?.[0] ?? 'redis-server did not start')
}

async function end (keeper: Keeper, lastWords = ''): Promise<void> {
  keeper.ref()
  keeper.stdin.end(lastWords)
  if (keeper.exitCode === null && keeper.signalCode === null) await once(keeper, 'exit')
}
