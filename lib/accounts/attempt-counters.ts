import { randomId } from '../random.js'
import { machineTime, type Seconds } from '../time.js'

/** At most `max` attempts in a window of `per`, which starts with the first attempt. */
export interface Limit {
  readonly max: number
  readonly per: Seconds
}

/**
 * An attempt that was counted, or refused. One of its methods is called, once; it changes only the window of the attempt,
 * never a later one.
 */
export interface CountedAttempt {
  /** The time to wait if the limit is reached and nothing was counted; else 0. */
  readonly wait: Seconds
  /** Refunds the attempt. */
  refund (): Promise<unknown>
  /** The attempt stays counted, as a failure of this owner. */
  fail (owner: string): Promise<unknown>
  /** Refunds the attempt and resets the failures of this owner. Those of other owners stay. */
  succeed (owner: string): Promise<unknown>
}

/** Counts attempts by key against one limit. Windows follow the machine's clock, not the injected one. */
export interface AttemptCounter {
  /** Consumes one attempt, unless the limit is reached. */
  count (key: string): Promise<CountedAttempt>
}

/** The attempts of one key since the first one. */
interface Window {
  readonly endsAt: number
  attempts: number
  readonly failures: Map<string, number>
}

/**
 * A counter in the memory of this process. Beyond `maxKeys` keys it evicts the least recently used one: to get a key
 * evicted, an attacker must fail under that many other keys first.
 */
export function memoryCounter ({ max, per }: Limit, maxKeys = 50_000): AttemptCounter {
  /** The least recently used key comes first. */
  const windows = new Map<string, Window>()

  return {
    async count (key) {
      const now = machineTime()
      const window = windowOf(key, now)
      if (window.attempts >= max) return refused(window.endsAt - now)
      window.attempts++
      return {
        wait: 0,
        refund: async () => remove(key, window, 1),
        fail: async owner => window.failures.set(owner, failuresOf(window, owner) + 1),
        async succeed (owner) {
          remove(key, window, 1 + failuresOf(window, owner))
          window.failures.delete(owner)
        }
      }
    }
  }

  function windowOf (key: string, now: number): Window {
    const known = windows.get(key)
    const window = known !== undefined && known.endsAt > now ? known : { endsAt: now + per * 1000, attempts: 0, failures: new Map<string, number>() }
    windows.delete(key) // so that it is inserted again, at the end
    windows.set(key, window)
    for (const [oldest, { endsAt }] of windows) {
      if (endsAt > now && windows.size <= maxKeys) break
      windows.delete(oldest)
    }
    return window
  }

  function remove (key: string, window: Window, attempts: number): void {
    window.attempts -= attempts
    // Otherwise attempts that are refunded could evict keys with failures.
    if (window.attempts === 0 && windows.get(key) === window) windows.delete(key)
  }
}

function failuresOf ({ failures }: Window, owner: string): number {
  return failures.get(owner) ?? 0
}

/** The part of a Redis client that is used: ioredis, or redis (node-redis). */
export interface CounterClient {
  eval (...values: never[]): unknown
}

/** Runs a Lua script on one key. */
type RunScript = (script: string, key: string, values: readonly string[]) => Promise<unknown>

/** A window is one hash that expires as a whole: `attempts`, `window` (its random id), and the failures of each owner. */
const COUNT = `
local attempts = tonumber(redis.call('HGET', KEYS[1], 'attempts'))
if not attempts then
  attempts = 0
  redis.call('HSET', KEYS[1], 'attempts', 0, 'window', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if attempts >= tonumber(ARGV[1]) then return { redis.call('PTTL', KEYS[1]), '' } end
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
return { 0, redis.call('HGET', KEYS[1], 'window') }`

/** The scripts below do nothing once the window of the attempt is over. */
const IF_SAME_WINDOW = "if redis.call('HGET', KEYS[1], 'window') ~= ARGV[1] then return 0 end "

const REFUND = `${IF_SAME_WINDOW}
return redis.call('HINCRBY', KEYS[1], 'attempts', -1)`

const FAIL = `${IF_SAME_WINDOW}
return redis.call('HINCRBY', KEYS[1], 'failures of ' .. ARGV[2], 1)`

const SUCCEED = `${IF_SAME_WINDOW}
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures of ' .. ARGV[2])) or 0
redis.call('HDEL', KEYS[1], 'failures of ' .. ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'attempts', -1 - failures)`

/** A counter that all instances share. */
export function redisCounter ({ max, per }: Limit, client: CounterClient, keyPrefix: string): AttemptCounter {
  const run = scriptRunner(client)
  return {
    async count (key) {
      const hash = `${keyPrefix}:${key}`
      const [ms, window] = await run(COUNT, hash, [String(max), String(per * 1000), randomId()]) as [number | string, string] // the reply of the script; a client may give numbers as text
      if (window === '') return refused(Number(ms))
      return {
        wait: 0,
        refund: () => run(REFUND, hash, [window]),
        fail: owner => run(FAIL, hash, [window, owner]),
        succeed: owner => run(SUCCEED, hash, [window, owner])
      }
    }
  }
}

function scriptRunner (client: CounterClient): RunScript {
  // ioredis and redis take the same arguments in different shapes, which no common type describes.
  const evaluate = client.eval.bind(client) as (...values: unknown[]) => Promise<unknown>
  return 'defineCommand' in client
    ? (script, key, values) => evaluate(script, 1, key, ...values)
    : (script, key, values) => evaluate(script, { keys: [key], arguments: values })
}

/** Combines counters: the longest wait applies, and if one refuses an attempt, the others refund it. */
export function together (counters: readonly AttemptCounter[]): AttemptCounter {
  return {
    async count (key) {
      const counted = await Promise.all(counters.map(counter => counter.count(key)))
      const end = async (act: (attempt: CountedAttempt) => Promise<unknown>): Promise<unknown> => await Promise.all(counted.map(act))
      const wait = Math.max(0, ...counted.map(attempt => attempt.wait))
      if (wait === 0) return { wait, refund: () => end(each => each.refund()), fail: owner => end(each => each.fail(owner)), succeed: owner => end(each => each.succeed(owner)) }
      await end(each => each.refund())
      return refused(wait * 1000)
    }
  }
}

/** A counter of all attempts: successful ones stay counted. */
export function ofAll (counter: AttemptCounter): AttemptCounter {
  return { count: async key => ({ ...await counter.count(key), succeed: nothing }) }
}

export async function nothing (): Promise<void> {}

const UNCOUNTED: CountedAttempt = { wait: 0, refund: nothing, fail: nothing, succeed: nothing }

function refused (ms: number): CountedAttempt {
  return { ...UNCOUNTED, wait: Math.max(1, Math.ceil(ms / 1000)) }
}
