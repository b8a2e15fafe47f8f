import { setImmediate } from 'node:timers/promises'
import { checkedOptions } from '../options/validators.js'
import { byCreation, isLive, isRevoked, LIST_START, type RevokeReason, type Session, type SessionChange } from '../sessions/session.js'
import { type Revocation, type RevocationListener, type SessionPage, type SessionStore } from '../sessions/store.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** The options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock | undefined
}

type Store = Required<Omit<SessionStore, 'open' | 'claim' | 'now'>>

/**
 * Sessions in the memory of this process, for a single process, tests and development. A restart ends them all, and
 * another process does not see them. Its methods need no `this`, so a store can be spread. Throws a TypeError for wrong
 * options.
 */
export function memoryStore (options: MemoryStoreOptions = {}): Store {
  const { clock } = checkedOptions('memoryStore', options, ['clock'])
  return new MemoryStore(clock)
}

/** False for a copy by spread, which may replace any method. */
export function isMemoryStore (store: SessionStore): boolean {
  return store instanceof MemoryStore
}

const FIRST_PURGE_SIZE = 1000

/** Access tokens live for a day at most, and until then one may renew a session that is past its idle expiry. */
const RENEWABLE_FOR: Seconds = 86_400

/** The most sessions that are revoked at once: more would delay other requests. */
const REVOKE_BATCH = 1000

/** The sessions that a purge reads at once, in less than 5 ms. */
const PURGE_BATCH = 10_000

/** The most user agents that are shared before the table is cleared. */
const SHARED_USER_AGENTS = 1000

class MemoryStore implements Store {
  readonly #clock: Clock
  readonly #sessions = new Map<string, Session>()
  /** The ids of a subject's unrevoked sessions. Most users have one, and a Set takes as much memory as the session itself. */
  readonly #idsOf = new Map<string, string | Set<string>>()
  readonly #userAgents = new Map<string, string>()
  readonly #listeners = new Set<RevocationListener>()
  #nextPurgeSize = FIRST_PURGE_SIZE

  constructor (clock: Clock) {
    this.#clock = clock
  }

  readonly create = async (session: Session): Promise<void> => {
    if (this.#sessions.has(session.id)) throw new Error('a session with this id exists')
    this.#purgeWhenDoubled()
    this.#write(session)
    this.#addToIndex(session)
  }

  readonly get = async (id: string): Promise<Session | null> => this.#sessions.get(id) ?? null

  readonly advance = async (id: string, fromGeneration: number, change: SessionChange): Promise<Session | null> => {
    const session = this.#sessions.get(id)
    if (session === undefined || isRevoked(session) || session.generation !== fromGeneration) return null
    return this.#write({ ...session, ...change })
  }

  readonly revoke = async (id: string, reason: RevokeReason): Promise<boolean> => {
    const session = this.#sessions.get(id)
    if (session === undefined || isRevoked(session)) return false
    this.#end(session, reason, this.#clock())
    this.#notify({ id })
    return true
  }

  readonly revokeAll = async (subject: string, reason: RevokeReason, exceptId?: string): Promise<number> => {
    const at = this.#clock()
    const batch: Session[] = []
    for (const session of this.#unrevokedOf(subject)) {
      if (session.id !== exceptId) batch.push(session)
      if (batch.length === REVOKE_BATCH) break
    }
    for (const session of batch) this.#end(session, reason, at)
    this.#notify({ subject, at, ...(exceptId !== undefined && { exceptId }) })
    if (batch.length === REVOKE_BATCH) await setImmediate() // lets other requests run before the next batch
    return batch.length
  }

  readonly list = async (subject: string, { limit = Infinity, after = LIST_START, liveAt }: Partial<SessionPage> = {}): Promise<Session[]> => {
    const isWanted = (session: Session): boolean => byCreation(session, after) > 0 && (liveAt === undefined || isLive(session, liveAt))
    return oldestOf(this.#unrevokedOf(subject), isWanted, limit)
  }

  readonly purgeExpired = async (before: EpochSeconds): Promise<number> => await this.#purge(before)

  readonly subscribe = (listener: RevocationListener, onConnection?: (up: boolean) => void): () => void => {
    this.#listeners.add(listener)
    onConnection?.(true)
    return () => { this.#listeners.delete(listener) }
  }

  /**
   * Stores a frozen copy: callers hold these objects, and only this store may change a session. The fields are written
   * out, since an object that is spread and then frozen takes 360 bytes more (V8 of Node 20).
   */
  #write (session: Session): Session {
    const row = Object.freeze({
      id: session.id,
      subject: session.subject,
      generation: session.generation,
      previous: session.previous,
      rotatedAt: session.rotatedAt,
      createdAt: session.createdAt,
      expiresAt: session.expiresAt,
      idleExpiresAt: session.idleExpiresAt,
      authTime: session.authTime,
      userAgent: this.#shared(session.userAgent),
      ip: session.ip,
      revokedAt: session.revokedAt ?? null,
      reason: session.reason ?? null
    } satisfies Required<Session>)
    this.#sessions.set(row.id, row)
    return row
  }

  #end (session: Session, reason: RevokeReason, at: EpochSeconds): void {
    this.#write({ ...session, revokedAt: at, reason })
    this.#removeFromIndex(session)
  }

  #notify (revocation: Revocation): void {
    for (const listener of this.#listeners) listener(revocation)
  }

  * #unrevokedOf (subject: string): Generator<Session> {
    const ids = this.#idsOf.get(subject) ?? []
    for (const id of typeof ids === 'string' ? [ids] : ids) {
      const session = this.#sessions.get(id)
      if (session !== undefined) yield session
    }
  }

  #addToIndex ({ id, subject }: Session): void {
    const ids = this.#idsOf.get(subject)
    if (ids === undefined) this.#idsOf.set(subject, id)
    else if (typeof ids === 'string') this.#idsOf.set(subject, new Set([ids, id]))
    else ids.add(id)
  }

  #removeFromIndex ({ id, subject }: Session): void {
    const ids = this.#idsOf.get(subject)
    if (typeof ids === 'object') ids.delete(id)
    if (ids === id || (typeof ids === 'object' && ids.size === 0)) this.#idsOf.delete(subject)
  }

  /** Purges each time the map has doubled: constant cost per login (amortised), and no timer. */
  #purgeWhenDoubled (): void {
    if (this.#sessions.size < this.#nextPurgeSize) return
    const before = this.#clock() - RENEWABLE_FOR // read first, since the clock of an app may throw
    this.#nextPurgeSize = Infinity // until this purge has ended
    this.#purge(before).then(() => { this.#nextPurgeSize = Math.max(FIRST_PURGE_SIZE, 2 * this.#sessions.size) })
  }

  async #purge (before: EpochSeconds): Promise<number> {
    let count = 0
    let read = 0
    for (const session of this.#sessions.values()) {
      if (session.idleExpiresAt < before) {
        this.#sessions.delete(session.id)
        this.#removeFromIndex(session)
        count++
      }
      if (++read % PURGE_BATCH === 0) await setImmediate() // lets other requests run before the next batch
    }
    return count
  }

  /** One copy of a user agent that many sessions share: each request brings a new string. */
  #shared (userAgent: string | null): string | null {
    if (userAgent === null) return null
    const known = this.#userAgents.get(userAgent)
    if (known !== undefined) return known
    if (this.#userAgents.size >= SHARED_USER_AGENTS) this.#userAgents.clear()
    this.#userAgents.set(userAgent, userAgent)
    return userAgent
  }
}

/** The oldest `limit` sessions in one pass: sorting all that a flood of logins left would delay other requests. */
function oldestOf (sessions: Iterable<Session>, isWanted: (session: Session) => boolean, limit: number): Session[] {
  const oldest: Session[] = []
  let youngest: Session | undefined
  for (const session of sessions) {
    if (!isWanted(session) || (youngest !== undefined && byCreation(session, youngest) > 0)) continue
    oldest.push(session)
    if (oldest.length < 2 * limit) continue
    oldest.sort(byCreation).length = limit
    youngest = oldest.at(-1)
  }
  return oldest.sort(byCreation).slice(0, limit)
}
