import { type RedisCommands } from './commands.js'
import { CHECK_RIGHTS } from './scripts.js'

/** Every command that the store runs. */
const COMMANDS = ['eval', 'evalsha', 'get', 'set', 'zadd', 'zrange', 'zrank', 'zrem', 'pttl', 'pexpire', 'publish', 'subscribe']

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
