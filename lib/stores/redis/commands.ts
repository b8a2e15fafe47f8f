import { randomInt } from 'node:crypto'
import { type OpenLink } from '../reconnecting-subscription.js'
import { type RedisScript } from './scripts.js'

/** What the store does with a client, of whichever package it is. */
export interface RedisCommands {
  /** Runs a script on one key: in one round trip, but for its first time on a server. */
  readonly run: (script: RedisScript, key: string, ...values: ReadonlyArray<string | number>) => Promise<unknown>
  /** Resolves once commands can be sent. A TypeError where they could run late. */
  readonly untilReady: () => Promise<void>
  /** What each server that holds sessions answers to INFO memory. */
  readonly memoryInfo: () => Promise<string[]>
  /** A connection of its own that hears a channel. */
  readonly listen: (channel: string, onMessage: (message: string) => void) => OpenLink
  /** What the client itself puts in front of each key, but of no channel. */
  readonly keyPrefix: string
  /** The number of its database. */
  readonly database: number
  /** The name by which the server knows its user. */
  readonly user: () => Promise<string>
}

/** The name of a user who gave none. */
export const DEFAULT_USER = 'default'

/** The channels of a server are the same in all its databases, so the name has what tells the client's keys from others. */
export function channelOf ({ keyPrefix, database }: RedisCommands, name: string): string {
  return `${keyPrefix}${name}${database === 0 ? '' : `:${database}`}`
}

/** On a connection that only listens an answer takes no longer than this, in milliseconds, or it is lost. */
export const ANSWER_WITHIN_MS = 5000

/** What a server answers to INFO memory: nothing where its user may not ask, since sessions can be kept all the same. */
export async function memoryInfoOf (server: { info (section: string): Promise<unknown> }): Promise<string> {
  try {
    return String(await server.info('memory'))
  } catch (error) {
    if (startsWith(error, 'NOPERM')) return ''
    throw error
  }
}

/** Runs a script by its hash, and by its text where the server does not have it: it was started, or forgot, since. */
export async function byHashOrText (script: RedisScript, evalsha: (sha: string) => Promise<unknown>, evaluate: (text: string) => Promise<unknown>): Promise<unknown> {
  try {
    return await evalsha(script.sha)
  } catch (error) {
    if (startsWith(error, 'NOSCRIPT')) return await evaluate(script.text)
    throw error
  }
}

/** An error of Redis begins with its code. */
function startsWith (error: unknown, code: string): boolean {
  return error instanceof Error && error.message.startsWith(code)
}

/** The failure of a client that will not connect by itself. */
export function notConnected (): Error {
  return new Error('redisStore: its client is not connected: call its connect() before the app starts')
}

/** The refusal of a client of another version than those that the tests run with. */
export function unsupported (name: string, versions: string): TypeError {
  return new TypeError(`redisStore: its client is of a version of the package ${name} that it does not support: install ${name} ${versions}`)
}

/** Refuses a client that keeps commands while it is away from its server: a TypeError with the way out. */
export function refuseUnless (wanted: unknown, option: string, value: unknown, wayOut: string): void {
  if (value === wanted) return
  throw new TypeError(`redisStore: the option "${option}" of its client is ${String(value)}, so that a call which was given up could run minutes later: make the client with ${wayOut}`)
}

/** One of the servers of a cluster: a message reaches all of them. */
export function anyOf<T> (nodes: readonly T[]): T {
  const node = nodes.at(randomInt(Math.max(nodes.length, 1)))
  if (node === undefined) throw new Error('redisStore: its client knows of no server')
  return node
}
