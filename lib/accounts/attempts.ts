import { createHash } from 'node:crypto'
import { networkOf } from '../core/address.js'
import { type Holder } from '../core/claims.js'
import { type RequestContext } from '../core/events.js'
import { type Seconds } from '../core/time.js'
import { type Users } from '../core/user.js'
import { AuthError, type AuthErrorCode } from '../errors.js'
import { together, type AttemptCounter, type Limit } from './attempt-counter.js'
import { busy } from './password-queue.js'
import { createTally } from './tally.js'
import { normaliseUsername } from './username.js'

/** Who makes an attempt. */
export interface Caller extends RequestContext {
  /** The session of the refresh cookie that came with the request, by its signature alone; null where there is none. */
  readonly holder: Holder | null
}

/**
 * Limits how often anybody may try. Each verb throws FST_AUTH_TOO_MANY_ATTEMPTS before it does anything else, and a
 * `throttled` event tells what was exhausted. While the counters cannot be reached, FST_AUTH_STORE_UNAVAILABLE.
 * An attempt is counted before it is made and given back if it was none, so that no more get through at once either:
 * FST_AUTH_BUSY while those that are under way may still be given back.
 */
export interface Attempts {
  /**
   * Runs a login. A wrong password counts against the caller's address and the account, whether that exists or not; a
   * right one costs nothing and clears the account. Whoever holds a session of the account has a count of their own once
   * the account's is exhausted, so that a stranger cannot lock its owner out.
   */
  login<T> (username: unknown, caller: Caller, prove: () => Promise<T>): Promise<T>
  /** Runs a proof by somebody who is logged in. A wrong password counts against the address and the session. */
  reauthenticate<T> (session: Holder, caller: RequestContext, prove: () => Promise<T>): Promise<T>
  /** Runs a signup. Each one counts against the address, made or refused: a flood of accounts is an attack too. */
  signup<T> (caller: RequestContext, make: () => Promise<T>): Promise<T>
  /** Counts a refresh against its session. Goes on while the counters cannot be reached: nobody is to be logged out by that. */
  refresh (session: Holder, context: RequestContext): Promise<void>
}

/** How often is too often. Several limits hold together; none is no limit. */
export interface AttemptLimits {
  readonly perAddress: readonly Limit[]
  readonly perAccount: readonly Limit[]
  readonly perSession: readonly Limit[]
}

/** What attempts are counted with. */
export interface AttemptsOptions {
  readonly limits: AttemptLimits
  /** Makes the counter of a limit; `name` is what no other counter is called. */
  readonly counter: (limit: Limit, name: string) => AttemptCounter
  readonly findByUsername: Users['findByUsername']
  /** Told when the counters can no longer be reached. Must not throw. */
  readonly warn: (message: string, details: { readonly err: unknown }) => void
}

const WRONG_PASSWORD: ReadonlySet<AuthErrorCode> = new Set(['FST_AUTH_CREDENTIALS_INVALID'])

/** What a signup may be refused with after it was tried. Anything else, such as a 503, says nothing of the caller. */
const SIGNUP_REFUSALS: ReadonlySet<AuthErrorCode> = new Set(['FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_PASSWORD_REFUSED'])

/** Builds the limits over their counters. */
export function createAttempts ({ limits, counter, findByUsername, warn }: AttemptsOptions): Attempts {
  const perAddress = counterOf('address', limits.perAddress)
  const perAccount = counterOf('account', limits.perAccount)
  const perSession = counterOf('session', limits.perSession)
  /** Attempts that were counted here and are not decided. */
  const underWay = createTally()
  let reachable = true

  return {
    async login (username, caller, prove) {
      const name = normaliseUsername(username)
      const account = accountKey(name)
      const wait = await begin(caller, account)
      if (wait === 0) return await proving(account, caller, prove)

      const session = await sessionOf(name, caller)
      if (session === null) throw refused('account', account, null, wait, caller)
      return await reauthenticate(session, caller, prove)
    },

    reauthenticate,

    async signup (caller, make) {
      await begin(caller)
      return await deciding([addressKey(caller)], async () => {
        try {
          return await make()
        } catch (error) {
          if (!isRefusal(error, SIGNUP_REFUSALS)) await giveBack(caller)
          throw error
        }
      })
    },

    async refresh ({ sub, sid }, context) {
      if (limits.perSession.length === 0) return
      const counted = reach(context, () => perSession.count(keyOf('session', sid))).catch(() => 0)
      // While the counters are away nobody waits for them; the one whose count gets through again ends that.
      const wait = reachable ? await counted : 0
      if (wait > 0) throw throttled('session', sub, wait, context)
    }
  }

  async function reauthenticate<T> ({ sub, sid }: Holder, caller: RequestContext, prove: () => Promise<T>): Promise<T> {
    const key = keyOf('session', sid)
    const wait = await begin(caller, key)
    if (wait > 0) throw refused('account', key, sub, wait, caller)
    return await proving(key, caller, prove)
  }

  /**
   * Counts an attempt, which is under way then: 0, or how long the account has to wait. Throws if the address has to, and
   * then counts nothing against the account: whoever has used up an address could lock anybody out.
   */
  async function begin (caller: RequestContext, account?: string): Promise<Seconds> {
    const address = addressKey(caller)
    const ofAddress = await countOrGiveBack(perAddress, address, caller)
    if (ofAddress > 0) throw refused('address', address, null, ofAddress, caller)
    underWay.add(address)
    if (account === undefined) return 0
    try {
      const ofAccount = await countOrGiveBack(perAccount, account, caller)
      if (ofAccount === 0) underWay.add(account)
      else await leave(caller)
      return ofAccount
    } catch (error) {
      await leave(caller)
      throw error
    }
  }

  /** Ends an attempt that was counted against the address alone, and was none. */
  async function leave (caller: RequestContext): Promise<void> {
    await giveBack(caller)
    underWay.remove(addressKey(caller))
  }

  /** An answer that was lost may tell of an attempt that was counted: it is given back whenever it comes. */
  async function countOrGiveBack (counter: AttemptCounter, key: string, caller: RequestContext): Promise<Seconds> {
    let counted: Promise<Seconds> | undefined
    try {
      return await reach(caller, () => (counted = counter.count(key)))
    } catch (error) {
      counted?.then(() => counter.giveBack(key)).catch(() => {})
      throw error
    }
  }

  async function proving<T> (account: string, caller: RequestContext, prove: () => Promise<T>): Promise<T> {
    return await deciding([addressKey(caller), account], async () => {
      try {
        const proven = await prove()
        await giveBack(caller, () => perAccount.forget(account))
        return proven
      } catch (error) {
        if (!isRefusal(error, WRONG_PASSWORD)) await giveBack(caller, () => perAccount.giveBack(account))
        throw error
      }
    })
  }

  /** Runs what decides an attempt, whose keys are under way until then. */
  async function deciding<T> (keys: readonly string[], decide: () => Promise<T>): Promise<T> {
    try {
      return await decide()
    } finally {
      for (const key of keys) underWay.remove(key)
    }
  }

  /** Takes back an attempt that cost nothing. If that cannot be had, it stays counted: nobody is refused for it. */
  async function giveBack (caller: RequestContext, ofAccount: () => Promise<unknown> = async () => {}): Promise<void> {
    await reach(caller, () => Promise.all([perAddress.giveBack(addressKey(caller)), ofAccount()])).catch(() => {})
  }

  /** What is under way may turn out to have cost nothing: who comes meanwhile had better come back soon. */
  function refused (what: 'address' | 'account', key: string, subject: string | null, wait: Seconds, caller: RequestContext): AuthError {
    return underWay.has(key) ? busy(new Error('as many attempts as may fail are under way')) : throttled(what, subject, wait, caller)
  }

  /** The session that came with a login, if it is the account's own. Asked only where the account is exhausted. */
  async function sessionOf (name: string | null, { holder, bounded }: Caller): Promise<Holder | null> {
    if (name === null || holder === null || findByUsername === undefined) return null
    const user = await bounded(() => findByUsername(name)) ?? null
    return user !== null && String(user.id) === holder.sub ? holder : null
  }

  function counterOf (what: string, limits: readonly Limit[]): AttemptCounter {
    return together(limits.map(limit => counter(limit, `${what}:${limit.max}/${limit.per}`)))
  }

  /** A call to the counters. Throws FST_AUTH_STORE_UNAVAILABLE, and warns the first time. */
  async function reach<T> ({ bounded }: RequestContext, call: () => Promise<T>): Promise<T> {
    try {
      const answer = await bounded(call)
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

function isRefusal (error: unknown, codes: ReadonlySet<AuthErrorCode>): boolean {
  return error instanceof AuthError && codes.has(error.code)
}

function addressKey ({ ip }: RequestContext): string {
  return keyOf('address', networkOf(ip))
}

/** In one spelling of its letters, since apps may look names up in any. What is no username is one account for all. */
function accountKey (name: string | null): string {
  return keyOf('name', name?.toUpperCase().toLowerCase() ?? '')
}

/** Hashed: of one length, and nothing that somebody typed is kept. */
function keyOf (kind: string, value: string): string {
  return createHash('sha256').update(`${kind} ${value}`).digest('base64url').slice(0, 22)
}
