import { randomInt } from 'node:crypto'
import { AuthError } from '../errors.js'
import { type Seconds } from '../time.js'

export interface PasswordQueueOptions {
  /** Jobs that run at once. libuv has 4 threads by default, and files and DNS need some of them. */
  readonly concurrency: number
  /** Jobs that may wait. */
  readonly waiting: number
  /** The longest time that a job waits. */
  readonly maxWait: Seconds
}

/** A concurrency-limited FIFO queue, fair between clients. */
export interface PasswordQueue {
  /**
   * Runs a job and settles as it does. Waiting jobs start in rounds, with one job of each client per round, so that nobody
   * waits for all the jobs of another client. Throws FST_AUTH_BUSY if the job waits longer than `maxWait`, or if the queue
   * is full: then the job that would start last is refused. A job that was refused never runs.
   */
  run<T> (client: string, job: () => Promise<T> | T): Promise<T>
}

interface Waiter {
  readonly client: string
  readonly round: number
  start (): void
  refuse (): void
}

/**
 * The queue is bounded, so that a flood of logins neither fills the memory nor stalls everything else that
 * uses libuv's threads (measured: 60 unqueued hashes delayed an unrelated file read by 5 s).
 */
export function createPasswordQueue ({ concurrency, waiting, maxWait }: PasswordQueueOptions): PasswordQueue {
  /** In the order of their start: by round, then by arrival. */
  const waiters: Waiter[] = []
  let running = 0
  /** The round of the job that started last. */
  let round = 0

  return {
    async run (client, job) {
      if (running < concurrency) running++
      else await turn(client)
      try {
        return await job()
      } finally {
        startNext()
      }
    }
  }

  /** Resolves once a job that ended leaves its slot to this one. */
  async function turn (client: string): Promise<void> {
    const mine = roundFor(client)
    const later = waiters.findIndex(waiter => waiter.round > mine)
    if (waiters.length >= waiting) {
      if (later < 0) throw busy(new Error('the password queue is full'))
      waiters.slice(-1).forEach(last => last.refuse())
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => refuse(`no turn for password work within ${maxWait} s`), maxWait * 1000)
      timer.unref()
      const waiter: Waiter = { client, round: mine, start: () => leave(resolve), refuse: () => refuse('the password queue is full') }
      waiters.splice(later < 0 ? waiters.length : later, 0, waiter)

      function refuse (cause: string): void {
        leave(() => reject(busy(new Error(cause))))
      }

      function leave (settle: () => void): void {
        clearTimeout(timer)
        waiters.splice(waiters.indexOf(waiter), 1)
        settle()
      }
    })
  }

  /** The first round without a job of the client. */
  function roundFor (client: string): number {
    return waiters.reduce((next, waiter) => waiter.client === client ? waiter.round + 1 : next, round)
  }

  /** The slot goes straight to the next waiter, so that a new job cannot take it. */
  function startNext (): void {
    const [next] = waiters
    if (next === undefined) {
      running--
      return
    }
    round = next.round
    next.start()
  }
}

/** FST_AUTH_BUSY with a Retry-After spread over 1 to 5 seconds, so that clients do not all retry at once. */
export function busy (cause: unknown): AuthError {
  return new AuthError('FST_AUTH_BUSY', { cause, retryAfter: randomInt(1, 6) })
}
