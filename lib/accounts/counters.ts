import { randomId } from '../random.js'
import { machineTime, type Seconds } from '../time.js'

/** At most `max` attempts within `per`, from the first one on. */
export interface Limit {
  readonly max: number
  readonly per: Seconds
}

/** An attempt that was counted, or refused. It ends once. What it changes is in the window that it was counted in, never in a later one. */
export interface CountedAttempt {
  /** How long to wait, where this would be one too many and was not counted; else 0. */
  readonly wait: Seconds
  /** It was no attempt after all, and is not counted any more. */
  takeBack (): Promise<unknown>
  /** It failed and stays counted, as a failure of this owner. */
  fail (owner: string): Promise<unknown>
  /** It succeeded: neither it nor the failures of the same owner are counted any more. Those of other owners stay. */
  succeed (owner: string): Promise<unknown>
}

/** Counts attempts by keys against one limit. Times are the machine's own, not the injected clock's. */
export interface AttemptCounter {
  /** Counts one more attempt, unless it is one too many. */
  count (key: string): Promise<CountedAttempt>
}

/** A key's attempts since the first one of them. */
interface Window {
  readonly endsAt: number
  attempts: number
  readonly failures: Map<string, number>
}

/**
 * A counter in the memory of this process. It keeps at most `maxKeys` keys and then forgets the one that tried least
 * recently: whoever wants to be forgotten has to fail that often from elsewhere first.
 */
export function memoryCounter ({ max, per }: Limit, maxKeys = 50_000): AttemptCounter {
  /** The key that tried least recently comes first. */
  const windows = new Map<string, Window>()

  return {
    async count (key) {
      const now = machineTime()
      const window = windowOf(key, now)
      if (window.attempts >= max) return refused(window.endsAt - now)
      window.attempts++
      return {
        wait: 0,
        takeBack: async () => remove(key, window, 1),
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
    windows.delete(key) // so that it is inserted at the end
    windows.set(key, window)
    for (const [oldest, { endsAt }] of windows) {
      if (endsAt > now && windows.size <= maxKeys) break
      windows.delete(oldest)
    }
    return window
  }

  function remove (key: string, window: Window, attempts: number): void {
    window.attempts -= attempts
    // Attempts that cost nothing could otherwise push out those that did.
    if (window.attempts === 0 && windows.get(key) === window) windows.delete(key)
  }
}

function failuresOf ({ failures }: Window, owner: string): number {
  return failures.get(owner) ?? 0
}

/** What is used of a Redis client: one of ioredis, or one of redis (node-redis). */
export interface CounterClient {
  eval (...values: never[]): unknown
}

/** Runs a script on one key. */
type RunScript = (script: string, key: string, values: readonly string[]) => Promise<unknown>

/** A window is one hash that expires as a whole: `attempts`, the `window`'s random name, and the failures of each owner. */
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

/** Each of the scripts below ends an attempt, in its own window alone. */
const IN_ITS_WINDOW = "if redis.call('HGET', KEYS[1], 'window') ~= ARGV[1] then return 0 end "

const TAKE_BACK = `${IN_ITS_WINDOW}
return redis.call('HINCRBY', KEYS[1], 'attempts', -1)`

const FAIL = `${IN_ITS_WINDOW}
return redis.call('HINCRBY', KEYS[1], 'failures of ' .. ARGV[2], 1)`

const SUCCEED = `${IN_ITS_WINDOW}
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures of ' .. ARGV[2])) or 0
redis.call('HDEL', KEYS[1], 'failures of ' .. ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'attempts', -1 - failures)`

/** A counter that all instances share. */
export function redisCounter ({ max, per }: Limit, client: CounterClient, keyPrefix: string): AttemptCounter {
  const run = scriptRunner(client)
  return {
    async count (key) {
      const hash = `${keyPrefix}:${key}`
      const [ms, window] = await run(COUNT, hash, [String(max), String(per * 1000), randomId()]) as [number | string, string] // what the script returns; a client may give numbers as text
      if (window === '') return refused(Number(ms))
      return {
        wait: 0,
        takeBack: () => run(TAKE_BACK, hash, [window]),
        fail: owner => run(FAIL, hash, [window, owner]),
        succeed: owner => run(SUCCEED, hash, [window, owner])
      }
    }
  }
}

function scriptRunner (client: CounterClient): RunScript {
  // The two packages take the same values in different ways, which no common type describes.
  const evaluate = client.eval.bind(client) as (...values: unknown[]) => Promise<unknown>
  return 'defineCommand' in client
    ? (script, key, values) => evaluate(script, 1, key, ...values)
    : (script, key, values) => evaluate(script, { keys: [key], arguments: values })
}

/** Several counters as one: the longest wait counts, and an attempt that one of them refuses counts against none. */
export function together (counters: readonly AttemptCounter[]): AttemptCounter {
  return {
    async count (key) {
      const counted = await Promise.all(counters.map(counter => counter.count(key)))
      const end = async (act: (attempt: CountedAttempt) => Promise<unknown>): Promise<unknown> => await Promise.all(counted.map(act))
      const wait = Math.max(0, ...counted.map(attempt => attempt.wait))
      if (wait === 0) return { wait, takeBack: () => end(each => each.takeBack()), fail: owner => end(each => each.fail(owner)), succeed: owner => end(each => each.succeed(owner)) }
      await end(each => each.takeBack())
      return refused(wait * 1000)
    }
  }
}

/** A counter of all attempts, the successful ones too. */
export function ofAll (counter: AttemptCounter): AttemptCounter {
  return { count: async key => ({ ...await counter.count(key), succeed: nothing }) }
}

/** Does nothing. */
export async function nothing (): Promise<void> {}

/** An attempt that nothing counts. */
const UNCOUNTED: CountedAttempt = { wait: 0, takeBack: nothing, fail: nothing, succeed: nothing }

function refused (ms: number): CountedAttempt {
  return { ...UNCOUNTED, wait: Math.max(1, Math.ceil(ms / 1000)) }
}
