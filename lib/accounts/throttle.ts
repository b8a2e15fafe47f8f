import { createHash } from 'node:crypto'
import { type RequestContext } from '../audit/events.js'
import { networkOf } from '../client-address.js'
import { AuthError, type AuthErrorCode } from '../errors.js'
import { type Seconds } from '../time.js'
import { type SessionRef } from '../tokens/claims.js'
import { type Proven, type UserFound, WrongCredentials } from './accounts.js'
import { type AttemptCounter, type CountedAttempt, type Limit, nothing, ofAll, together } from './counters.js'
import { busy } from './queue.js'
import { type Users } from './user.js'
import { normaliseUsername } from './username.js'

/** Who makes an attempt. */
export interface Caller extends RequestContext {
  /** The session of the refresh cookie that came with the request, by its signature alone; null where there is none. */
  readonly presented: SessionRef | null
  /** Whether that session is live: asks the store. */
  holdsLiveSession (): Promise<boolean>
}

/**
 * Limits how often anybody may try. Each verb throws FST_AUTH_TOO_MANY_ATTEMPTS before it does anything else, and a
 * `throttled` event says what was exhausted. While the counters cannot be reached, FST_AUTH_STORE_UNAVAILABLE.
 * An attempt is counted before it is made and taken back if it was none, so that no more get through at once either:
 * FST_AUTH_BUSY while those that are under way may still be taken back.
 */
export interface Throttle {
  /**
   * Runs a login, whose `prove` must say whom it found before it verifies a password. A wrong password counts against the
   * caller's address, against the name, whether an account has it or not, and against the user who was found: a database
   * may find one user by more spellings than are folded here. A right one takes back the failures that were counted
   * against the same user, and no others: several accounts may share a name's count. Whoever holds a live session of the
   * account has a count of their own once one of those two is exhausted, so that a stranger cannot lock its owner out.
   */
  login<T extends Pick<Proven, 'subject'>> (username: unknown, caller: Caller, prove: (found: UserFound) => Promise<T>): Promise<T>
  /** Runs a proof by somebody who is logged in. A wrong password counts against the address and the session. */
  reauthenticate<T extends Pick<Proven, 'subject'>> (session: SessionRef, caller: RequestContext, prove: () => Promise<T>): Promise<T>
  /** Runs a signup. Each one counts against the address, made or refused: a flood of accounts is an attack too. */
  signup<T> (caller: RequestContext, make: () => Promise<T>): Promise<T>
  /** Counts a refresh against its session. Goes on while the counters cannot be reached: nobody is to be logged out by that. */
  refresh (session: SessionRef, context: RequestContext): Promise<void>
}

/** How often is too often. Several limits hold together; none is no limit. */
export interface ThrottleLimits {
  /** Failures, and signups. */
  readonly perAddress: readonly Limit[]
  /** All attempts, the successful ones too. */
  readonly perAddressTotal: readonly Limit[]
  readonly perAccount: readonly Limit[]
  readonly perSession: readonly Limit[]
}

/** What attempts are counted with. */
export interface ThrottleOptions {
  readonly limits: ThrottleLimits
  /** Makes the counter of a limit; `name` is what no other counter is called. */
  readonly counter: (limit: Limit, name: string) => AttemptCounter
  readonly findByUsername: Users['findByUsername']
  /** Told when the counters can no longer be reached. Must not throw. */
  readonly warn: (message: string, details: { readonly err: unknown }) => void
}

/** An attempt that is under way: how it is counted, and by which keys. */
interface Begun {
  readonly keys: string[]
  readonly ofAddress: CountedAttempt
  /** By the name, and by the user who was found; or by the session. */
  readonly ofAccount: CountedAttempt[]
}

/** What a signup may be refused with after it was tried. Anything else, such as a 503, says nothing of the caller. */
const SIGNUP_REFUSALS: ReadonlySet<AuthErrorCode> = new Set(['FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_PASSWORD_REFUSED'])

/** Builds the limits over their counters. */
export function createThrottle ({ limits, counter, findByUsername, warn }: ThrottleOptions): Throttle {
  const perAddress = together([...countersOf('address', limits.perAddress), ...countersOf('total', limits.perAddressTotal).map(ofAll)])
  const perAccount = together(countersOf('account', limits.perAccount))
  /** Apart from names, which anybody can think up until the counters in memory forget. */
  const perUser = together(countersOf('user', limits.perAccount))
  const perSession = together(countersOf('session', limits.perSession))
  /** Attempts that were counted here and are not decided. */
  const underWay = createMultiset()
  let reachable = true

  return {
    async login (username, caller, prove) {
      const name = normaliseUsername(username)
      const account = accountKey(name)
      const begun = await begin(caller, account)
      if (typeof begun !== 'number') {
        return await proving(begun, caller, async () => await prove(async subject => await countFound(begun, subject, account, caller)))
      }

      const session = await sessionOfName(name, caller)
      if (session === null) throw refused('account', account, null, begun, caller)
      return await reauthenticate(session, caller, async () => await prove(nothing))
    },

    reauthenticate,

    async signup (caller, make) {
      const begun = await beginAtAddress(caller)
      try {
        const made = await make()
        leave(begun)
        return made
      } catch (error) {
        if (isSignupRefusal(error)) leave(begun)
        else await takeBack(begun, caller)
        throw error
      }
    },

    async refresh (session, context) {
      if (limits.perSession.length === 0) return
      const counted = count(perSession, sessionKey(session), context).then(({ wait }) => wait, () => 0)
      // While the counters are away nobody waits for them; the one whose count gets through again ends that.
      const wait = reachable ? await counted : 0
      if (wait > 0) throw throttled('session', session.sub, wait, context)
    }
  }

  async function reauthenticate<T extends Pick<Proven, 'subject'>> (session: SessionRef, caller: RequestContext, prove: () => Promise<T>): Promise<T> {
    const key = sessionKey(session)
    const begun = await begin(caller, key)
    if (typeof begun === 'number') throw refused('account', key, session.sub, begun, caller)
    return await proving(begun, caller, prove)
  }

  async function beginAtAddress (caller: RequestContext): Promise<Begun> {
    const address = addressKey(caller)
    const ofAddress = await count(perAddress, address, caller)
    if (ofAddress.wait > 0) throw refused('address', address, null, ofAddress.wait, caller)
    underWay.add(address)
    return { keys: [address], ofAddress, ofAccount: [] }
  }

  /**
   * Counts an attempt, which is under way then; or how long the account has to wait. Throws if the address has to, and
   * then counts nothing against the account: whoever has used up an address could lock anybody out.
   */
  async function begin (caller: RequestContext, account: string): Promise<Begun | Seconds> {
    const begun = await beginAtAddress(caller)
    try {
      const wait = enter(begun, account, await count(perAccount, account, caller))
      if (wait === 0) return begun
      await takeBack(begun, caller)
      return wait
    } catch (error) {
      await takeBack(begun, caller)
      throw error
    }
  }

  /** Notes how an attempt is counted against an account; or how long that has to wait. */
  function enter ({ keys, ofAccount }: Begun, account: string, counted: CountedAttempt): Seconds {
    if (counted.wait === 0) {
      underWay.add(account)
      keys.push(account)
      ofAccount.push(counted)
    }
    return counted.wait
  }

  /**
   * Counts an attempt against the user who was found, too. One at a name that nobody has costs the same calls, so that
   * their time does not tell the two apart, and is taken back whatever comes of it.
   */
  async function countFound (begun: Begun, subject: string | null, name: string, caller: Caller): Promise<void> {
    const user = subject === null ? keyOf('nobody', name) : ownerKey(subject)
    const counted = await count(perUser, user, caller)
    const wait = enter(begun, user, subject === null ? { ...counted, fail: counted.takeBack } : counted)
    if (wait === 0) return

    const session = await ownSession(subject, caller)
    if (session === null) throw refused('account', user, subject, wait, caller)
    const own = sessionKey(session)
    const ownWait = enter(begun, own, await count(perAccount, own, caller))
    if (ownWait > 0) throw refused('account', own, subject, ownWait, caller)
  }

  async function proving<T extends Pick<Proven, 'subject'>> (begun: Begun, caller: RequestContext, prove: () => Promise<T>): Promise<T> {
    const { ofAddress, ofAccount } = begun
    try {
      const proven = await prove()
      const owner = ownerKey(proven.subject)
      await end(begun, caller, () => Promise.all([ofAddress, ...ofAccount].map(each => each.succeed(owner))))
      return proven
    } catch (error) {
      // Of a name that nobody has it is noted too: else the time of the answer would tell them apart.
      if (error instanceof WrongCredentials) await end(begun, caller, () => Promise.all(ofAccount.map(each => each.fail(ownerKey(error.subject)))))
      else await takeBack(begun, caller)
      throw error
    }
  }

  /** An answer that was lost may tell of an attempt that was counted: it is taken back whenever it comes. */
  async function count (counter: AttemptCounter, key: string, caller: RequestContext): Promise<CountedAttempt> {
    let counted: Promise<CountedAttempt> | undefined
    try {
      return await caller.bounded(() => reach(caller, () => (counted = counter.count(key))))
    } catch (error) {
      counted?.then(attempt => attempt.takeBack()).catch(() => {})
      throw error
    }
  }

  async function takeBack (begun: Begun, caller: RequestContext): Promise<void> {
    await end(begun, caller, () => Promise.all([begun.ofAddress, ...begun.ofAccount].map(each => each.takeBack())))
  }

  /**
   * Ends an attempt, in time of its own, since that of the request may be used up: the reply waits for it no longer than the
   * request has time. If the counters cannot be reached, the attempt stays counted: nobody is refused for it.
   */
  async function end (begun: Begun, caller: RequestContext, outcome: () => Promise<unknown>): Promise<void> {
    const ended = reach(caller, outcome).catch(() => {}).then(() => leave(begun))
    await caller.bounded(() => ended).catch(() => {})
  }

  function leave ({ keys }: Begun): void {
    for (const key of keys) underWay.remove(key)
  }

  /** What is under way may turn out to have cost nothing: who comes meanwhile had better come back soon. */
  function refused (what: 'address' | 'account', key: string, subject: string | null, wait: Seconds, caller: RequestContext): AuthError {
    return underWay.has(key) ? busy(new Error('as many attempts as may fail are under way')) : throttled(what, subject, wait, caller)
  }

  /** As `ownSession`, of whoever has a name. Asked only where the name is exhausted. */
  async function sessionOfName (name: string | null, caller: Caller): Promise<SessionRef | null> {
    if (name === null || caller.presented === null || findByUsername === undefined) return null
    const user = await caller.bounded(() => findByUsername(name)) ?? null
    return user === null ? null : await ownSession(String(user.id), caller)
  }

  /** The session that came with a login, if it is live and this user's own. */
  async function ownSession (subject: string | null, caller: Caller): Promise<SessionRef | null> {
    const { presented } = caller
    return presented !== null && presented.sub === subject && await caller.holdsLiveSession() ? presented : null
  }

  function countersOf (what: string, limits: readonly Limit[]): AttemptCounter[] {
    return limits.map(limit => counter(limit, `${what}:${limit.max}/${limit.per}`))
  }

  /**
   * A call to the counters, in time of its own, so that what fails is theirs and not a request that had no time left.
   * Throws FST_AUTH_STORE_UNAVAILABLE, and warns the first time.
   */
  async function reach<T> ({ bounded }: RequestContext, call: () => Promise<T>): Promise<T> {
    try {
      const answer = await bounded.anew()(call)
      reachable = true
      return answer
    } catch (err) {
      if (reachable) warn('The counters of attempts cannot be reached: logins answer 503 until they can, refreshes are not limited', { err })
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
 * In one spelling of its letters and without accents, since databases may compare names so (MySQL's default collation does).
 * Only the accents of Latin, Greek and Cyrillic: in other scripts marks are vowels and sounds, and tell people apart.
 * Lower case comes first: only so is "ẞ" the same as "ß" and "ss". What is no username is one account for all.
 */
function accountKey (name: string | null): string {
  const letters = name?.normalize('NFKD').replace(/[\u0300-\u036f]+/g, '') ?? ''
  return keyOf('name', letters.toLowerCase().toUpperCase().toLowerCase())
}

/** Whose failures are counted: those of names that nobody has are nobody's. */
function ownerKey (subject: string | null): string {
  return subject === null ? keyOf('nobody', '') : keyOf('user', subject)
}

function sessionKey ({ sid }: SessionRef): string {
  return keyOf('session', sid)
}

/** Hashed: of one length, and nothing that somebody typed is kept. */
function keyOf (kind: string, value: string): string {
  return createHash('sha256').update(`${kind} ${value}`).digest('base64url').slice(0, 22)
}

/** Texts, each as often as it was added. */
export interface Multiset {
  add (text: string): void
  /** Takes one away again. */
  remove (text: string): void
  has (text: string): boolean
}

/** Builds an empty tally. */
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
