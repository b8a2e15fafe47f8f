import { busy } from '../deadline.js'
import { isObserved, observe } from '../diagnostics-channels.js'
import { type AuthError } from '../errors.js'
import { type Seconds } from '../time.js'

export interface HashingQueueOptions {
  /** Jobs that run at once. libuv has 4 threads by default, and files and DNS need some of them. */
  readonly concurrency: number
  /** Jobs that may wait. */
  readonly waiting: number
  /** The longest time that a job waits. */
  readonly maxWait: Seconds
}

interface Waiter {
  readonly client: string
  readonly round: number
  readonly timer: NodeJS.Timeout
  resolve (): void
  reject (error: AuthError): void
}

/**
 * A concurrency-limited FIFO queue, fair between clients. It is bounded, so that a flood of logins neither fills the memory nor
 * stalls everything else that uses libuv's threads (measured: 60 unqueued hashes delayed an unrelated file read by 5 s).
 */
export class HashingQueue {
  readonly #options: HashingQueueOptions
  /** In the order of their start: by round, then by arrival. */
  readonly #waiters: Waiter[] = []
  #running = 0
  /** The round of the job that started last. */
  #round = 0

  constructor (options: HashingQueueOptions) {
    this.#options = options
  }

  /**
   * Runs a job and settles as it does. Waiting jobs start in rounds, with one job of each client per round, so that nobody
   * waits for all the jobs of another client. Throws FST_AUTH_BUSY if the job waits longer than `maxWait`, or if the queue
   * is full: then the job that would start last is refused. A job that was refused never runs.
   *
   * `keepSlot` keeps the slot of a job that has settled until the work that it left unfinished ends too. That must not reject.
   */
  async run<T> (client: string, job: (keepSlot: (work: Promise<unknown>) => void) => Promise<T> | T): Promise<T> {
    if (this.#running < this.#options.concurrency) this.#running++
    else await (isObserved() ? observe('password', 'wait', () => this.#wait(client)) : this.#wait(client))
    let unfinished: Promise<unknown> | undefined
    const work = (): Promise<T> | T => job(left => { unfinished = left })
    try {
      return await (isObserved() ? observe('password', 'work', work) : work())
    } finally {
      if (unfinished === undefined) this.#startNext()
      else unfinished.finally(() => this.#startNext())
    }
  }

  /** The next job would be refused, or would displace one that waits. */
  get isFull (): boolean {
    return this.#running >= this.#options.concurrency && this.#waiters.length >= this.#options.waiting
  }

  /** Resolves once a job that ended leaves its slot to this one. */
  async #wait (client: string): Promise<void> {
    const { waiting, maxWait } = this.#options
    const round = this.#roundFor(client)
    const later = this.#waiters.findIndex(waiter => waiter.round > round)
    if (this.#waiters.length >= waiting) {
      const last = this.#waiters.at(-1)
      if (later < 0 || last === undefined) throw busy(new Error(FULL))
      this.#refuse(last, FULL)
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => this.#refuse(waiter, `no turn for password work within ${maxWait} s`), maxWait * 1000)
      timer.unref()
      const waiter = { client, round, timer, resolve, reject }
      this.#waiters.splice(later < 0 ? this.#waiters.length : later, 0, waiter)
    })
  }

  /** The first round without a job of the client. */
  #roundFor (client: string): number {
    return this.#waiters.reduce((next, waiter) => waiter.client === client ? waiter.round + 1 : next, this.#round)
  }

  /** The slot goes straight to the next waiter, so that a new job cannot take it. */
  #startNext (): void {
    const [next] = this.#waiters
    if (next === undefined) {
      this.#running--
      return
    }
    this.#round = next.round
    this.#remove(next)
    next.resolve()
  }

  #refuse (waiter: Waiter, cause: string): void {
    this.#remove(waiter)
    waiter.reject(busy(new Error(cause)))
  }

  #remove (waiter: Waiter): void {
    clearTimeout(waiter.timer)
    this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
  }
}

const FULL = 'the password queue is full'
