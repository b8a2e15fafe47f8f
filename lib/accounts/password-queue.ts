import { randomInt } from 'node:crypto'
import { AuthError } from '../errors.js'
import { type Seconds } from '../core/time.js'

/** How much password work may be under way and waiting. */
export interface PasswordQueueOptions {
  /** Jobs at once. libuv has 4 threads by default, and files and DNS need some of them. */
  readonly concurrency: number
  /** Jobs that may wait for their turn. */
  readonly waiting: number
  /** The longest wait for a turn. */
  readonly maxWait: Seconds
}

/** Takes turns. */
export interface PasswordQueue {
  /**
   * Runs a job in its turn, first come first served, and settles as it does.
   * Throws FST_AUTH_BUSY when all places are taken or the turn does not come in time; the job then never runs.
   */
  run<T> (job: () => Promise<T> | T): Promise<T>
}

/**
 * A bounded queue, so that a flood of logins neither fills the memory nor stalls everything else that
 * uses libuv's threads (measured: 60 unqueued hashes delayed an unrelated file read by 5 s).
 */
export function createPasswordQueue ({ concurrency, waiting, maxWait }: PasswordQueueOptions): PasswordQueue {
  const waiters = new Set<() => void>()
  let running = 0

  return {
    async run (job) {
      if (running < concurrency) running++
      else await turn()
      try {
        return await job()
      } finally {
        passOn()
      }
    }
  }

  /** Resolves once a job that ends hands its place over. */
  async function turn (): Promise<void> {
    if (waiters.size >= waiting) throw busy(new Error('all places for password work are taken'))
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiters.delete(start)
        reject(busy(new Error(`no turn for password work within ${maxWait} s`)))
      }, maxWait * 1000)
      timer.unref()
      waiters.add(start)

      function start (): void {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** The place goes straight to the one who waited longest: nobody who comes meanwhile can take it. */
  function passOn (): void {
    const [next] = waiters
    if (next === undefined) {
      running--
      return
    }
    waiters.delete(next)
    next()
  }
}

/** FST_AUTH_BUSY with a wait that is spread over 1 to 5 seconds, so that clients do not all come back at once. */
export function busy (cause: unknown): AuthError {
  return new AuthError('FST_AUTH_BUSY', { cause, retryAfter: randomInt(1, 6) })
}
