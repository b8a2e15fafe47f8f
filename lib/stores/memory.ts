import { setImmediate } from 'node:timers/promises'
import { byAge, isLive, isRevoked, LIST_START, type RevocationListener, type RevokeReason, type Session, type SessionListPart, type SessionStore } from '../sessions/session.js'
import { systemClock, type Clock, type EpochSeconds, type Seconds } from '../time.js'
import { checkedOptions } from './options.js'

/** The options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock
}

const FIRST_SWEEP = 1000

/** A session past its idle end may still be renewed by its access token, and none lives longer than a day. */
const SETTLED: Seconds = 86_400

/** The most sessions that are revoked at once: more would delay other requests. */
const REVOKE_BATCH = 1000

/** The most strings that are shared before the table is cleared. */
const SHARED_TEXTS = 1000

/**
 * Sessions in the memory of this process, for a single process, tests and development. A restart ends them all, and
 * another process does not see them.
 */
export function memoryStore (options: MemoryStoreOptions = {}): Required<Omit<SessionStore, 'open' | 'claim' | 'now'>> {
  const { clock = systemClock } = checkedOptions('memoryStore', options, ['clock'])
  const sessions = new Map<string, Session>()
  // Unrevoked sessions only. Most users have one, and a Set would take as much memory as the session itself.
  const idsOf = new Map<string, string | Set<string>>()
  const texts = new Map<string, string>()
  const listeners = new Set<RevocationListener>()
  let sweepAt = FIRST_SWEEP

  return {
    async create (session) {
      if (sessions.has(session.id)) throw new Error('a session with this id exists')
      if (sessions.size >= sweepAt) sweep()
      const { id, subject } = keep(session)
      const ids = idsOf.get(subject)
      if (ids === undefined) idsOf.set(subject, id)
      else if (typeof ids === 'string') idsOf.set(subject, new Set([ids, id]))
      else ids.add(id)
    },

    async get (id) {
      return sessions.get(id) ?? null
    },

    async advance (id, fromGeneration, change) {
      const session = sessions.get(id)
      if (session === undefined || isRevoked(session) || session.generation !== fromGeneration) return null
      return keep({ ...session, ...change })
    },

    async revoke (id, reason) {
      const session = sessions.get(id)
      if (session === undefined || isRevoked(session)) return false
      end(session, reason, Math.floor(clock()))
      for (const listener of listeners) listener({ id })
      return true
    },

    async revokeAll (subject, reason, exceptId) {
      const at = Math.floor(clock())
      const batch: Session[] = []
      for (const session of unrevokedOf(subject)) {
        if (session.id !== exceptId) batch.push(session)
        if (batch.length === REVOKE_BATCH) break
      }
      for (const session of batch) end(session, reason, at)
      for (const listener of listeners) listener({ subject, at, ...(exceptId !== undefined && { exceptId }) })
      if (batch.length === REVOKE_BATCH) await setImmediate() // lets other requests run before the next batch
      return batch.length
    },

    async list (subject, { limit = Infinity, after = LIST_START, liveAt }: Partial<SessionListPart> = {}) {
      const isWanted = (session: Session): boolean => byAge(session, after) > 0 && (liveAt === undefined || isLive(session, liveAt))
      return oldestOf(unrevokedOf(subject), isWanted, limit)
    },

    async purgeExpired (before) {
      return purge(before)
    },

    subscribe (listener, onConnection) {
      listeners.add(listener)
      onConnection?.(true)
      return () => { listeners.delete(listener) }
    }
  }

  /**
   * Stores a frozen copy: callers hold these objects, and only this store may change a session. The fields are written
   * out, since an object that is spread and then frozen takes 360 bytes more (V8 of Node 20).
   */
  function keep (session: Session): Session {
    const kept = Object.freeze({
      id: session.id,
      subject: session.subject,
      generation: session.generation,
      previous: session.previous,
      rotatedAt: session.rotatedAt,
      createdAt: session.createdAt,
      expiresAt: session.expiresAt,
      idleExpiresAt: session.idleExpiresAt,
      authTime: session.authTime,
      userAgent: shared(session.userAgent),
      ip: session.ip,
      revokedAt: session.revokedAt ?? null,
      reason: session.reason ?? null
    } satisfies Required<Session>)
    sessions.set(kept.id, kept)
    return kept
  }

  function end (session: Session, reason: RevokeReason, at: EpochSeconds): void {
    keep({ ...session, revokedAt: at, reason })
    leaveIndex(session)
  }

  function * unrevokedOf (subject: string): Generator<Session> {
    for (const id of allOf(idsOf.get(subject))) {
      const session = sessions.get(id)
      if (session !== undefined) yield session
    }
  }

  function purge (before: EpochSeconds): number {
    let count = 0
    for (const session of sessions.values()) {
      if (session.idleExpiresAt >= before) continue
      remove(session)
      count++
    }
    return count
  }

  /** Purges expired sessions each time the map has doubled: constant cost per login (amortised), and no timer. */
  function sweep (): void {
    purge(Math.floor(clock()) - SETTLED)
    sweepAt = Math.max(FIRST_SWEEP, 2 * sessions.size)
  }

  function remove (session: Session): void {
    sessions.delete(session.id)
    leaveIndex(session)
  }

  function leaveIndex ({ id, subject }: Session): void {
    const ids = idsOf.get(subject)
    if (typeof ids === 'object') ids.delete(id)
    if (ids === id || (typeof ids === 'object' && ids.size === 0)) idsOf.delete(subject)
  }

  /** One copy of a user agent that many sessions share: each request brings a new string. */
  function shared (text: string | null): string | null {
    if (text === null) return null
    const known = texts.get(text)
    if (known !== undefined) return known
    if (texts.size >= SHARED_TEXTS) texts.clear()
    texts.set(text, text)
    return text
  }
}

/** The oldest `limit` sessions in one pass: sorting all that a flood of logins left would delay other requests. */
function oldestOf (sessions: Iterable<Session>, isWanted: (session: Session) => boolean, limit: number): Session[] {
  const kept: Session[] = []
  let youngest: Session | undefined
  for (const session of sessions) {
    if (!isWanted(session) || (youngest !== undefined && byAge(session, youngest) > 0)) continue
    kept.push(session)
    if (kept.length < 2 * limit) continue
    kept.sort(byAge).length = limit
    youngest = kept.at(-1)
  }
  return kept.sort(byAge).slice(0, limit)
}

function allOf (ids: string | Set<string> = new Set()): Iterable<string> {
  return typeof ids === 'string' ? [ids] : ids
}
