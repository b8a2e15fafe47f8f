import { setImmediate } from 'node:timers/promises'
import { LIST_START } from '../../sessions/session.js'
import { type Revocation, type SessionPage, type SessionStore, type RevocationListener } from '../../sessions/store.js'
import { type Clock } from '../../time.js'
import { ownership } from '../ownership.js'
import { type SessionTable } from './session-table.js'
import { waitAtMost, type Pause } from '../revocation-feed.js'

/** The parts that differ between databases. */
interface SqlStoreParts {
  /** The name of the store's function, for errors. */
  readonly name: string
  /** The name of the table. */
  readonly table: string
  readonly sessions: SessionTable
  readonly clock: Clock
  /** Notifies the listeners in this process. */
  readonly notify: (revocation: Revocation) => void
}

/** A table whose revocations have numbers. */
interface PolledTable extends SessionTable {
  /** As `ReadRevocations`; null if the counter is missing. */
  readRevocations (...query: Parameters<ReadRevocations>): Promise<PolledRevocations | null>
  /** Makes the counter that was missing. */
  addCounter (): Promise<unknown>
}

interface PolledStoreOptions extends Omit<SqlStoreParts, 'notify'> {
  readonly sessions: PolledTable
  readonly pollEveryMs: number
}

/** A store for a database without notifications: its subscriptions poll the table. */
export function polledStore ({ pollEveryMs, ...parts }: PolledStoreOptions): Required<SessionStore> {
  const poll: RevocationPoll = new RevocationPoll(pollEveryMs, async (after, limit) => {
    await store.open()
    const read = await parts.sessions.readRevocations(after, limit)
    if (read !== null) return read
    await parts.sessions.addCounter()
    throw new Error('the counter of revocations was deleted')
  })
  const store = sqlStore({ ...parts, notify: poll.notify })
  return { ...store, subscribe: poll.subscribe }
}

/** Every method of a store but `subscribe`. */
export type SqlStore = Required<Omit<SessionStore, 'subscribe'>>

/** Takes less than a second on a busy server, for statement timeouts. */
const REVOKE_BATCH = 1000
const PURGE_BATCH = 1000

/** A store on a table, which is prepared at the first call. */
export function sqlStore ({ name, table, sessions, clock, notify }: SqlStoreParts): SqlStore {
  const { prepared, ready, claim } = opening(name, table, sessions)

  return {
    open: prepared,
    claim,

    async create (session) {
      await ready()
      await sessions.insert(session)
    },

    async get (id) {
      await ready()
      return await sessions.find(id)
    },

    async advance (id, fromGeneration, change) {
      await ready()
      return await sessions.advance(id, fromGeneration, change)
    },

    async revoke (id, reason) {
      await ready()
      const count = await sessions.revoke({ id }, clock(), reason, 1)
      notify({ id }) // also if it was revoked before: the reply to that call may have been lost
      return count > 0
    },

    async revokeAll (subject, reason, exceptId) {
      await ready()
      const revocation = { subject, at: clock(), ...(exceptId !== undefined && { exceptId }) }
      const count = await sessions.revoke(revocation, revocation.at, reason, REVOKE_BATCH)
      notify(revocation)
      if (count === REVOKE_BATCH) await setImmediate() // SQLite is synchronous: lets other requests run before the next batch
      return count
    },

    async list (subject, { limit = Number.MAX_SAFE_INTEGER, after = LIST_START, liveAt = -1 }: Partial<SessionPage> = {}) {
      await ready()
      return await sessions.list(subject, { limit, after, liveAt })
    },

    async purgeExpired (before, signal) {
      await ready()
      return await purge(sessions, before, signal)
    },

    async now () {
      await ready()
      return await sessions.now()
    }
  }
}

async function purge (sessions: SessionTable, before: number, signal: AbortSignal | undefined): Promise<number> {
  let count = 0
  let deleted
  do {
    deleted = await sessions.deleteExpired(before, PURGE_BATCH)
    count += deleted
    if (deleted === PURGE_BATCH) await setImmediate() // as in `revokeAll`
  } while (deleted === PURGE_BATCH && !signal?.aborted)
  return count
}

/** Prepares a table once, and resolves the claims on it. */
function opening (name: string, table: string, sessions: SessionTable) {
  let preparing: Promise<void> | undefined
  let isPrepared = false
  const owned = ownership({
    place: `${name}: the table "${table}"`,
    option: `the option "table" of ${name}`,
    removal: sessions.sql.removeOwner,
    async read () {
      await prepared()
      return await sessions.readOwner()
    },
    replace: (found, next) => sessions.replaceOwner(found, next)
  })
  return { prepared, ready, claim: owned.claim }

  /** Concurrent calls share one attempt; the next call after a failed one tries again. */
  function prepared (): Promise<void> {
    preparing ??= sessions.prepare().then(() => { isPrepared = true }, error => {
      preparing = undefined
      throw error
    })
    return preparing
  }

  /** Each call waits until the table is prepared, and until its owner is known if an app has claimed it. Mostly it need not wait. */
  function ready (): Promise<void> | undefined {
    return isPrepared ? owned.resolveClaims() : prepared().then(owned.resolveClaims)
  }
}

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
type ReadRevocations = (after: NumberedRevocation, limit: number) => Promise<PolledRevocations>

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

  /** Reports the new revocations. After a failure it continues from its last position, so it misses none. */
  async #readNew (polling: AbortSignal): Promise<void> {
    const after = this.#position
    const { newest, revoked } = await this.#read(after ?? LATEST, PAGE)
    if (polling.aborted) return
    if (after === undefined || newest < after.number) {
      if (after !== undefined) this.#report(false) // an older copy was restored, so new revocations get old numbers again
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
