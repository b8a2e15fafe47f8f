import { randomInt } from 'node:crypto'
import { type Connect } from '../revocation-feed.js'
import { CHECK_RIGHTS, type RedisScript } from './scripts.js'

/** The commands that the store needs: one interface over both client packages. */
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
export const REPLY_TIMEOUT_MS = 5000

/** The reply to INFO memory; '' if the user lacks the right, which the store can do without. */
export async function readMemoryInfo (server: { info (section: string): Promise<unknown> }): Promise<string> {
  try {
    return String(await server.info('memory'))
  } catch (error) {
    if (startsWith(error, 'NOPERM')) return ''
    throw error
  }
}

/** EVALSHA, and EVAL if the server does not have the script, as after a restart or SCRIPT FLUSH. */
export async function evalScript (script: RedisScript, evalsha: (sha: string) => Promise<unknown>, evaluate: (text: string) => Promise<unknown>): Promise<unknown> {
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

export function unsupportedVersion (name: string, versions: string): TypeError {
  return new TypeError(`redisStore: this version of the package ${name} is not supported: install ${name} ${versions}`)
}

/** Throws a TypeError if a client option has another value: a client that queues commands may send them late. */
export function assertOption (wanted: unknown, option: string, value: unknown, fix: string): void {
  if (value === wanted) return
  throw new TypeError(`redisStore: the option "${option}" of its client is ${String(value)}, so a command could run minutes after its call timed out: create the client with ${fix}`)
}

/** Any node of a cluster, since each message reaches all of them. */
export function randomNode<T> (nodes: readonly T[]): T {
  const node = nodes.at(randomInt(Math.max(nodes.length, 1)))
  if (node === undefined) throw new Error('redisStore: its client has no server')
  return node
}

/** Every command that the store runs. */
const COMMANDS = ['eval', 'evalsha', 'get', 'set', 'zadd', 'zrange', 'zrank', 'zrem', 'pttl', 'pexpire', 'time', 'publish', 'subscribe']

/** ACL rules that a user lacks. Each is granted by a command of its own, since Redis rejects a command with a redundant rule. */
interface MissingRights {
  readonly commands: readonly string[]
  readonly keys: boolean
  readonly channel: boolean
}

/** Throws a TypeError, with the ACL commands to run, if the client's user may not run every command of the store. */
export async function assertRights (commands: RedisCommands, prefix: string, channel: string): Promise<void> {
  const missing = await findMissing(commands, `${prefix}rights`, channel)
  const rules = [
    missing.commands.map(command => `+${command}`).join(' '),
    missing.keys ? `~${literal(commands.keyPrefix + prefix)}*` : '',
    missing.channel ? `&${literal(channel)}` : ''
  ].filter(rule => rule !== '')
  if (rules.length === 0) return
  const user = await commands.user()
  throw new TypeError(`redisStore: the Redis user "${user}" may not run all commands of the store on its keys and its channel. As an administrator, run: ${rules.map(rule => `ACL SETUSER ${user} ${rule}`).join('; ')}. Redis rejects a rule that adds nothing, for a user with all keys or all channels.`)
}

async function findMissing (commands: RedisCommands, key: string, channel: string): Promise<MissingRights> {
  try {
    const refusals = await commands.run(CHECK_RIGHTS, key, channel) as unknown[] // the script returns strings
    return missingIn(refusals.map(String).filter(isRefusal))
  } catch (error) {
    if (!(error instanceof Error && isRefusal(error.message))) throw error
    // The script itself was refused, so every right may be missing.
    return { commands: COMMANDS, keys: true, channel: true }
  }
}

/** Each refusal begins with its command. */
function missingIn (refusals: readonly string[]): MissingRights {
  const ofCommands = refusals.filter(refusal => refusedPlace(refusal) === undefined).map(refusal => refusal.slice(0, refusal.indexOf(' ')))
  return {
    commands: ofCommands,
    keys: refusals.some(refusal => refusedPlace(refusal) === 'key'),
    // Redis checks the command first: when PUBLISH is refused, the right to the channel is unknown.
    channel: ofCommands.includes('publish') || refusals.some(refusal => refusedPlace(refusal) === 'channel')
  }
}

/** The wording differs between versions of Redis; the second is that of scripts up to Redis 7.0. */
function isRefusal (message: string): boolean {
  return /NOPERM|user executing the script/.test(message)
}

/** Undefined if the command itself is refused. */
function refusedPlace (refusal: string): string | undefined {
  return /(?:access|publish to) .*?\b(key|channel)/.exec(refusal)?.[1]
}

/** Escapes the wildcards of a pattern. */
function literal (text: string): string {
  return text.replace(/[\\*?[\]]/g, String.raw`\$&`)
}
