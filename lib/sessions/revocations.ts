import { type AccessClaims } from '../tokens/claims.js'
import { type RevocationListener } from './session.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** `unknown`: the store must be asked. */
export type Verdict = 'live' | 'ended' | 'unknown'

/** The revoked sessions whose access tokens have not expired, for a check per request without I/O. */
export interface Revocations {
  judge (claims: Pick<AccessClaims, 'sid' | 'sub' | 'iat'>): Verdict
  /** Asks the store about an unknown session and keeps the answer, since the subscription reports later revocations. Rejects as `isLive` does. */
  ask (id: string, isLive: () => Promise<boolean>): Promise<Verdict>
  /** The listener for the store's `subscribe`. */
  readonly listener: RevocationListener
  /**
   * Call it when the subscription goes up or down. After an interruption the revocations meanwhile are unknown, so each session is
   * `unknown` until the store was asked once.
   */
  connected (up: boolean): void
  /** There were more revocations than `capacity`. Every session that is not revoked is `unknown` until they expire. */
  isFull (): boolean
  /** An unknown session is refused if the store fails: always with `unknown: 'refuse'`, else while the set is full. */
  refusesUnknown (): boolean
}

export interface RevocationsOptions {
  readonly clock: Clock
  /** How long an entry is kept: the longest time that an access token of an ended session can stay valid. */
  readonly retain: Seconds
  /** The tolerated clock difference of instances. */
  readonly skew: Seconds
  /** With 'refuse' the store is asked at every request while the subscription is down. */
  readonly unknown?: 'accept' | 'refuse' | undefined
  /** The largest number of entries. No entry is evicted for another, since its session would count as live again. */
  readonly capacity?: number | undefined
}

/** All sessions of a subject, but for `exceptId`, were revoked at `at`. */
interface SubjectEntry {
  readonly at: EpochSeconds
  readonly exceptId: string | undefined
  readonly until: EpochSeconds
  readonly sequence: number
  /** It replaced an earlier entry with another `exceptId`, which may have ended the session that this one spares. */
  readonly hidesAnother: boolean
}

const CAPACITY = 100_000

const NEVER = -1

/** An empty set. The subscription counts as down, so revocations from before the first `connected(true)` are unknown. */
export function createRevocations ({ clock, retain, skew, unknown = 'accept', capacity = CAPACITY }: RevocationsOptions): Revocations {
  // Maps keep the order of insertion, and all entries are kept equally long, so the expired ones are at the front.
  const sessions = new Map<string, EpochSeconds>()
  const subjects = new Map<string, SubjectEntry>()
  /** Sessions that the store confirmed as live. Timestamps have 1 s resolution, so events carry a sequence number. */
  const confirmed = new Map<string, number>()
  let sequence = 0
  let gap = { end: NEVER, sequence: NEVER }
  let fullUntil: EpochSeconds = 0
  let isUp = false

  return {
    judge ({ sid, sub, iat }) {
      if (sessions.has(sid)) return 'ended'
      if (isFull() || (!isUp && unknown === 'refuse')) return 'unknown'
      const all = subjects.get(sub)
      const isSpared = all?.exceptId === sid
      if (all !== undefined && !isSpared && iat < all.at - skew) return 'ended'
      // Within `skew` of the revocation, `iat` does not show whether a token is older or newer.
      const inDoubt = all !== undefined && (isSpared ? all.hidesAnother : iat <= all.at + skew)
      const doubt = inDoubt ? all.sequence : NEVER
      const doubtOfGap = iat <= gap.end + skew ? gap.sequence : NEVER
      return (confirmed.get(sid) ?? NEVER) >= Math.max(doubt, doubtOfGap) ? 'live' : 'unknown'
    },

    async ask (id, isLive) {
      const asked = ++sequence // before the call, since a revocation may arrive before its answer
      if (!await isLive()) {
        sessions.delete(id) // so that it is inserted at the end
        if (hasRoom()) sessions.set(id, now() + retain)
        return 'ended'
      }
      confirmed.delete(id) // so that it is inserted at the end
      if (confirmed.size < capacity) confirmed.set(id, asked)
      return sessions.has(id) ? 'ended' : 'live'
    },

    listener (revocation) {
      deleteExpired()
      const until = now() + retain
      if ('id' in revocation) sessions.delete(revocation.id) // so that it is inserted at the end
      if (!hasRoom()) {
        fullUntil = until
      } else if ('id' in revocation) {
        sessions.set(revocation.id, until)
      } else {
        const { subject, at, exceptId } = revocation
        const before = subjects.get(subject)
        const hidesAnother = before !== undefined && (before.hidesAnother || before.exceptId !== exceptId)
        subjects.delete(subject) // so that it is inserted at the end
        subjects.set(subject, { at, exceptId, until, sequence: ++sequence, hidesAnother })
      }
    },

    connected (up) {
      isUp = up
      gap = up ? { end: now(), sequence: ++sequence } : { end: NEVER, sequence: NEVER }
    },

    isFull,

    refusesUnknown: () => unknown === 'refuse' || isFull()
  }

  function now (): EpochSeconds {
    return Math.floor(clock())
  }

  function hasRoom (): boolean {
    return sessions.size + subjects.size < capacity
  }

  function isFull (): boolean {
    return fullUntil !== 0 && now() < fullUntil
  }

  function deleteExpired (): void {
    const at = now()
    deleteWhile(sessions, until => until <= at)
    deleteWhile(subjects, ({ until }) => until <= at)
    // Keep confirmations newer than the oldest unresolved revocation.
    const [oldest] = subjects.values()
    const doubts = [oldest?.sequence ?? Infinity, gap.end + skew + retain <= at ? Infinity : gap.sequence]
    deleteWhile(confirmed, asked => asked < Math.min(...doubts))
  }
}

/** Deletes entries from the front of a map while `isExpired`. */
function deleteWhile<V> (entries: Map<string, V>, isExpired: (value: V) => boolean): void {
  for (const [key, value] of entries) {
    if (!isExpired(value)) return
    entries.delete(key)
  }
}
