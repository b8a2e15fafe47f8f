import { withMessage } from '../errors.js'
import { type AccessClaims } from '../tokens/claims.js'
import { isChallengeId, type RevokeReason, type Session } from './session.js'
import { assertKept, type RevocationListener, type SessionStore } from './store.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'
import { type RequestContext } from '../events.js'

/** `unknown`: the store must be asked. */
export type Verdict = 'unrevoked' | 'revoked' | 'unknown'

export interface RevocationsOptions {
  readonly clock: Clock
  /** The time for which an entry is kept: the longest time that an access token of an ended session can stay valid. */
  readonly retain: Seconds
  /** The tolerated clock difference of instances. */
  readonly skew: Seconds
  /** With 'refuse' the store is asked at every request while the subscription is down. */
  readonly unknown?: 'accept' | 'refuse' | undefined
  /** The largest number of entries. No entry is evicted for another, since its session would count as unrevoked again. */
  readonly capacity?: number | undefined
}

/** All sessions of a subject, but for `exceptId`, were revoked at `at`. */
interface SubjectEntry {
  readonly at: EpochSeconds
  readonly exceptId: string | undefined
  /** The time at which this process received it, by its own clock. */
  readonly knownAt: EpochSeconds
  readonly until: EpochSeconds
  readonly sequence: number
  /** It replaced an earlier entry with another `exceptId`, which may have revoked the session that this one excepts. */
  readonly replacesOther: boolean
}

const CAPACITY = 100_000

const NEVER = -1

/** The revoked sessions whose access tokens have not expired, for a check per request without I/O. */
export class Revocations {
  readonly #options: RevocationsOptions
  readonly #capacity: number
  // Maps keep the order of insertion, and all entries are kept equally long, so the expired ones are at the front.
  readonly #sessions = new Map<string, EpochSeconds>()
  readonly #subjects = new Map<string, SubjectEntry>()
  /** Sessions that the store confirmed as unrevoked. Timestamps have 1 s resolution, so events carry a sequence number. */
  readonly #confirmed = new Map<string, number>()
  #sequence = 0
  /** The last interruption of the subscription. Before the first `connected(true)` it counts as down. */
  #gap = { end: NEVER, sequence: NEVER }
  #fullUntil: EpochSeconds = 0
  #isUp = false

  constructor (options: RevocationsOptions) {
    this.#options = options
    this.#capacity = options.capacity ?? CAPACITY
  }

  judge ({ sid, sub, iat }: Pick<AccessClaims, 'sid' | 'sub' | 'iat'>): Verdict {
    const { skew, unknown } = this.#options
    if (this.#sessions.has(sid)) return 'revoked'
    if (this.isFull() || (!this.#isUp && unknown === 'refuse')) return 'unknown'
    const entry = this.#subjects.get(sub)
    const isExcepted = entry?.exceptId === sid
    if (entry !== undefined && !isExcepted && iat < entry.at - skew) return 'revoked'
    // Within `skew` of the revocation, `iat` does not show whether a token is older or newer. The store's clock, which sets `at`, may be
    // behind the clocks that dated the tokens. So a token issued before this process received the revocation is unresolved too.
    const isUnresolved = entry !== undefined && (isExcepted ? entry.replacesOther : iat <= Math.max(entry.at, entry.knownAt) + skew)
    const revocation = isUnresolved ? entry.sequence : NEVER
    const gap = iat <= this.#gap.end + skew ? this.#gap.sequence : NEVER
    return (this.#confirmed.get(sid) ?? NEVER) >= Math.max(revocation, gap) ? 'unrevoked' : 'unknown'
  }

  /** Asks the store about an unknown session and keeps the answer, since the subscription reports later revocations. Rejects as `isUnrevoked` does. */
  async ask (id: string, isUnrevoked: () => Promise<boolean>): Promise<Verdict> {
    const asked = ++this.#sequence // before the call, since a revocation may arrive before its answer
    if (!await isUnrevoked()) {
      this.#sessions.delete(id) // so that it is inserted at the end
      if (this.#hasRoom()) this.#sessions.set(id, this.#options.clock() + this.#options.retain)
      return 'revoked'
    }
    this.#confirmed.delete(id) // so that it is inserted at the end
    if (this.#confirmed.size < this.#capacity) this.#confirmed.set(id, asked)
    return this.#sessions.has(id) ? 'revoked' : 'unrevoked'
  }

  /** The listener for the store's `subscribe`. */
  readonly listener: RevocationListener = revocation => {
    if ('id' in revocation && isChallengeId(revocation.id)) return
    this.#deleteExpired()
    const knownAt = this.#options.clock()
    const until = knownAt + this.#options.retain
    if ('id' in revocation) this.#sessions.delete(revocation.id) // so that it is inserted at the end
    if (!this.#hasRoom()) {
      this.#fullUntil = until
    } else if ('id' in revocation) {
      this.#sessions.set(revocation.id, until)
    } else {
      const before = this.#subjects.get(revocation.subject)
      const replacesOther = before !== undefined && (before.replacesOther || before.exceptId !== revocation.exceptId)
      // A message may arrive late, after that of a later revocation.
      const { at, exceptId } = before !== undefined && before.at > revocation.at ? before : revocation
      this.#subjects.delete(revocation.subject) // so that it is inserted at the end
      this.#subjects.set(revocation.subject, { at, exceptId, knownAt, until, sequence: ++this.#sequence, replacesOther })
    }
  }

  /**
   * Call it when the subscription goes up or down. After an interruption the revocations meanwhile are unknown, so each session is
   * `unknown` until the store was asked once.
   */
  connected (up: boolean): void {
    this.#isUp = up
    if (up) this.#confirmed.clear() // they are older than the gap: their sequence numbers no longer count, and they take up room
    this.#gap = up ? { end: this.#options.clock(), sequence: ++this.#sequence } : { end: NEVER, sequence: NEVER }
  }

  get isUp (): boolean {
    return this.#isUp
  }

  /** There were more revocations than `capacity`. Every session that is not revoked is `unknown` until they expire. */
  isFull (): boolean {
    return this.#fullUntil !== 0 && this.#options.clock() < this.#fullUntil
  }

  /** An unknown session is refused if the store fails: always with `unknown: 'refuse'`, else while the set is full. */
  refusesUnknown (): boolean {
    return this.#options.unknown === 'refuse' || this.isFull()
  }

  #hasRoom (): boolean {
    return this.#sessions.size + this.#subjects.size < this.#capacity
  }

  #deleteExpired (): void {
    const now = this.#options.clock()
    const { skew, retain } = this.#options
    deleteWhile(this.#sessions, until => until <= now)
    deleteWhile(this.#subjects, ({ until }) => until <= now)
    // Keep confirmations newer than the oldest unresolved revocation.
    const [oldest] = this.#subjects.values()
    const unresolved = [oldest?.sequence ?? Infinity, this.#gap.end + skew + retain <= now ? Infinity : this.#gap.sequence]
    deleteWhile(this.#confirmed, asked => asked < Math.min(...unresolved))
  }
}

/** Deletes entries from the front of a map while `isExpired`. */
function deleteWhile<V> (entries: Map<string, V>, isExpired: (value: V) => boolean): void {
  for (const [key, value] of entries) {
    if (!isExpired(value)) return
    entries.delete(key)
  }
}

/** Ends a session. Resolves to false if it had ended before. Throws FST_AUTH_STORE_UNAVAILABLE. */
export async function revokeSession (store: SessionStore, { id, subject }: Pick<Session, 'id' | 'subject'>, reason: RevokeReason, context: RequestContext, bounded = context.bounded): Promise<boolean> {
  const ended = await bounded(() => store.revoke(id, reason))
  if (ended) context.emit(reason === 'logout' ? { type: 'logout', subject, sessionId: id } : { type: 'revoked', subject, sessionId: id, reason })
  return ended
}

/** Attempts to end a batch of sessions, each with its own deadline: after a password reset nobody else ends those of the old password. */
const MAX_ATTEMPTS = 3

/**
 * Ends all sessions of a subject, or all but one. Resolves to the number of ended sessions. If it throws
 * FST_AUTH_STORE_UNAVAILABLE, after three attempts, some may have ended; call it again for the others. A TypeError if the store keeps no sessions.
 */
export async function revokeAllSessions (store: SessionStore, subject: string, reason: RevokeReason, context: RequestContext, exceptId?: string): Promise<number> {
  assertKept(store)
  let count = 0
  let ended: number
  try {
    // Each call ends a batch and has its own deadline, since many sessions take longer than the deadline of a request.
    do {
      ended = await revokeBatch(store, subject, reason, context, exceptId)
      if (!Number.isInteger(ended)) throw new TypeError('the "revokeAll" of the store must resolve to the number of sessions that it revoked')
      count += ended
    } while (ended > 0)
  } finally {
    if (count > 0) context.emit({ type: 'revoked', subject, sessionId: null, reason })
  }
  return count
}

async function revokeBatch (store: SessionStore, subject: string, reason: RevokeReason, context: RequestContext, exceptId: string | undefined): Promise<number> {
  let failure: unknown
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    try {
      const ended = await context.bounded.withNewDeadline()(() => store.revokeAll(subject, reason, exceptId))
      // The failed attempt may have ended the batch. Then no `revoked` reports it, and no refusal the failure.
      if (failure !== undefined) context.emit({ type: 'store_unavailable' }, failure)
      return ended
    } catch (error) {
      failure = error
    }
  }
  throw withMessage(failure, 'Some of the sessions may not have ended: end them again')
}
