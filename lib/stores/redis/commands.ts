import { randomInt } from 'node:crypto'
import { type Connect } from '../reconnecting-subscription.js'
import { type RedisScript } from './scripts.js'

/** The commands that the store needs, the same for both client packages. */
export interface RedisCommands {
  /** Runs a script on one key, in one round trip once the server has cached it. */
  readonly run: (script: RedisScript, key: string, ...values: ReadonlyArray<string | number>) => Promise<unknown>
  /** Resolves once commands can be sent. Rejects with a TypeError if the client could send them late. */
  readonly untilReady: () => Promise<void>
  /** The reply of each server that holds sessions to INFO memory. */
  readonly memoryInfo: () => Promise<string[]>
  /** Subscribes to a channel, over a connection of its own. */
  readonly subscribe: (channel: string, onMessage: (message: string) => void) => Connect
  /** The prefix that the client itself adds to keys, but not to channels. */
  readonly keyPrefix: string
  /** The number of the client's database. */
  readonly database: number
  /** The name of the client's user on the server. */
  readonly user: () => Promise<string>
}

export const DEFAULT_USER = 'default'

/** Channels are shared by all databases of a server, so the name includes the client's key prefix and database. */
export function channelOf ({ keyPrefix, database }: RedisCommands, name: string): string {
  return `${keyPrefix}${name}${database === 0 ? '' : `:${database}`}`
}

/** A subscriber's connection counts as lost when a reply takes longer. */
export const ANSWER_WITHIN_MS = 5000

/** The reply to INFO memory; '' if the user lacks the right, which the store can do without. */
export async function memoryInfoOf (server: { info (section: string): Promise<unknown> }): Promise<string> {
  try {
    return String(await server.info('memory'))
  } catch (error) {
    if (startsWith(error, 'NOPERM')) return ''
    throw error
  }
}

/** EVALSHA, and EVAL if the server does not have the script, as after a restart or SCRIPT FLUSH. */
export async function byHashOrText (script: RedisScript, evalsha: (sha: string) => Promise<unknown>, evaluate: (text: string) => Promise<unknown>): Promise<unknown> {
  try {
    return await evalsha(script.sha)
  } catch (error) {
    if (startsWith(error, 'NOSCRIPT')) return await evaluate(script.text)
    throw error
  }
}

/** Errors of Redis begin with their code. */
function startsWith (error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code)
}

export function notConnected (): Error {
  return new Error('redisStore: its client is not connected: call its connect() before the app starts')
}

export function unsupported (name: string, versions: string): TypeError {
  return new TypeError(`redisStore: its client is of a version of the package ${name} that it does not support: install ${name} ${versions}`)
}

/** Throws a TypeError for a client that queues commands while it is disconnected. */
export function refuseUnless (wanted: unknown, option: string, value: unknown, wayOut: string): void {
  if (value === wanted) return
  throw new TypeError(`redisStore: the option "${option}" of its client is ${String(value)}, so that a call which was given up could run minutes later: make the client with ${wayOut}`)
}

/** Any server of a cluster, since each message reaches all of them. */
export function anyOf<T> (nodes: readonly T[]): T {
  const node = nodes.at(randomInt(Math.max(nodes.length, 1)))
  if (node === undefined) throw new Error('redisStore: its client has no server')
  return node
}
