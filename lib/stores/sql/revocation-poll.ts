import { type Revocation, type RevocationListener, type SessionStore } from '../../sessions/store.js'
import { waitAtMost, type Pause } from '../reconnecting-subscription.js'

/**
 * A revoked session and the number of its revocation. Each revocation takes the next number and keeps a lock on the counter
 * until it is committed, so numbers become visible in their order and a reader misses none, however late a commit is.
 */
export interface NumberedRevocation {
  readonly id: string
  readonly number: number
}

/** The result of a poll: the counter, and the revocations after a position, ordered by number and id. */
export interface PolledRevocations {
  readonly newest: number
  readonly revoked: readonly NumberedRevocation[]
}

/** Reads at most `limit` revocations after a position. Rejects within seconds where the database does not answer. */
export type ReadRevocations = (after: NumberedRevocation, limit: number) => Promise<PolledRevocations>

/** The default interval. */
export const POLL_EVERY_MS = 1000

/** The id of the row that holds the counter, in the column `revocation`. No session has such an id. */
export const COUNTER_ID = ':revocations'

const PAGE = 1000
const LATEST: NumberedRevocation = { id: '', number: Number.MAX_SAFE_INTEGER }

/** The position after all revocations with a number: session ids consist of A-Z, a-z, 0-9, _ and -. */
function behind (number: number): NumberedRevocation {
  return { id: '~', number }
}

interface Subscriber {
  readonly listener: RevocationListener
  readonly onConnection: (up: boolean) => void
}

/**
 * Notifies the listeners of a store of revoked sessions: at once for its own, and by polling for those of every process. A poll
 * reports the own ones again: if the reply to a revocation is lost, `notify` is never called.
 */
export class RevocationPoll {
  readonly #everyMs: number
  readonly #read: ReadRevocations
  readonly #pause: Pause
  readonly #subscribers = new Set<Subscriber>()
  #position: NumberedRevocation | undefined
  #isUp: boolean | undefined
  #polling: AbortController | undefined

  constructor (everyMs: number, read: ReadRevocations, pause: Pause = waitAtMost) {
    this.#everyMs = everyMs
    this.#read = read
    this.#pause = pause
  }

  /** The method `subscribe` of a store. All subscriptions share one poll. */
  readonly subscribe: NonNullable<SessionStore['subscribe']> = (listener, onConnection = () => {}) => {
    const subscriber = { listener, onConnection }
    this.#subscribers.add(subscriber)
    if (this.#isUp !== undefined) onConnection(this.#isUp)
    if (this.#polling === undefined) this.#poll()
    return () => {
      this.#subscribers.delete(subscriber)
      if (this.#subscribers.size === 0) this.#stop()
    }
  }

  readonly notify = (revocation: Revocation): void => {
    for (const { listener } of this.#subscribers) listener(revocation)
  }

  async #poll (): Promise<void> {
    const polling = this.#polling = new AbortController()
    while (!polling.signal.aborted) {
      const isUp = await this.#readNew(polling.signal).then(() => true, () => false)
      if (polling.signal.aborted) return
      this.#report(isUp)
      await this.#pause(this.#everyMs, polling.signal)
    }
  }

  #stop (): void {
    this.#polling?.abort()
    this.#polling = this.#position = this.#isUp = undefined
  }

  /** Reports what is new. After a failure it goes on where it was, so nothing is missed. */
  async #readNew (polling: AbortSignal): Promise<void> {
    const after = this.#position
    const { newest, revoked } = await this.#read(after ?? LATEST, PAGE)
    if (polling.aborted) return
    if (after === undefined || newest < after.number) {
      if (after !== undefined) this.#report(false) // an older copy was restored: what it revokes now has old numbers
      this.#position = behind(newest)
      return
    }
    for (const { id } of revoked) this.notify({ id })
    this.#position = revoked.at(-1) ?? behind(newest)
    if (revoked.length === PAGE) await this.#readNew(polling)
  }

  #report (isUp: boolean): void {
    if (isUp === this.#isUp) return
    this.#isUp = isUp
    for (const { onConnection } of this.#subscribers) onConnection(isUp)
  }
}
