import { createHash } from 'node:crypto'
import { type RequestContext } from '../audit/events.js'
import { networkOf } from '../client-address.js'
import { AuthError, type AuthErrorCode } from '../errors.js'
import { type Seconds } from '../time.js'
import { type SessionRef } from '../tokens/claims.js'
import { type Proven, type UserFound, WrongCredentials } from './accounts.js'
import { type AttemptCounter, type CountedAttempt, type Limit, nothing, ofAll, together } from './attempt-counters.js'
import { busy } from './hashing-queue.js'
import { type Users } from './user.js'
import { normaliseUsername } from './username.js'

/** The client that makes an attempt. */
export interface Caller extends RequestContext {
  /** The session of the refresh cookie that the request sent, by its signature alone; null if there is none. */
  readonly presented: SessionRef | null
  /** Asks the store; true if that session is live. */
  holdsLiveSession (): Promise<boolean>
}

/**
 * Rate limits. Attempts are consumed first and refunded if they were no failure, so that concurrent attempts cannot exceed a
 * limit. A method throws FST_AUTH_TOO_MANY_ATTEMPTS and emits `throttled` if a limit is reached, FST_AUTH_BUSY if pending
 * attempts that reached it may still be refunded, and FST_AUTH_STORE_UNAVAILABLE while the counters cannot be reached.
 */
export interface Throttle {
  /**
   * Runs a login. `prove` must call `found` before it verifies a password. A wrong password counts against the client
   * address, against the name, whether an account has it or not, and against the user found: a database may find one user
   * by more spellings than are folded here. A right password resets the failures of the same user only, since several
   * accounts may share the counter of a name. Once the limit of the name or the user is reached, a client with a live
   * session of the account has a counter of its own, so that a stranger cannot lock its owner out (lockout).
   */
  login<T extends Pick<Proven, 'subject'>> (username: unknown, caller: Caller, prove: (found: UserFound) => Promise<T>): Promise<T>
  /** Runs a password check of a user who is logged in. A wrong password counts against the client address and the session. */
  reauthenticate<T extends Pick<Proven, 'subject'>> (session: SessionRef, caller: RequestContext, prove: () => Promise<T>): Promise<T>
  /** Runs a signup. It counts against the client address, made or refused: a flood of accounts is an attack too. */
  signup<T> (caller: RequestContext, make: () => Promise<T>): Promise<T>
  /**
   * Consumes from the limit of a session. While the counters cannot be reached, refreshes are allowed, so that nobody is
   * logged out.
   */
  refresh (session: SessionRef, context: RequestContext): Promise<void>
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

export interface ThrottleOptions {
  readonly limits: ThrottleLimits
  /** Creates the counter of a limit, with a unique name. */
  readonly counter: (limit: Limit, name: string) => AttemptCounter
  readonly findByUsername: Users['findByUsername']
  /** Logs that the counters can no longer be reached. Must not throw. */
  readonly warn: (message: string, details: { readonly err: unknown }) => void
}

/** An attempt that was consumed and is not decided yet. */
interface Attempt {
  readonly keys: string[]
  readonly ofAddress: CountedAttempt
  /** By the name, and by the user found; or by the session. */
  readonly ofAccount: CountedAttempt[]
}

/** Signups with these errors stay counted. Any other, such as a 503, is refunded. */
const SIGNUP_REFUSALS: ReadonlySet<AuthErrorCode> = new Set(['FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_PASSWORD_REFUSED'])

export function createThrottle ({ limits, counter, findByUsername, warn }: ThrottleOptions): Throttle {
  const perAddress = together([...countersOf('address', limits.perAddress), ...countersOf('total', limits.perAddressTotal).map(ofAll)])
  const perAccount = together(countersOf('account', limits.perAccount))
  /** Apart from names: attackers can make up names until the counters in memory evict keys. */
  const perUser = together(countersOf('user', limits.perAccount))
  const perSession = together(countersOf('session', limits.perSession))
  /** The keys of attempts that this process consumed and that are not decided yet. */
  const pending = createMultiset()
  let reachable = true

  return {
    async login (username, caller, prove) {
      const name = normaliseUsername(username)
      const account = accountKey(name)
      const attempt = await consumeAttempt(caller, account)
      if (typeof attempt !== 'number') {
        return await runAttempt(attempt, caller, async () => await prove(async subject => await consumeForUser(attempt, subject, account, caller)))
      }

      const session = await sessionOfName(name, caller)
      if (session === null) throw refused('account', account, null, attempt, caller)
      return await reauthenticate(session, caller, async () => await prove(nothing))
    },

    reauthenticate,

    async signup (caller, make) {
      const attempt = await consumeAtAddress(caller)
      try {
        const made = await make()
        release(attempt)
        return made
      } catch (error) {
        if (isSignupRefusal(error)) release(attempt)
        else await refund(attempt, caller)
        throw error
      }
    },

    async refresh (session, context) {
      if (limits.perSession.length === 0) return
      const counted = consume(perSession, sessionKey(session), context).then(({ wait }) => wait, () => 0)
      // While the counters are unreachable no refresh waits for them. The first call that succeeds again ends that.
      const wait = reachable ? await counted : 0
      if (wait > 0) throw throttled('session', session.sub, wait, context)
    }
  }

  async function reauthenticate<T extends Pick<Proven, 'subject'>> (session: SessionRef, caller: RequestContext, prove: () => Promise<T>): Promise<T> {
    const key = sessionKey(session)
    const attempt = await consumeAttempt(caller, key)
    if (typeof attempt === 'number') throw refused('account', key, session.sub, attempt, caller)
    return await runAttempt(attempt, caller, prove)
  }

  async function consumeAtAddress (caller: RequestContext): Promise<Attempt> {
    const address = addressKey(caller)
    const ofAddress = await consume(perAddress, address, caller)
    if (ofAddress.wait > 0) throw refused('address', address, null, ofAddress.wait, caller)
    pending.add(address)
    return { keys: [address], ofAddress, ofAccount: [] }
  }

  /**
   * Consumes from the limits of the address and the account; or returns the wait of the account. If the limit of the address
   * is reached it throws and counts nothing against the account: otherwise one address could lock any account out (lockout).
   */
  async function consumeAttempt (caller: RequestContext, account: string): Promise<Attempt | Seconds> {
    const attempt = await consumeAtAddress(caller)
    try {
      const wait = addAccount(attempt, account, await consume(perAccount, account, caller))
      if (wait === 0) return attempt
      await refund(attempt, caller)
      return wait
    } catch (error) {
      await refund(attempt, caller)
      throw error
    }
  }

  /** Adds the counter of an account to an attempt; or returns its wait. */
  function addAccount ({ keys, ofAccount }: Attempt, account: string, counted: CountedAttempt): Seconds {
    if (counted.wait === 0) {
      pending.add(account)
      keys.push(account)
      ofAccount.push(counted)
    }
    return counted.wait
  }

  /**
   * Consumes from the limit of the user found, too. An unknown name makes the same calls, so that timing does not reveal it
   * (user enumeration); its count here is always refunded.
   */
  async function consumeForUser (attempt: Attempt, subject: string | null, name: string, caller: Caller): Promise<void> {
    const user = subject === null ? keyOf('nobody', name) : ownerKey(subject)
    const counted = await consume(perUser, user, caller)
    const wait = addAccount(attempt, user, subject === null ? { ...counted, fail: counted.refund } : counted)
    if (wait === 0) return

    const session = await ownSession(subject, caller)
    if (session === null) throw refused('account', user, subject, wait, caller)
    const own = sessionKey(session)
    const ownWait = addAccount(attempt, own, await consume(perAccount, own, caller))
    if (ownWait > 0) throw refused('account', own, subject, ownWait, caller)
  }

  async function runAttempt<T extends Pick<Proven, 'subject'>> (attempt: Attempt, caller: RequestContext, prove: () => Promise<T>): Promise<T> {
    const { ofAddress, ofAccount } = attempt
    try {
      const proven = await prove()
      const owner = ownerKey(proven.subject)
      await end(attempt, caller, () => Promise.all([ofAddress, ...ofAccount].map(each => each.succeed(owner))))
      return proven
    } catch (error) {
      // Unknown names make the same calls: otherwise timing would reveal them (user enumeration).
      if (error instanceof WrongCredentials) await end(attempt, caller, () => Promise.all(ofAccount.map(each => each.fail(ownerKey(error.subject)))))
      else await refund(attempt, caller)
      throw error
    }
  }

  /** A consume that timed out may have succeeded: it is refunded when it settles. */
  async function consume (counter: AttemptCounter, key: string, caller: RequestContext): Promise<CountedAttempt> {
    let counted: Promise<CountedAttempt> | undefined
    try {
      return await caller.bounded(() => callCounters(caller, () => (counted = counter.count(key))))
    } catch (error) {
      counted?.then(late => late.refund()).catch(() => {})
      throw error
    }
  }

  async function refund (attempt: Attempt, caller: RequestContext): Promise<void> {
    await end(attempt, caller, () => Promise.all([attempt.ofAddress, ...attempt.ofAccount].map(each => each.refund())))
  }

  /**
   * Ends an attempt within a deadline of its own, since that of the request may be used up. The reply waits for it only as
   * long as the request has time. If the counters cannot be reached, the attempt stays counted and nothing is thrown.
   */
  async function end (attempt: Attempt, caller: RequestContext, outcome: () => Promise<unknown>): Promise<void> {
    const ended = callCounters(caller, outcome).catch(() => {}).then(() => release(attempt))
    await caller.bounded(() => ended).catch(() => {})
  }

  function release ({ keys }: Attempt): void {
    for (const key of keys) pending.remove(key)
  }

  /** FST_AUTH_BUSY with a short wait while pending attempts of the key may still be refunded, else FST_AUTH_TOO_MANY_ATTEMPTS. */
  function refused (what: 'address' | 'account', key: string, subject: string | null, wait: Seconds, caller: RequestContext): AuthError {
    return pending.has(key) ? busy(new Error('too many attempts are in progress')) : throttled(what, subject, wait, caller)
  }

  /** As `ownSession`, for the user of a name. Called only if the limit of the name is reached. */
  async function sessionOfName (name: string | null, caller: Caller): Promise<SessionRef | null> {
    if (name === null || caller.presented === null || findByUsername === undefined) return null
    const user = await caller.bounded(() => findByUsername(name)) ?? null
    return user === null ? null : await ownSession(String(user.id), caller)
  }

  /** The session that a login presented, if it is live and belongs to this user. */
  async function ownSession (subject: string | null, caller: Caller): Promise<SessionRef | null> {
    const { presented } = caller
    return presented !== null && presented.sub === subject && await caller.holdsLiveSession() ? presented : null
  }

  function countersOf (what: string, limits: readonly Limit[]): AttemptCounter[] {
    return limits.map(limit => counter(limit, `${what}:${limit.max}/${limit.per}`))
  }

  /**
   * Calls the counters within a deadline of their own, so that a request without time left does not count as their failure.
   * Throws FST_AUTH_STORE_UNAVAILABLE, and warns the first time.
   */
  async function callCounters<T> ({ bounded }: RequestContext, call: () => Promise<T>): Promise<T> {
    try {
      const answer = await bounded.anew()(call)
      reachable = true
      return answer
    } catch (err) {
      if (reachable) warn('The attempt counters are unavailable: logins answer 503 until they are reachable, refreshes are not limited', { err })
      reachable = false
      throw err
    }
  }
}

function throttled (what: 'address' | 'account' | 'session', subject: string | null, wait: Seconds, context: RequestContext): AuthError {
  context.emit({ type: 'throttled', what, subject })
  return new AuthError('FST_AUTH_TOO_MANY_ATTEMPTS', { retryAfter: wait })
}

function isSignupRefusal (error: unknown): boolean {
  return error instanceof AuthError && SIGNUP_REFUSALS.has(error.code)
}

function addressKey ({ ip }: RequestContext): string {
  return keyOf('address', networkOf(ip))
}

/**
 * Case and accents are folded, since databases may compare names so (MySQL's default collation does). Only the accents of
 * Latin, Greek and Cyrillic: in other scripts marks are vowels and sounds, and distinguish names. Lower case comes first:
 * only then are "ẞ", "ß" and "ss" the same. All invalid usernames share one key.
 */
function accountKey (name: string | null): string {
  const letters = name?.normalize('NFKD').replace(/[\u0300-\u036f]+/g, '') ?? ''
  return keyOf('name', letters.toLowerCase().toUpperCase().toLowerCase())
}

/** The owner of failures. All unknown names share one. */
function ownerKey (subject: string | null): string {
  return subject === null ? keyOf('nobody', '') : keyOf('user', subject)
}

function sessionKey ({ sid }: SessionRef): string {
  return keyOf('session', sid)
}

/** Hashed, so that keys have one length and hold no user input. */
function keyOf (kind: string, value: string): string {
  return createHash('sha256').update(`${kind} ${value}`).digest('base64url').slice(0, 22)
}

/** A multiset of strings. */
export interface Multiset {
  add (text: string): void
  /** Removes one occurrence. */
  remove (text: string): void
  has (text: string): boolean
}

export function createMultiset (): Multiset {
  const counts = new Map<string, number>()

  return {
    add (text) {
      counts.set(text, (counts.get(text) ?? 0) + 1)
    },

    remove (text) {
      const count = counts.get(text) ?? 0
      if (count > 1) counts.set(text, count - 1)
      else counts.delete(text)
    },

    has: text => counts.has(text)
  }
}
