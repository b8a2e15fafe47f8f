import { randomInt } from 'node:crypto'
import { AuthError } from '../errors.js'
import { type Seconds } from './time.js'

/** How long outside work may take: each call to a store or an app callback, and all calls of one request together. */
export interface Timeouts {
  readonly call: Seconds
  readonly request: Seconds
}

/** Runs a call to a store or an app callback: its result, or a 503 of ours if it throws or takes too long. */
export type Bounded = <T>(call: () => Promise<T> | T) => Promise<T>

/**
 * Starts the time budget of one request. What fails or hangs is FST_AUTH_STORE_UNAVAILABLE with the cause:
 * never "not found", which would log people out, and never "ok".
 */
export function startDeadline (timeouts: Timeouts): Bounded {
  const end = performance.now() + timeouts.request * 1000
  return async function bounded (call) {
    try {
      const left = end - performance.now()
      if (left <= 0) throw new Error('the time of the request is over') // nobody waits for what would begin now
      return await within(Math.min(timeouts.call * 1000, left), call)
    } catch (cause) {
      throw unavailable(cause)
    }
  }
}

/** The answer of a call, or a rejection once `ms` milliseconds have passed. */
async function within<T> (ms: number, call: () => Promise<T> | T): Promise<T> {
  const answer = call()
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(ms)} ms`)), ms)
    const settling = <V>(settle: (value: V) => void) => (value: V): void => {
      clearTimeout(timer)
      settle(value)
    }
    Promise.resolve(answer).then(settling(resolve), settling(reject))
  })
}

/** A 503 whose wait is spread, so that clients do not all come back at once. */
export function unavailable (cause: unknown): AuthError {
  return new AuthError('FST_AUTH_STORE_UNAVAILABLE', { cause, retryAfter: randomInt(2, 6) })
}
