import { type RedisCommands } from './commands.js'
import { RIGHTS } from './scripts.js'

/** Every command that the store runs. */
const COMMANDS = ['eval', 'evalsha', 'get', 'set', 'zadd', 'zrange', 'zrank', 'zrem', 'pttl', 'pexpire', 'publish', 'subscribe']

/** Rules that a user may lack: each becomes a command of its own, since Redis refuses one that has a rule too many. */
interface Lacking {
  readonly commands: readonly string[]
  readonly keys: boolean
  readonly channel: boolean
}

/** Checks that the user of a client may run what the store runs. A TypeError has the commands that grant what is missing. */
export async function assertRights (commands: RedisCommands, prefix: string, channel: string): Promise<void> {
  const lacking = await findLacking(commands, `${prefix}rights`, channel)
  const rules = [
    lacking.commands.map(command => `+${command}`).join(' '),
    lacking.keys ? `~${literal(commands.keyPrefix + prefix)}*` : '',
    lacking.channel ? `&${literal(channel)}` : ''
  ].filter(rule => rule !== '')
  if (rules.length === 0) return
  const user = await commands.user()
  throw new TypeError(`redisStore: the Redis user "${user}" may not run all commands of the store on its keys and its channel: as a user who may, run: ${rules.map(rule => `ACL SETUSER ${user} ${rule}`).join('; ')}. Redis refuses one of these that adds nothing, for a user with all keys or all channels.`)
}

async function findLacking (commands: RedisCommands, key: string, channel: string): Promise<Lacking> {
  try {
    const refusals = await commands.run(RIGHTS, key, channel) as unknown[] // texts, as that script answers
    return lackingOf(refusals.map(String).filter(isRefusal))
  } catch (error) {
    if (!(error instanceof Error && isRefusal(error.message))) throw error
    // The script did not run, so nothing more is known.
    return { commands: COMMANDS, keys: true, channel: true }
  }
}

/** From texts that begin with a command. */
function lackingOf (refusals: readonly string[]): Lacking {
  const ofCommands = refusals.filter(refusal => refusedPlace(refusal) === undefined).map(refusal => refusal.slice(0, refusal.indexOf(' ')))
  return {
    commands: ofCommands,
    keys: refusals.some(refusal => refusedPlace(refusal) === 'key'),
    // Redis looks at the command first: of one that is refused the channel is not known.
    channel: ofCommands.includes('publish') || refusals.some(refusal => refusedPlace(refusal) === 'channel')
  }
}

/** Each version of Redis words it in another way; the last of these is that of scripts up to Redis 7.0. */
function isRefusal (message: string): boolean {
  return /NOPERM|user executing the script/.test(message)
}

/** Undefined where the command itself is refused. */
function refusedPlace (refusal: string): string | undefined {
  return /(?:access|publish to) .*?\b(key|channel)/.exec(refusal)?.[1]
}

/** A pattern that matches only this text. */
function literal (text: string): string {
  return text.replace(/[\\*?[\]]/g, String.raw`\$&`)
}
