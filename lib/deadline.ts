import { randomInt } from 'node:crypto'
import { AuthError } from './errors.js'
import { redacted } from './redaction.js'
import { type Seconds } from './time.js'

/** Time limits for calls to the store and to the app's functions: for each call, and for all calls of one request together. */
export interface Timeouts {
  readonly call: Seconds
  readonly request: Seconds
}

/** The deadline of one request. */
export interface Bounded {
  /** Calls a store or a function of the app. Throws FST_AUTH_STORE_UNAVAILABLE if it throws or takes too long. */
  <T>(call: () => Promise<T> | T): Promise<T>
  /** Starts another full deadline, for work that must be finished however much time the request has used. */
  withNewDeadline (): Bounded
}

/**
 * Starts the deadline of one request. Only calls use it up, not the wait for a password hash. A call that fails or hangs is
 * FST_AUTH_STORE_UNAVAILABLE with the cause: never "not found", which would log users out, and never a success.
 */
export function startDeadline (timeouts: Timeouts): Bounded {
  let left = timeouts.request * 1000
  // Parallel calls use the time once: it runs while at least one of them does.
  let calls = 0
  let since = 0
  return Object.assign(bounded, { withNewDeadline: () => startDeadline(timeouts) })

  // One promise and no async function: a request makes several calls, and each further layer costs as much as a session in memory.
  function bounded<T> (call: () => Promise<T> | T): Promise<T> {
    const now = performance.now()
    const remaining = calls === 0 ? left : left - (now - since)
    if (remaining <= 0) return Promise.reject(failed(new Error('the deadline of the request has passed'))) // the client would not wait for the result of a new call
    const ms = Math.min(timeouts.call * 1000, remaining)
    if (calls++ === 0) since = now
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      let ended = false
      try {
        const answer = call()
        if (!isThenable(answer)) return end(resolve, answer)
        timer = setTimeout(() => end(reject, failed(new Error(`no answer within ${Math.round(ms)} ms`))), ms)
        answer.then(value => end(resolve, value), (cause: unknown) => end(reject, failed(cause)))
      } catch (cause) {
        end(reject, failed(cause))
      }

      /** A late answer changes nothing. */
      function end<V> (settle: (value: V) => void, value: V): void {
        if (ended) return
        ended = true
        clearTimeout(timer)
        if (--calls === 0) left -= performance.now() - since
        settle(value)
      }
    })
  }
}

export function isThenable (answer: unknown): answer is PromiseLike<unknown> {
  return typeof (answer as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

function failed (cause: unknown): AuthError {
  return isUnavailable(cause) ? cause : unavailable(cause)
}

/** True if a call failed or took too long. Nested deadlines pass such an error on unchanged. */
export function isUnavailable (error: unknown): error is AuthError {
  return error instanceof AuthError && error.code === 'FST_AUTH_STORE_UNAVAILABLE'
}

/** FST_AUTH_BUSY, by default with a Retry-After spread over 1 to 5 seconds, so that clients do not all retry at once. */
export function busy (cause?: unknown, retryAfter: Seconds = randomInt(1, 6)): AuthError {
  return new AuthError('FST_AUTH_BUSY', { ...(cause !== undefined && { cause }), retryAfter })
}

/** A 503 with a Retry-After spread over 2 to 5 seconds, so that clients do not all retry at once. */
export function unavailable (cause: unknown): AuthError {
  return new AuthError('FST_AUTH_STORE_UNAVAILABLE', { cause: redacted(cause), retryAfter: randomInt(2, 6) })
}
