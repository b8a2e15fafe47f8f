import { isUnavailable, startDeadline } from '../deadline.js'
import { AuthError, withMessage } from '../errors.js'
import { randomId } from '../random.js'
import { CHALLENGE_PREFIX, isRevoked, type Session } from '../sessions/session.js'
import { keepsSessions, type SessionStore } from '../sessions/store.js'
import { type Clock, type Duration, parseDuration, type Seconds } from '../time.js'
import { type ChallengeClaims, type ChallengeTokens, type VerifiedChallenge } from '../tokens/challenge.js'
import { type Attempt, type Caller, type Throttle } from './throttle.js'

export interface IssueChallengeOptions {
  /** The step or link that the challenge is for, e.g. 'totp'. 1 to 64 characters; it is accepted for no other purpose. */
  readonly purpose: string
  /** Whole seconds, or a text such as '5m', the default. */
  readonly expiresIn?: Duration | undefined
  /**
   * A value of the user that must still be the same at acceptance, such as the password hash: a changed password then invalidates
   * older links. The token contains no part of it that its holder could read.
   */
  readonly boundTo?: string | null
}

export interface AcceptChallengeOptions {
  /** As at `issueChallenge`. */
  readonly purpose: string
  /** Returns the current value of what the challenge is bound to; required if and only if it is bound. */
  readonly boundTo?: ((subject: string) => Promise<string | null> | string | null) | undefined
  /**
   * Verifies the second factor of this user: true or false, anything else is a TypeError. Wrong ones are limited per client
   * address, and per user and purpose by `rateLimit.perAccount`, however many challenges they are spread over. An AuthError that
   * it throws is the reply; any other error, and no answer in time, is a 503. All but true counts as a wrong one, since an
   * attacker whose guesses make it throw could guess without limit; but not FST_AUTH_BUSY of a full queue for password hashing. It
   * may take `timeouts.call` and `passwords.queue.maxWait` together, so that it can hash a password. The challenge stays usable.
   */
  readonly verify?: ((subject: string) => Promise<boolean> | boolean) | undefined
}

/** A challenge that was accepted. */
export interface AcceptedChallenge {
  readonly subject: string
  /** False if the store keeps no sessions, so that the challenge stays valid. */
  readonly isUsedUp: boolean
  /**
   * False if the value that it is bound to has changed since, to another than `changedTo`: a login checks again once its session is
   * stored, as after a password.
   */
  isStillValid (changedTo?: string): Promise<boolean>
}

interface ChallengesOptions {
  readonly store: SessionStore
  readonly tokens: ChallengeTokens
  readonly throttle: Throttle
  readonly clock: Clock
  /** The time limit of one call of `verify`. */
  readonly verifyWithin: Seconds
}

const MAX_PURPOSE_LENGTH = 64
const MAX_LIFETIME: Seconds = 400 * 86_400

const UNKNOWN_USE = 'It is unknown whether the challenge was used up: try again, and start again if it was'
const UNVERIFIED = 'The server is temporarily unavailable, and the attempt counts as a wrong one: try again later'

/**
 * Challenges: signed tokens for one purpose, used once. Each is a row of the session store that is no session: no token names
 * it, and the list of no user has it. To accept a challenge is to revoke its row, which the store does exactly once. A store
 * that keeps no sessions cannot do it: a challenge is then valid until it expires.
 */
export class Challenges {
  readonly #options: ChallengesOptions

  constructor (options: ChallengesOptions) {
    this.#options = options
  }

  /** Throws a TypeError for invalid options, FST_AUTH_STORE_UNAVAILABLE. */
  async issue (subject: string, given: IssueChallengeOptions, { bounded }: Pick<Caller, 'bounded'>): Promise<string> {
    const { store, tokens } = this.#options
    const options = Object(given) as IssueChallengeOptions // an app may forget them
    const { purpose, expiresIn = '5m', boundTo } = options
    if ('boundTo' in options) assertBoundValue(boundTo)
    const lifetime = parseDuration(expiresIn)
    if (lifetime === null || lifetime < 1 || lifetime > MAX_LIFETIME) throw new TypeError("\"expiresIn\" of a challenge must be a duration of at most 400 days: whole seconds, or a number with a unit such as '5m'")
    const iat = this.#options.clock()
    const claims = { jti: CHALLENGE_PREFIX + randomId(), sub: subject, purpose: checkedPurpose(purpose), iat, exp: iat + lifetime }
    if (keepsSessions(store)) await bounded(() => store.create(rowOf(claims)))
    return tokens.sign(claims, boundTo)
  }

  /**
   * Uses up a challenge. Throws FST_AUTH_CHALLENGE_INVALID, FST_AUTH_CREDENTIALS_INVALID if `verify` returns false, an AuthError
   * that it throws, what `Throttle` throws, FST_AUTH_STORE_UNAVAILABLE.
   */
  async accept (token: unknown, given: AcceptChallengeOptions, caller: Caller): Promise<AcceptedChallenge> {
    const options = Object(given) as AcceptChallengeOptions // an app may forget them
    const challenge = await this.#read(token, options, caller)
    const { claims } = challenge
    const accepted = { subject: claims.sub, isUsedUp: keepsSessions(this.#options.store), isStillValid: async (changedTo?: string) => await isBound(challenge, options, caller, changedTo) }
    await assertBound(challenge, options, caller)
    if (options.verify === undefined) {
      await this.#use(claims, caller)
      return accepted
    }
    await this.#assertUnused(claims, caller)
    const attempt = await this.#options.throttle.start(caller)
    try {
      await this.#verify(claims, options.verify, attempt, caller)
      await assertBound(challenge, options, caller) // the value may have changed while `verify` ran
      await this.#use(claims, caller)
      await this.#options.throttle.succeed(attempt, claims.sub)
      return accepted
    } catch (error) {
      await this.#options.throttle.refund(attempt)
      throw error
    }
  }

  async #read (token: unknown, { purpose, boundTo }: AcceptChallengeOptions, { bounded }: Caller): Promise<VerifiedChallenge> {
    const { tokens } = this.#options
    checkedPurpose(purpose)
    if (boundTo !== undefined && typeof boundTo !== 'function') throw new TypeError('"boundTo" of acceptChallenge must be a function that returns the current value')
    const text = typeof token === 'string' ? token : ''
    const sought = tokens.seekKey(text)
    if (sought !== undefined) await bounded(() => sought)
    const challenge = tokens.verify(text)
    if (challenge === null) throw invalid('its signature, key, "typ" or spelling is not valid')
    if (challenge.claims.purpose !== purpose) throw invalid('it has another purpose')
    if (this.#options.clock() >= challenge.claims.exp) throw invalid('it has expired')
    return challenge
  }

  /** The attempt is counted before it is verified, so that concurrent guesses cannot exceed the limit. */
  async #verify ({ sub, purpose }: ChallengeClaims, verify: NonNullable<AcceptChallengeOptions['verify']>, attempt: Attempt, caller: Caller): Promise<void> {
    const { throttle, verifyWithin } = this.#options
    await throttle.consumeChallenge(attempt, sub, purpose)
    const bounded = startDeadline({ call: verifyWithin, request: verifyWithin })
    const answer: unknown = await bounded(() => verifyOrRefuse(verify, sub)).catch((error: unknown) => error)
    if (answer === true) return
    if (answer instanceof AuthError && answer.code === 'FST_AUTH_BUSY') throw answer // nothing was verified
    await throttle.fail(attempt, sub)
    const error = failureOf(answer)
    if (error instanceof AuthError && error.code === 'FST_AUTH_CREDENTIALS_INVALID') caller.emit({ type: 'login_failed', subject: sub })
    throw error
  }

  /** Before `verify`, which may use up something else, such as a recovery code. */
  async #assertUnused ({ jti }: ChallengeClaims, { bounded }: Caller): Promise<void> {
    const { store } = this.#options
    if (!keepsSessions(store)) return
    const row = await bounded(() => store.get(jti))
    if (row === null || isRevoked(row)) throw invalid('it was used already')
  }

  async #use ({ jti }: ChallengeClaims, { bounded }: Caller): Promise<void> {
    const { store } = this.#options
    if (!keepsSessions(store)) return
    const isFirst = await bounded(() => store.revoke(jti, 'superseded')).catch((error: unknown) => { throw withMessage(error, UNKNOWN_USE) })
    if (!isFirst) throw invalid('it was used already')
  }
}

async function isBound ({ claims, isBoundTo }: VerifiedChallenge, { boundTo }: AcceptChallengeOptions, { bounded }: Caller, changedTo?: string): Promise<boolean> {
  if (boundTo === undefined) return isBoundTo(undefined)
  const value = assertBoundValue(await bounded(() => boundTo(claims.sub)))
  return isBoundTo(value) || value === changedTo
}

async function assertBound (challenge: VerifiedChallenge, options: AcceptChallengeOptions, caller: Caller): Promise<void> {
  if (await isBound(challenge, options, caller)) return
  if (options.boundTo === undefined) throw invalid('it is bound to a value: give acceptChallenge "boundTo"')
  throw invalid(challenge.claims.bound === undefined ? 'it is bound to no value, and acceptChallenge has "boundTo"' : 'the value that it is bound to has changed')
}

/** Resolves to an AuthError that the app's check throws, which is the reply; a deadline would turn it into a 503. */
async function verifyOrRefuse (verify: NonNullable<AcceptChallengeOptions['verify']>, subject: string): Promise<boolean | AuthError> {
  try {
    return await verify(subject)
  } catch (error) {
    if (error instanceof AuthError && !isUnavailable(error)) return error
    throw error
  }
}

/** The error of any answer of `verify` but true. */
function failureOf (answer: unknown): unknown {
  if (answer instanceof AuthError) return withMessage(answer, UNVERIFIED)
  return answer === false
    ? new AuthError('FST_AUTH_CREDENTIALS_INVALID', { message: 'The code is wrong' })
    : new TypeError('"verify" of acceptChallenge must return true or false')
}

/** Anything else, such as a column that does not exist, would bind to nothing. */
function assertBoundValue (value: unknown): string | null {
  if (typeof value === 'string' || value === null) return value
  throw new TypeError('"boundTo" of a challenge must be a string or null')
}

function checkedPurpose (purpose: unknown): string {
  if (typeof purpose === 'string' && purpose !== '' && purpose.length <= MAX_PURPOSE_LENGTH) return purpose
  throw new TypeError(`the "purpose" of a challenge must be a string of 1 to ${MAX_PURPOSE_LENGTH} characters`)
}

/** Its subject is unique, so that it is in no user's list, and no user's sessions end with it. */
function rowOf ({ jti, iat, exp }: ChallengeClaims): Session {
  return {
    id: jti,
    subject: `challenge ${jti}`,
    generation: 0,
    previous: null,
    rotatedAt: iat,
    createdAt: iat,
    expiresAt: exp,
    idleExpiresAt: exp,
    authTime: iat,
    userAgent: null,
    ip: null
  }
}

function invalid (reason: string): AuthError {
  return new AuthError('FST_AUTH_CHALLENGE_INVALID', { reason })
}
