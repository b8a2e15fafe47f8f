import { createHash } from 'node:crypto'
import { type RequestContext } from '../events.js'
import { networkOf } from '../client-address.js'
import { type Bounded, busy } from '../deadline.js'
import { AuthError } from '../errors.js'
import { type Seconds } from '../time.js'
import { type SessionRef } from '../tokens/claims.js'
import { type AttemptCounter, type CounterLimit, type Limit, MemoryCounter } from './attempt-counters.js'
import { type Users } from './user.js'

/** The client that makes an attempt. */
export interface Caller extends RequestContext {
  /** The session of the refresh cookie that the request sent, by its signature and expiry, without the store; null if there is none. */
  readonly claimedSession: SessionRef | null
  /** Asks the store; true if that session is live. */
  hasLiveSession (): Promise<boolean>
}

/** All limits of a list apply; an empty list is no limit. */
export interface ThrottleLimits {
  /** Failed logins, and signups. */
  readonly perAddress: readonly Limit[]
  /** All attempts, the successful ones too. */
  readonly perAddressTotal: readonly Limit[]
  readonly perAccount: readonly Limit[]
  readonly perSession: readonly Limit[]
}

interface ThrottleOptions {
  readonly limits: ThrottleLimits
  /** Creates the counter of a list of limits. */
  readonly counter: (limits: readonly CounterLimit[]) => AttemptCounter
  readonly users: Pick<Users, 'findByUsername'>
  /** Logs that the counters can no longer be reached. Must not throw. */
  readonly warn: (message: string, details: { readonly err: unknown }) => void
}

/**
 * A login, a reauthentication or a signup whose attempts are counted. It ends once, by `succeed`, `fail`, `keep` or `refund` of
 * `Throttle`; a second end does nothing, so `refund` may follow any error.
 */
export interface Attempt {
  readonly caller: Caller
  readonly consumed: Consumed[]
  /** The key of the username of a login. */
  name: string
  /** Counted against the caller's session instead of the account. */
  ofSession: boolean
}

/** An attempt in one counter. */
interface Consumed {
  readonly counter: AttemptCounter
  readonly counted: object
  readonly key: string
  readonly of: 'address' | 'account' | 'unknown user'
}

/**
 * Rate limits. Attempts are consumed first and refunded if they were no failure, so that concurrent attempts cannot exceed a
 * limit. Consuming throws FST_AUTH_TOO_MANY_ATTEMPTS and emits `throttled` if a limit is reached, FST_AUTH_BUSY if pending
 * attempts that reached it may still be refunded, and FST_AUTH_STORE_UNAVAILABLE while the counters cannot be reached.
 *
 * A wrong password counts against the client address, against the name, whether an account has it or not, and against the
 * user found: a database may find one user by more spellings than are folded here. Once the limit of the name or the user is
 * reached, a client with a live session of the account has a counter of its own, so that a stranger cannot lock its owner
 * out (lockout).
 */
export class Throttle {
  readonly #users: Pick<Users, 'findByUsername'>
  readonly #perAddress: AttemptCounter
  readonly #perAccount: AttemptCounter
  /** Apart from names: attackers can make up names until the counters in memory evict keys. */
  readonly #perUser: AttemptCounter
  /** Undefined without a limit. */
  readonly #perSession: AttemptCounter | undefined
  readonly #warn: ThrottleOptions['warn']
  /** The keys of attempts that this process consumed and that are not decided yet, with their number. */
  readonly #pending = new Map<string, number>()
  #reachable = true

  constructor ({ limits, counter, users, warn }: ThrottleOptions) {
    const counterOf = (limits: readonly CounterLimit[]): AttemptCounter => limits.length === 0 ? new MemoryCounter([]) : counter(limits)
    this.#users = users
    this.#perAddress = counterOf([...limitsOf('address', limits.perAddress), ...limitsOf('total', limits.perAddressTotal, true)])
    this.#perAccount = counterOf(limitsOf('account', limits.perAccount))
    this.#perUser = counterOf(limitsOf('user', limits.perAccount))
    this.#perSession = limits.perSession.length === 0 ? undefined : counter(limitsOf('session', limits.perSession))
    this.#warn = warn
  }

  /**
   * Starts an attempt: consumes from the limit of the client address. If that is reached, nothing counts against an account:
   * otherwise one address could lock any account out (lockout).
   */
  async start (caller: Caller): Promise<Attempt> {
    const attempt: Attempt = { caller, consumed: [], name: '', ofSession: false }
    const address = keyOf('address', networkOf(caller.ip))
    const wait = await this.#consume(attempt, this.#perAddress, address, 'address')
    if (wait > 0) throw this.#refusal('address', address, null, wait, caller)
    return attempt
  }

  /**
   * Consumes from the limit of a username, before the user is looked up. Null is an invalid name; all of them share one key.
   *
   * Case and accents are folded, since databases may compare names so (MySQL's default collation does). Only the accents of
   * Latin, Greek and Cyrillic: in other scripts marks are vowels and sounds, and distinguish names. Lower case comes first:
   * only then are "ẞ", "ß" and "ss" the same.
   */
  async consumeName (attempt: Attempt, name: string | null): Promise<void> {
    const letters = name?.normalize('NFKD').replace(/[\u0300-\u036f]+/g, '') ?? ''
    attempt.name = keyOf('name', letters.toLowerCase().toUpperCase().toLowerCase())
    const wait = await this.#consume(attempt, this.#perAccount, attempt.name)
    if (wait === 0) return
    const session = await this.#sessionOfName(name, attempt.caller)
    if (session === null) throw this.#refusal('account', attempt.name, null, wait, attempt.caller)
    await this.consumeSession(attempt, session)
  }

  /**
   * Consumes from the limit of the user found, before the password is verified. An unknown name (null) makes the same calls,
   * so that timing does not reveal it (user enumeration); its attempt here is always refunded.
   */
  async consumeUser (attempt: Attempt, subject: string | null): Promise<void> {
    if (attempt.ofSession) return
    const key = subject === null ? keyOf('nobody', attempt.name) : keyOf('user', subject)
    const wait = await this.#consume(attempt, this.#perUser, key, subject === null ? 'unknown user' : 'account')
    if (wait === 0) return
    const session = await ownSession(subject, attempt.caller)
    if (session === null) throw this.#refusal('account', key, subject, wait, attempt.caller)
    await this.consumeSession(attempt, session)
  }

  /**
   * Consumes from the limit of a user's second factor for one purpose, before it is verified. Apart from passwords: an attacker
   * who knows the password could reset the count by logging in with it. The caller's own session has no counter for it either,
   * since a reauthentication resets that one.
   */
  async consumeChallenge (attempt: Attempt, subject: string, purpose: string): Promise<void> {
    const key = keyOf('challenge', JSON.stringify([purpose, subject]))
    const wait = await this.#consume(attempt, this.#perUser, key)
    if (wait > 0) throw this.#refusal('account', key, subject, wait, attempt.caller)
  }

  /** Consumes from the limit of a session, before the password of its user is verified. */
  async consumeSession (attempt: Attempt, session: SessionRef): Promise<void> {
    attempt.ofSession = true
    const key = session.sid
    const wait = await this.#consume(attempt, this.#perAccount, key)
    if (wait > 0) throw this.#refusal('account', key, session.sub, wait, attempt.caller)
  }

  /**
   * Consumes from the limit of refreshes of a session; returns a promise only if the counters are not in memory. While they
   * cannot be reached, refreshes are allowed, so that nobody is logged out.
   */
  refresh (session: SessionRef, context: RequestContext): Promise<void> | void {
    if (this.#perSession === undefined) return
    if (!(this.#perSession instanceof MemoryCounter)) return this.#refreshShared(this.#perSession, session, context)
    const counted = this.#perSession.consume(session.sid)
    if (typeof counted === 'number') throw throttled('session', session.sub, counted, context)
  }

  /** Refunds the attempt and resets the failures of this user only, since several accounts may share the counter of a name. */
  async succeed (attempt: Attempt, subject: string): Promise<void> {
    const owner = keyOf('user', subject)
    await this.#end(attempt, ({ counter, counted }) => counter.succeed(counted, owner))
  }

  /** The attempt stays counted, as a failure of this user. All unknown names (null) share one owner, whose failures nothing resets. */
  async fail (attempt: Attempt, subject: string | null): Promise<void> {
    const owner = subject === null ? keyOf('nobody', '') : keyOf('user', subject)
    await this.#end(attempt, ({ counter, counted, of }) => {
      if (of === 'address') return undefined
      return of === 'account' ? counter.fail(counted, owner) : counter.refund(counted)
    })
  }

  async refund (attempt: Attempt): Promise<void> {
    await this.#end(attempt, ({ counter, counted }) => counter.refund(counted))
  }

  /** The attempt stays counted, as for a signup: a flood of accounts is an attack too. */
  keep ({ consumed }: Attempt): void {
    this.#release(consumed.splice(0))
  }

  async #refreshShared (perSession: AttemptCounter, session: SessionRef, context: RequestContext): Promise<void> {
    const counted = this.#consumeShared(perSession, session.sid, context).catch(() => null)
    // While the counters are unreachable, no refresh waits for them. The first call that succeeds ends that state.
    const wait = this.#reachable ? await counted : null
    if (typeof wait === 'number') throw throttled('session', session.sub, wait, context)
  }

  /** Consumes from one counter for an attempt. Resolves to the time to wait if that is impossible, else to 0. */
  async #consume ({ caller, consumed }: Attempt, counter: AttemptCounter, key: string, of: Consumed['of'] = 'account'): Promise<Seconds> {
    const counted = counter instanceof MemoryCounter ? counter.consume(key) : await this.#consumeShared(counter, key, caller)
    if (typeof counted === 'number') return counted
    this.#pending.set(key, (this.#pending.get(key) ?? 0) + 1)
    consumed.push({ counter, counted, key, of })
    return 0
  }

  /** A consume that timed out may have succeeded: it is refunded when it settles. */
  async #consumeShared (counter: AttemptCounter, key: string, { bounded }: RequestContext): Promise<object | Seconds> {
    let counted: Promise<object | Seconds> | undefined
    try {
      return await bounded(() => this.#callCounters(bounded, () => (counted = Promise.resolve(counter.consume(key)))))
    } catch (error) {
      counted?.then(late => typeof late === 'number' ? undefined : counter.refund(late)).catch(() => {})
      throw error
    }
  }

  /** As `ownSession`, for the user of a name. */
  async #sessionOfName (name: string | null, caller: Caller): Promise<SessionRef | null> {
    if (name === null || caller.claimedSession === null) return null
    const user = await caller.bounded(() => this.#users.findByUsername?.(name)) ?? null
    return user === null ? null : await ownSession(String(user.id), caller)
  }

  /**
   * Ends an attempt. The reply waits for shared counters only as long as the request has time. If they cannot be reached, the
   * attempt stays counted there and nothing is thrown.
   */
  async #end ({ caller: { bounded }, consumed }: Attempt, end: (consumed: Consumed) => Promise<void> | void): Promise<void> {
    const all = consumed.splice(0)
    const calls = all.map(end).filter(call => call !== undefined)
    if (calls.length === 0) return this.#release(all)
    const ended = this.#callCounters(bounded, () => Promise.all(calls)).catch(() => {}).then(() => this.#release(all))
    await bounded(() => ended).catch(() => {})
  }

  #release (consumed: readonly Consumed[]): void {
    for (const { key } of consumed) {
      const others = this.#pending.get(key) as number - 1 // `#consume` has set it
      if (others > 0) this.#pending.set(key, others)
      else this.#pending.delete(key)
    }
  }

  /** FST_AUTH_BUSY with a short wait while pending attempts of the key may still be refunded, else FST_AUTH_TOO_MANY_ATTEMPTS. */
  #refusal (what: 'address' | 'account', key: string, subject: string | null, wait: Seconds, context: RequestContext): AuthError {
    return this.#pending.has(key) ? busy(new Error('as many attempts of one account, or of one address, are in progress as its rate limit allows')) : throttled(what, subject, wait, context)
  }

  /**
   * Calls the counters within a deadline of their own, so that a request without time left does not count as their failure.
   * Throws FST_AUTH_STORE_UNAVAILABLE, and warns the first time.
   */
  async #callCounters<T> (bounded: Bounded, call: () => Promise<T>): Promise<T> {
    try {
      const answer = await bounded.withNewDeadline()(call)
      this.#reachable = true
      return answer
    } catch (err) {
      if (this.#reachable) this.#warn('The attempt counters are unavailable: logins answer 503 until they are reachable, refreshes are not limited', { err })
      this.#reachable = false
      throw err
    }
  }
}

/** The session that the caller claims, if it is live and belongs to this user. */
async function ownSession (subject: string | null, caller: Caller): Promise<SessionRef | null> {
  const { claimedSession } = caller
  return claimedSession !== null && claimedSession.sub === subject && await caller.hasLiveSession() ? claimedSession : null
}

function limitsOf (what: string, limits: readonly Limit[], countsSuccesses = false): CounterLimit[] {
  const named = limits.map(({ max, per }) => ({ name: `${what}:${max}/${per}`, max, per, countsSuccesses }))
  return [...new Map(named.map(limit => [limit.name, limit])).values()] // a limit that is given twice would count twice in Redis
}

function throttled (what: 'address' | 'account' | 'session', subject: string | null, wait: Seconds, context: RequestContext): AuthError {
  context.emit({ type: 'throttled', what, subject })
  return new AuthError('FST_AUTH_TOO_MANY_ATTEMPTS', { retryAfter: wait })
}

/** Hashed, so that keys have one length and hold no user input. The key of a session is its id, which is random and as long. */
function keyOf (kind: string, value: string): string {
  return createHash('sha256').update(`${kind} ${value}`).digest('base64url').slice(0, 22)
}
