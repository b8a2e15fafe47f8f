import { randomInt } from 'node:crypto'
import { AuthError } from '../errors.js'
import { type Seconds } from '../time.js'

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
   * Runs a job of a client in its turn, and settles as it does. Each client has one job in each round, so nobody waits for
   * all the jobs of somebody else. Throws FST_AUTH_BUSY when the turn does not come in time, or when all places are taken:
   * then the one whose turn is farthest away is refused. A job that was refused never runs.
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
 * A bounded queue, so that a flood of logins neither fills the memory nor stalls everything else that
 * uses libuv's threads (measured: 60 unqueued hashes delayed an unrelated file read by 5 s).
 */
export function createPasswordQueue ({ concurrency, waiting, maxWait }: PasswordQueueOptions): PasswordQueue {
  /** In the order of their turns: by rounds, and in each as they came. */
  const waiters: Waiter[] = []
  let running = 0
  /** That of the job that began last. */
  let round = 0

  return {
    async run (client, job) {
      if (running < concurrency) running++
      else await turn(client)
      try {
        return await job()
      } finally {
        passOn()
      }
    }
  }

  /** Resolves once a job that ends hands its place over. */
  async function turn (client: string): Promise<void> {
    const mine = roundFor(client)
    const later = waiters.findIndex(waiter => waiter.round > mine)
    if (waiters.length >= waiting) {
      if (later < 0) throw busy(new Error('all places for password work are taken'))
      waiters.slice(-1).forEach(last => last.refuse())
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => refuse(`no turn for password work within ${maxWait} s`), maxWait * 1000)
      timer.unref()
      const waiter: Waiter = { client, round: mine, start: () => leave(resolve), refuse: () => refuse('all places for password work are taken') }
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

  /** The first round in which a client has no job. */
  function roundFor (client: string): number {
    return waiters.reduce((next, waiter) => waiter.client === client ? waiter.round + 1 : next, round)
  }

  /** The place goes straight to the one whose turn it is: nobody who comes meanwhile can take it. */
  function passOn (): void {
    const [next] = waiters
    if (next === undefined) {
      running--
      return
    }
    round = next.round
    next.start()
  }
}

/** FST_AUTH_BUSY with a wait that is spread over 1 to 5 seconds, so that clients do not all come back at once. */
export function busy (cause: unknown): AuthError {
  return new AuthError('FST_AUTH_BUSY', { cause, retryAfter: randomInt(1, 6) })
}
