import { type AccessClaims } from '../tokens/claims.js'
import { type RevocationListener } from './session.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** What is known of a session: `unknown` means that only the store can tell. */
export type Verdict = 'live' | 'ended' | 'unknown'

/** The sessions that ended while access tokens of theirs still live: asked at every request, without I/O. */
export interface Revocations {
  judge (claims: Pick<AccessClaims, 'sid' | 'sub' | 'iat'>): Verdict
  /** Asks the store about an unknown session and keeps the answer: what ends it later is heard of. Rejects as `isLive` does. */
  ask (id: string, isLive: () => Promise<boolean>): Promise<Verdict>
  /** Takes what the store's subscription tells. */
  readonly listener: RevocationListener
  /**
   * Takes whether the subscription is up. While it is down the set goes on with what it has; once it is up again, what
   * ended meanwhile is unknown, and asked for once a session.
   */
  connected (up: boolean): void
  /** Whether there were more revocations than fit: nobody is known to be live until the first of them no longer matter. */
  isFull (): boolean
  /** Whether a session that the store cannot tell about now is refused: always where `unknown` is 'refuse', else while the set is full. */
  refusesUnknown (): boolean
}

/** How revocations are kept. */
export interface RevocationsOptions {
  readonly clock: Clock
  /** How long an entry matters: no access token lives longer, nor does a request under way. */
  readonly retain: Seconds
  /** By how much clocks of instances may differ. */
  readonly skew: Seconds
  /** With 'refuse' nobody is taken for live while the subscription is down: the store is asked each time. */
  readonly unknown?: 'accept' | 'refuse' | undefined
  /** How many entries fit; none is ever dropped for another. */
  readonly capacity?: number | undefined
}

/** Everything that a subject held at a moment was ended, but for one session. */
interface SubjectEntry {
  readonly at: EpochSeconds
  readonly exceptId: string | undefined
  readonly until: EpochSeconds
  /** Its sequence number. */
  readonly turn: number
  /** Whether it took the place of one that did not spare the same session. */
  readonly hidesAnother: boolean
}

const CAPACITY = 100_000

const NEVER = -1

/** Builds an empty set, with the subscription down: what ended before it came up is unknown. */
export function createRevocations ({ clock, retain, skew, unknown = 'accept', capacity = CAPACITY }: RevocationsOptions): Revocations {
  // In order of insertion, and every entry matters equally long: those that no longer do are at the front.
  const sessions = new Map<string, EpochSeconds>()
  const subjects = new Map<string, SubjectEntry>()
  /** Sessions that the store called live, each with a sequence number, since timestamps have 1 s resolution. */
  const confirmed = new Map<string, number>()
  let turn = 0
  let gap = { end: NEVER, turn: NEVER }
  let fullUntil: EpochSeconds = 0
  let isUp = false

  return {
    judge ({ sid, sub, iat }) {
      if (sessions.has(sid)) return 'ended'
      if (isFull() || (!isUp && unknown === 'refuse')) return 'unknown'
      const all = subjects.get(sub)
      const isSpared = all?.exceptId === sid
      if (all !== undefined && !isSpared && iat < all.at - skew) return 'ended'
      // Around that second, whole seconds and other clocks cannot tell a token of before from one of after.
      const inDoubt = all !== undefined && (isSpared ? all.hidesAnother : iat <= all.at + skew)
      const doubt = inDoubt ? all.turn : NEVER
      const doubtOfGap = iat <= gap.end + skew ? gap.turn : NEVER
      return (confirmed.get(sid) ?? NEVER) >= Math.max(doubt, doubtOfGap) ? 'live' : 'unknown'
    },

    async ask (id, isLive) {
      const asked = ++turn // before the answer, which may be older than a revocation that arrives in between
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
      forget()
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
        subjects.set(subject, { at, exceptId, until, turn: ++turn, hidesAnother })
      }
    },

    connected (up) {
      isUp = up
      gap = up ? { end: now(), turn: ++turn } : { end: NEVER, turn: NEVER }
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

  function forget (): void {
    const at = now()
    forgetUntil(sessions, until => until <= at)
    forgetUntil(subjects, ({ until }) => until <= at)
    // Keep confirmations newer than the oldest unresolved revocation.
    const [oldest] = subjects.values()
    const doubts = [oldest?.turn ?? Infinity, gap.end + skew + retain <= at ? Infinity : gap.turn]
    forgetUntil(confirmed, asked => asked < Math.min(...doubts))
  }
}

/** Deletes from the front of a map as long as its values are done with. */
function forgetUntil<V> (entries: Map<string, V>, isDone: (value: V) => boolean): void {
  for (const [key, value] of entries) {
    if (!isDone(value)) return
    entries.delete(key)
  }
}
