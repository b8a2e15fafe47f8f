import { RateLimiterMemory, RateLimiterRedis, type RateLimiterAbstract, type RateLimiterRes } from 'rate-limiter-flexible'
import { type Seconds } from '../core/time.js'

/** At most `max` attempts within `per`, from the first one on. */
export interface Limit {
  readonly max: number
  readonly per: Seconds
}

/** Counts attempts by keys against one limit. Times are the machine's own, not the injected clock's. */
export interface AttemptCounter {
  /** Counts one more attempt. Resolves to how long the key has to wait if that was one too many, else to 0. */
  count (key: string): Promise<Seconds>
  /** Takes back one attempt that was counted. Resolves to how many of the key still are. */
  giveBack (key: string): Promise<number>
  /** Begins anew. */
  forget (key: string): Promise<void>
}

/** What is used of a Redis client: one of ioredis, or one of redis (node-redis). */
export interface CounterClient {
  eval (script: never, keys: never): unknown
  del (key: string): unknown
}

/**
 * A counter in the memory of this process. It keeps at most `maxKeys` keys and then forgets the one that failed least
 * recently: whoever wants to be forgotten has to fail that often from elsewhere first.
 */
export function memoryCounter ({ max, per }: Limit, maxKeys = 50_000): AttemptCounter {
  const limiter = new RateLimiterMemory({ points: max, duration: per }) // its timers are unref'd
  /** With a number that is another one after each attempt. */
  const keys = new Map<string, number>()
  let attempts = 0
  const counter = createCounter(limiter, max)

  return { count, giveBack, forget }

  async function count (key: string): Promise<Seconds> {
    keys.delete(key) // so that it is inserted at the end
    keys.set(key, ++attempts)
    if (keys.size > maxKeys) await forgetOldest()
    return await counter.count(key)
  }

  async function giveBack (key: string): Promise<number> {
    const last = keys.get(key)
    if (last === undefined) return 0
    const left = await counter.giveBack(key)
    // Attempts that cost nothing could otherwise push out those that did; meanwhile there may be one that does.
    if (left <= 0 && keys.get(key) === last) await forget(key)
    return left
  }

  async function forget (key: string): Promise<void> {
    keys.delete(key)
    await counter.forget(key)
  }

  async function forgetOldest (): Promise<void> {
    const [oldest = ''] = keys.keys()
    await forget(oldest)
  }
}

/** A counter that all instances share. */
export function redisCounter ({ max, per }: Limit, client: CounterClient, keyPrefix: string): AttemptCounter {
  // The package knows node-redis by the name of its class, which is another one since its version 5.
  const useRedisPackage = !('defineCommand' in client)
  return createCounter(new RateLimiterRedis({ storeClient: client, useRedisPackage, keyPrefix, points: max, duration: per }), max)
}

/** Several counters as one: the longest wait counts, and an attempt that one of them refuses counts against none. */
export function together (counters: readonly AttemptCounter[]): AttemptCounter {
  const each = async <T>(act: (counter: AttemptCounter) => Promise<T>): Promise<T[]> => await Promise.all(counters.map(act))
  return {
    async count (key) {
      const wait = Math.max(0, ...await each(counter => counter.count(key)))
      if (wait > 0) await each(counter => counter.giveBack(key))
      return wait
    },
    giveBack: async key => Math.max(0, ...await each(counter => counter.giveBack(key))),
    async forget (key) {
      await each(counter => counter.forget(key))
    }
  }
}

function createCounter (limiter: RateLimiterAbstract, max: number): AttemptCounter {
  return {
    async count (key) {
      const counted = await limiter.penalty(key)
      return counted.consumedPoints > max ? waitOf(counted) : 0
    },
    async giveBack (key) {
      const { consumedPoints } = await limiter.reward(key)
      return consumedPoints
    },
    async forget (key) {
      await limiter.delete(key)
    }
  }
}

/** In memory, a key may be there a moment after its time is over. */
function waitOf ({ msBeforeNext }: RateLimiterRes): Seconds {
  return Math.max(0, Math.ceil(msBeforeNext / 1000))
}
