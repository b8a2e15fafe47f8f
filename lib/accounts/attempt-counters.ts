import { randomId } from '../random.js'
import { systemMilliseconds, type Seconds } from '../time.js'

/** At most `max` attempts in a window of `per`, which starts with the first attempt. */
export interface Limit {
  readonly max: number
  readonly per: Seconds
}

export interface CounterLimit extends Limit {
  /** Unique among the limits of an app. */
  readonly name: string
  /** Successful attempts stay counted. */
  readonly countsSuccesses: boolean
}

/**
 * Counts attempts by key against a list of limits. Windows follow the machine's clock, not the injected one. A counted attempt
 * ends once, in the counter that counted it. Its end changes only the windows of that attempt, never later ones.
 *
 * rate-limiter-flexible does not fit: it refunds by key, so a late refund would change a later window, and it does not count the
 * failures of each owner within a window, which a success must reset in the same step.
 */
export interface AttemptCounter<Counted extends object = object> {
  /** Consumes one attempt of every limit; or of none if one is reached, and returns the longest time to wait. */
  consume (key: string): Promise<Counted | Seconds> | Counted | Seconds
  refund (attempt: Counted): Promise<void> | void
  /** The attempt stays counted, as a failure of this owner. */
  fail (attempt: Counted, owner: string): Promise<void> | void
  /** Refunds the attempt and resets the failures of this owner, except for limits that count successes. */
  succeed (attempt: Counted, owner: string): Promise<void> | void
}

/** The attempts of one key against one limit, since the first one. */
interface Window {
  readonly limit: CounterLimit
  readonly endsAt: number
  attempts: number
  readonly failures: Map<string, number>
}

interface MemoryAttempt {
  readonly key: string
  readonly windows: readonly Window[]
}

/**
 * A counter in the memory of this process. Beyond `maxKeys` keys it evicts the least recently used one: to get a key
 * evicted, an attacker must fail under that many other keys first. It needs no promise.
 */
export class MemoryCounter implements AttemptCounter<MemoryAttempt> {
  readonly #limits: readonly CounterLimit[]
  readonly #maxKeys: number
  /** One window for each limit. The least recently used key comes first. */
  readonly #windows = new Map<string, readonly Window[]>()

  constructor (limits: readonly CounterLimit[], maxKeys = 50_000) {
    this.#limits = limits
    this.#maxKeys = maxKeys
  }

  consume (key: string): MemoryAttempt | Seconds {
    const now = systemMilliseconds()
    const windows = this.#windowsOf(key, now)
    let wait = 0
    for (const { attempts, limit, endsAt } of windows) {
      if (attempts >= limit.max) wait = Math.max(wait, endsAt - now)
    }
    if (wait > 0) return toSeconds(wait)
    for (const window of windows) window.attempts++
    return { key, windows }
  }

  refund ({ key, windows }: MemoryAttempt): void {
    for (const window of windows) window.attempts--
    this.#deleteUnused(key)
  }

  fail ({ windows }: MemoryAttempt, owner: string): void {
    for (const { failures } of windows) failures.set(owner, (failures.get(owner) ?? 0) + 1)
  }

  succeed ({ key, windows }: MemoryAttempt, owner: string): void {
    for (const window of windows) {
      if (window.limit.countsSuccesses) continue
      window.attempts -= 1 + (window.failures.get(owner) ?? 0)
      window.failures.delete(owner)
    }
    this.#deleteUnused(key)
  }

  #windowsOf (key: string, now: number): readonly Window[] {
    const known = this.#windows.get(key) ?? []
    const windows: Window[] = []
    for (const [index, limit] of this.#limits.entries()) {
      const window = known[index]
      windows.push(window !== undefined && isOpen(window, now) ? window : { limit, endsAt: now + limit.per * 1000, attempts: 0, failures: new Map() })
    }
    this.#windows.delete(key) // so that it is inserted again, at the end
    this.#windows.set(key, windows)
    for (const [oldest, windows] of this.#windows) {
      if (this.#windows.size <= this.#maxKeys && windows.some(window => isOpen(window, now))) break
      this.#windows.delete(oldest)
    }
    return windows
  }

  /** Otherwise attempts that are refunded could evict keys with failures. */
  #deleteUnused (key: string): void {
    if (this.#windows.get(key)?.every(({ attempts }) => attempts === 0)) this.#windows.delete(key)
  }
}

/** False once the window has ended, or if more time is left than its length: then the clock was set back. */
function isOpen ({ limit, endsAt }: Window, now: number): boolean {
  return endsAt > now && endsAt - now <= limit.per * 1000
}

/** The part of a Redis client that is used: ioredis, or redis (node-redis). */
export interface CounterClient {
  eval (...values: never[]): unknown
}

/** Runs a Lua script on keys of one hash slot. */
type RunScript = (script: string, keys: readonly string[], values: readonly string[]) => Promise<unknown>

/**
 * Each window is one hash that expires as a whole: `attempts`, `window` (its random id), and the failures of each owner.
 * ARGV: an id for new windows, then maximum and length of each window.
 */
const CONSUME = `
local wait = 0
for i, key in ipairs(KEYS) do
  local attempts = tonumber(redis.call('HGET', key, 'attempts')) or 0
  if attempts >= tonumber(ARGV[2 * i]) then wait = math.max(wait, 1, redis.call('PTTL', key)) end
end
if wait > 0 then return { wait } end
local reply = { 0 }
for i, key in ipairs(KEYS) do
  if redis.call('HSETNX', key, 'window', ARGV[1]) == 1 then redis.call('PEXPIRE', key, ARGV[2 * i + 1]) end
  redis.call('HINCRBY', key, 'attempts', 1)
  reply[i + 1] = redis.call('HGET', key, 'window')
end
return reply`

/** ARGV: the outcome, the owner, then the ids of the windows. It skips a key whose window has changed. */
const END = `
local failures = 'failures of ' .. ARGV[2]
for i, key in ipairs(KEYS) do
  if redis.call('HGET', key, 'window') == ARGV[i + 2] then
    if ARGV[1] == 'fail' then
      redis.call('HINCRBY', key, failures, 1)
    elseif ARGV[1] == 'refund' then
      redis.call('HINCRBY', key, 'attempts', -1)
    else
      redis.call('HINCRBY', key, 'attempts', -1 - (tonumber(redis.call('HGET', key, failures)) or 0))
      redis.call('HDEL', key, failures)
    end
  end
end`

interface RedisAttempt {
  readonly keys: readonly string[]
  /** The ids of the windows of these keys. */
  readonly windows: readonly string[]
}

/** A counter that all instances share. */
export class RedisCounter implements AttemptCounter<RedisAttempt> {
  readonly #limits: readonly CounterLimit[]
  readonly #run: RunScript
  readonly #keyPrefix: string

  constructor (limits: readonly CounterLimit[], client: CounterClient, keyPrefix: string) {
    this.#limits = limits
    this.#run = scriptRunner(client)
    this.#keyPrefix = keyPrefix
  }

  async consume (key: string): Promise<RedisAttempt | Seconds> {
    // The braces are a hash tag: they put all windows of a key on one node of a cluster.
    const keys = this.#limits.map(({ name }) => `${this.#keyPrefix}${name}:{${key}}`)
    const values = this.#limits.flatMap(({ max, per }) => [String(max), String(per * 1000)])
    const [ms, ...windows] = await this.#run(CONSUME, keys, [randomId(), ...values]) as [number | string, ...string[]] // the reply of the script; a client may give numbers as text
    return windows.length === 0 ? toSeconds(Number(ms)) : { keys, windows }
  }

  async refund ({ keys, windows }: RedisAttempt): Promise<void> {
    await this.#run(END, keys, ['refund', '', ...windows])
  }

  async fail ({ keys, windows }: RedisAttempt, owner: string): Promise<void> {
    await this.#run(END, keys, ['fail', owner, ...windows])
  }

  async succeed ({ keys, windows }: RedisAttempt, owner: string): Promise<void> {
    const refunded = windows.map((window, index) => this.#limits[index]?.countsSuccesses ? '' : window) // no window has the id ''
    await this.#run(END, keys, ['succeed', owner, ...refunded])
  }
}

/** Rejects unless Redis runs scripts. */
export async function pingCounters (client: CounterClient): Promise<void> {
  await scriptRunner(client)('return 1', [], [])
}

function scriptRunner (client: CounterClient): RunScript {
  // ioredis and redis take the same arguments in different shapes, which no common type describes.
  const evaluate = client.eval.bind(client) as (...values: unknown[]) => Promise<unknown>
  return 'defineCommand' in client
    ? (script, keys, values) => evaluate(script, keys.length, ...keys, ...values)
    : (script, keys, values) => evaluate(script, { keys, arguments: values })
}

function toSeconds (ms: number): Seconds {
  return Math.max(1, Math.ceil(ms / 1000))
}
