import { setImmediate } from 'node:timers/promises'
import { LIST_START } from '../../sessions/session.js'
import { type Revocation, type SessionPage, type SessionStore } from '../../sessions/store.js'
import { type Clock } from '../../time.js'
import { ownership } from '../ownership.js'
import { type PolledRevocations, type ReadRevocations, RevocationPoll } from './revocation-poll.js'
import { type SessionTable } from './session-table.js'

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
