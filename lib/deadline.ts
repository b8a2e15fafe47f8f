import { randomInt } from 'node:crypto'
import { AuthError } from './errors.js'
import { redacted } from './redaction.js'
import { type Seconds } from './time.js'

/** How long outside work may take: each call to a store or to the app's functions, and all calls of one request together. */
export interface Timeouts {
  readonly call: Seconds
  readonly request: Seconds
}

/** The time budget of one request. */
export interface Bounded {
  /** Runs a call to a store or to a function of the app: its result, or a 503 of ours if it throws or takes too long. */
  <T>(call: () => Promise<T> | T): Promise<T>
  /** A full budget of its own: for work that must be finished, whatever the request has used up. */
  anew (): Bounded
}

/**
 * Opens the time budget of one request, which calls alone use up: a wait for the hash of a password does not. What fails or
 * hangs is FST_AUTH_STORE_UNAVAILABLE with the cause: never "not found", which would log people out, and never "ok".
 */
export function startDeadline (timeouts: Timeouts): Bounded {
  let left = timeouts.request * 1000
  return Object.assign(bounded, { anew: () => startDeadline(timeouts) })

  async function bounded<T> (call: () => Promise<T> | T): Promise<T> {
    try {
      if (left <= 0) throw new Error('the time of the request is over') // nobody waits for what would begin now
      return await inTime(call)
    } catch (cause) {
      throw isUnavailable(cause) ? cause : unavailable(cause)
    }
  }

  async function inTime<T> (call: () => Promise<T> | T): Promise<T> {
    const ms = Math.min(timeouts.call * 1000, left)
    const begun = performance.now()
    let timer: NodeJS.Timeout | undefined
    try {
      const answer = call()
      return await new Promise((resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(ms)} ms`)), ms)
        Promise.resolve(answer).then(resolve, reject)
      })
    } finally {
      clearTimeout(timer)
      left -= performance.now() - begun
    }
  }
}

/** Whether a call failed or took too long: what one with a budget of its own has thrown is passed on as it is. */
export function isUnavailable (error: unknown): error is AuthError {
  return error instanceof AuthError && error.code === 'FST_AUTH_STORE_UNAVAILABLE'
}

/** A 503 whose wait is spread, so that clients do not all come back at once. */
export function unavailable (cause: unknown): AuthError {
  return new AuthError('FST_AUTH_STORE_UNAVAILABLE', { cause: redacted(cause), retryAfter: randomInt(2, 6) })
}
