import { isUnavailable } from '../deadline.js'
import { AuthError, withMessage } from '../errors.js'
import { type AccessClaims, type AccessPolicy, type AppClaims, type SessionRef, type RefreshClaims } from '../tokens/claims.js'
import { issue, type Issued } from './issue-tokens.js'
import { createAuthenticate, type Authenticate } from './authenticate.js'
import { chooseToken, verifyChosen, verifyChosenOrNull } from './choose-token.js'
import { isCurrentToken, isMissingOrExpired, readSession, refreshSession, renewWithAccessToken, updateAuthTime } from './refresh.js'
import { type RequestContext } from '../events.js'
import { identify, type IdentifyOptions, type Identity } from './identify.js'
import { type Revocations, revokeAllSessions, revokeSession } from './revocations.js'
import { type RotationPolicy } from './rotation-policy.js'
import { isChallengeId, isLive, isRevoked, isSessionId, type RevokeReason, type Session } from './session.js'
import { assertKept, keepsSessions, type SessionStore } from './store.js'
import { endUnused, type LoggedIn, loginSubject, type NewSessionOptions } from './login.js'
import { LoginTurns, type SessionLimit } from './session-limit.js'
import { checkedPage, listLive, type SessionListOptions } from './list.js'
import { findUser, loadAppClaims, makeAppClaims, type UserSource } from './load-user.js'
import { type Clock, type Seconds } from '../time.js'
import { type Tokens } from '../tokens/jwt.js'
import { type User } from '../accounts/user.js'

export interface SessionServiceOptions extends UserSource {
  readonly store: SessionStore
  readonly tokens: Tokens
  readonly clock: Clock
  readonly access: AccessPolicy
  readonly rotationPolicy: RotationPolicy
  /** The absolute lifetime of a session. */
  readonly absolute: Seconds
  /** Every token response has the current refresh token, also if the client has it already. For every transport except cookies. */
  readonly repeatRefreshToken?: boolean
  /** Needs a store with `list`. */
  readonly limit?: SessionLimit | undefined
  /** Without it, access tokens of ended sessions stay valid until they expire. */
  readonly revocations?: Revocations | undefined
  /** Consumes the rate limit of a refresh, after the signature was verified and before anything is written. */
  readonly limitRefresh?: ((session: SessionRef, context: RequestContext) => Promise<void> | void) | undefined
}

/**
 * Writes a password by compare-and-set. Throws a refusal if it was not written, and FST_AUTH_STORE_UNAVAILABLE or any other
 * error if that is unknown. A timed-out write may still succeed; then it calls `onLateSuccess`.
 */
export type WritePassword = (onLateSuccess: () => void) => Promise<void>

/** The state of the password when a step fails, as the error message of the reply. */
const PASSWORD_STATE = {
  unchanged: 'The password was not changed: try again',
  unknown: 'It is unknown whether the password was changed: try again, and log in with the new one if the old one is refused',
  changed: 'The password was changed: log in with the new one. Your other devices may still be logged in: end their sessions in your list of devices'
} as const

/** The session service, without HTTP. `rotation-policy.ts` decides about refreshes. */
export class SessionService {
  readonly authenticate: Authenticate
  readonly #options: SessionServiceOptions
  readonly #store: SessionStore
  readonly #tokens: Tokens
  readonly #turns = new LoginTurns()

  constructor (options: SessionServiceOptions) {
    const { store, tokens, access, clock, revocations } = options
    this.#options = options
    this.#store = store
    this.#tokens = tokens
    this.authenticate = createAuthenticate({ tokens, access, clock, revocations, isUnrevoked: (id, context) => this.#isUnrevoked(id, context) })
  }

  /** Starts a session. Throws FST_AUTH_USER_REFUSED, FST_AUTH_CREDENTIALS_INVALID, FST_AUTH_STORE_UNAVAILABLE; a TypeError for an invalid subject. */
  login (subject: string, context: RequestContext, { replaces = [], ...options }: NewSessionOptions = {}): Promise<LoggedIn> {
    const login = (): Promise<LoggedIn> => {
      // Only a session of the subject's own: an attacker may have planted the cookie (cookie tossing).
      const replaced = chooseToken(replaces, this.#tokens.verifyRefresh, this.#options.clock(), subject)?.claims.sid ?? null
      return loginSubject(subject, { ...options, replaced }, this.#options, context)
    }
    return this.#options.limit === undefined ? login() : this.#turns.run(subject, context, login)
  }

  /**
   * Ends the session that a login replaced. Call it once the reply is sent, so that a lost reply leaves the old session usable.
   * If the call is missed, the first refresh of the new session ends the old one, or the logout where tokens are not rotated.
   * Throws FST_AUTH_STORE_UNAVAILABLE.
   */
  async endReplaced (subject: string, id: string, context: RequestContext): Promise<void> {
    await revokeSession(this.#store, { id, subject }, 'superseded', context, context.bounded.withNewDeadline())
  }

  /**
   * Exchanges a refresh token for a new access token, by the rotation policy. `refreshTokens` are several tokens if a browser sent
   * several cookies (see `chooseToken`). Throws the 401s of refresh tokens, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
   */
  async refresh (refreshTokens: readonly string[], context: RequestContext): Promise<Issued> {
    if (this.#tokens.seekKey !== undefined) await this.#seekKeys(refreshTokens, context)
    // The clock is read once. If a session expired while the store is slow, a later time would give the cookie a negative Max-Age, which deletes it.
    const at = this.#options.clock()
    const verified = verifyChosen(refreshTokens, this.#tokens.verifyRefresh, at)
    const { claims } = verified
    try {
      const limited = this.#options.limitRefresh?.(claims, context)
      if (limited !== undefined) await limited
    } catch (refusal) {
      // Otherwise a thief who uses up the limit of the session would hide from reuse detection.
      await readSession(this.#options, verified, context, at)
      throw refusal
    }
    const app = await this.#loadAppClaims(claims, context)
    // If the call after the reply of the login was lost. A token that is never rotated would repeat it at each refresh: there the logout does it.
    if (claims.replaces !== undefined && this.#options.rotationPolicy.rotation === 'always') await revokeSession(this.#store, { id: claims.replaces, subject: claims.sub }, 'superseded', context)

    const { session, outcome } = await refreshSession(this.#options, verified, context, at)
    context.emit({ type: 'refresh', subject: session.subject, sessionId: session.id, outcome, generation: session.generation })
    const clientHasToken = outcome === 'hold' && !this.#options.repeatRefreshToken
    // A reauthentication issues new tokens, and a copy of an older one, such as that of a thief, does not become as recent (OWASP ASVS 7.2.4).
    const asProven = { ...session, authTime: claims.auth_time }
    return issue(this.#options, asProven, app, at, clientHasToken ? null : { remember: claims.remember !== false })
  }

  /** The user of a refresh token, without a rotation: see `identify`. Throws the 401s of refresh tokens, FST_AUTH_STORE_UNAVAILABLE. */
  async identify (refreshTokens: readonly string[], context: RequestContext, options?: IdentifyOptions): Promise<Identity> {
    await this.#seekKeys(refreshTokens, context)
    const at = this.#options.clock()
    return await identify(verifyChosen(refreshTokens, this.#tokens.verifyRefresh, at), this.#options, context, at, options)
  }

  /**
   * True if `identify` accepts the refresh token. A stale copy is reuse here too: otherwise a thief could test a copy without being
   * detected. Throws FST_AUTH_STORE_UNAVAILABLE.
   */
  async hasLiveSession (refreshTokens: readonly string[], context: RequestContext): Promise<boolean> {
    try {
      await this.identify(refreshTokens, context, { user: false })
      return true
    } catch (error) {
      if (isUnavailable(error)) throw error
      return false
    }
  }

  /** As `refresh`. If the refresh token is missing or expired, a valid access token renews its session. */
  async refreshOrRenew (refreshTokens: readonly string[], accessToken: string, context: RequestContext): Promise<Issued> {
    try {
      return await this.refresh(refreshTokens, context)
    } catch (refusal) {
      if (!isMissingOrExpired(refusal)) throw refusal
      const claims = await this.#authenticateOrNull(accessToken, context)
      if (claims === null) throw refusal
      return await this.#renew(claims, refreshTokens, context)
    }
  }

  /** Throws FST_AUTH_SESSION_ENDED if the session was revoked, FST_AUTH_STORE_UNAVAILABLE. Passes if the store keeps no sessions. */
  async assertUnrevoked ({ sid }: Pick<SessionRef, 'sid'>, context: RequestContext): Promise<void> {
    if (!await this.#isUnrevoked(sid, context)) throw new AuthError('FST_AUTH_SESSION_ENDED')
  }

  /**
   * Sets `auth_time` of the session to now, in a new access token and a new refresh token of the same generation. There is no refresh
   * token for a request without one in `refreshTokens`, nor for one whose reply was lost: that first needs a refresh. A token that
   * was replaced earlier is reuse, as at a refresh. Throws FST_AUTH_SESSION_ENDED, FST_AUTH_REFRESH_TOKEN_REUSED,
   * FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
   */
  async reauthenticate ({ sid }: AccessClaims, user: User, refreshTokens: readonly string[], context: RequestContext): Promise<Issued> {
    const at = this.#options.clock()
    const { appClaims } = this.#options
    const app = appClaims === undefined ? {} : await makeAppClaims(appClaims, user, context)
    const session = await updateAuthTime(this.#store, sid, context, at)
    const chosen = verifyChosenOrNull(refreshTokens, this.#tokens.verifyRefresh, at)
    const sent = chosen?.claims.sid === sid ? chosen : null // the cookie may be that of another session
    const isCurrent = sent !== null && await isCurrentToken(this.#options, sent, session, context, at)
    context.emit({ type: 'reauthenticated', subject: session.subject, sessionId: sid })
    return issue(this.#options, session, app, at, isCurrent ? { remember: sent?.claims.remember !== false, replaces: sent?.claims.replaces } : null)
  }

  /**
   * Writes a new password with `write`, starts a new session and ends the others of the user, which began with the old password. It
   * ends them after the write, since of two concurrent changes one is refused, and that one must not end the new session of the
   * other. Throws as `write` and `login` do; the message of FST_AUTH_STORE_UNAVAILABLE states whether the password was changed.
   */
  async changePassword ({ sub, sid }: SessionRef, user: User, write: WritePassword, context: RequestContext, remember?: boolean): Promise<Issued> {
    const endOthers = (keptId: string): Promise<number> => this.revokeAll(sub, 'password_changed', context, keptId)
    // These sessions may stay live, and no reply reports it.
    const reportUnended = (error: unknown): void => context.emit({ type: 'store_unavailable' }, error)
    const { findById } = this.#options
    let state: string = PASSWORD_STATE.unchanged
    let started: string | undefined
    const writePassword = async (): Promise<void> => {
      // Checked again, once the new session is stored: sessions that were ended since the request began, or a user who was disabled, get no new one.
      await this.assertUnrevoked({ sid }, context)
      if (findById !== undefined) await findUser(findById, sub, context)
      state = PASSWORD_STATE.unknown
      await write(() => { endOthers(sid).catch(reportUnended) })
      state = PASSWORD_STATE.changed
    }
    try {
      const issued = await loginSubject(sub, { user, remember, replaced: null, write: writePassword }, this.#options, context)
      started = issued.claims.sid
      await endOthers(started)
      return issued
    } catch (error) {
      if (started !== undefined) await endUnused(this.#store, { id: started }, context)
      if (state === PASSWORD_STATE.unknown && !isRefusal(error)) await endOthers(sid).catch(reportUnended)
      throw withMessage(error, state)
    }
  }

  /**
   * Ends the sessions of refresh tokens of any generation, expired ones too. Resolves to their ids, also of those that had ended
   * before; to none if no signature is valid. Throws FST_AUTH_STORE_UNAVAILABLE, after it has tried all tokens.
   */
  async logout (refreshTokens: readonly string[], context: RequestContext): Promise<string[]> {
    // Independent of each other, so that a failure for a cookie from cookie tossing does not keep the real session alive.
    const ends = await Promise.allSettled(refreshTokens.map(token => this.#logoutOne(token, context)))
    return ends.flatMap(end => {
      if (end.status === 'rejected') throw end.reason
      return end.value ?? []
    })
  }

  /** The claims of the chosen refresh token, from its signature and expiry, without the store: its session may have ended. As `verifyChosenOrNull`. */
  claimsOf (refreshTokens: readonly string[]): RefreshClaims | null {
    return verifyChosenOrNull(refreshTokens, this.#tokens.verifyRefresh, this.#options.clock())?.claims ?? null
  }

  /** A page of the subject's live sessions, oldest first. A TypeError for an invalid page, or if the store keeps no sessions. */
  async list (subject: string, context: RequestContext, part: SessionListOptions = {}): Promise<Session[]> {
    return await listLive(this.#store, subject, checkedPage(part), context, this.#options.clock())
  }

  /** The live session with this id, or null. A TypeError if the store keeps no sessions. */
  async findLive (id: string, context: RequestContext): Promise<Session | null> {
    assertKept(this.#store)
    const session = isSessionId(id) && !isChallengeId(id) ? await context.bounded(() => this.#store.get(id)) : null
    return session !== null && isLive(session, this.#options.clock()) ? session : null
  }

  /** Ends a session; with `subject`, only one of that subject. Resolves to false if this call ended none. A TypeError if the store keeps no sessions. */
  async revoke (id: string, reason: RevokeReason, context: RequestContext, subject?: string): Promise<boolean> {
    if (reason !== 'logout') assertKept(this.#store) // a logout clears the cookie even without a store that keeps sessions
    const session = isSessionId(id) && !isChallengeId(id) ? await context.bounded(() => this.#store.get(id)) : null
    // An idle-expired session is revoked too, since an access token may still renew it.
    if (session === null || this.#options.clock() >= session.expiresAt) return false
    if (subject !== undefined && session.subject !== subject) return false
    return await revokeSession(this.#store, session, reason, context)
  }

  /** Ends all sessions of a subject, or all but one. As `revokeAllSessions`. */
  async revokeAll (subject: string, reason: RevokeReason, context: RequestContext, exceptId?: string): Promise<number> {
    return await revokeAllSessions(this.#store, subject, reason, context, exceptId)
  }

  /** Deletes the rows of expired sessions, until `signal` is aborted. Resolves to the number of rows; to 0 for stores that expire rows themselves. */
  async purgeExpired (signal?: AbortSignal): Promise<number> {
    // Rows stay for one more access token lifetime, so that the last access token still gets the right refusal.
    // No deadline: stores delete in batches beside live traffic.
    return await this.#store.purgeExpired?.(this.#options.clock() - this.#options.access.expiresIn, signal) ?? 0
  }

  /** True if the store keeps no sessions, since it can revoke none. */
  async #isUnrevoked (id: string, { bounded }: RequestContext): Promise<boolean> {
    if (!keepsSessions(this.#store)) return true
    const session = await bounded(() => this.#store.get(id))
    return session !== null && !isRevoked(session)
  }

  async #renew (claims: AccessClaims, refreshTokens: readonly string[], context: RequestContext): Promise<Issued> {
    const at = this.#options.clock()
    // An expired token states `remember`. A cookie that is missing had a Max-Age and was deleted at its end, so `remember` was true:
    // a session cookie ends with the browser, and so does the access token in memory.
    const former = chooseToken(refreshTokens, this.#tokens.verifyRefresh, at)?.claims
    if (former !== undefined && former.sid !== claims.sid) throw new AuthError('FST_AUTH_REFRESH_TOKEN_EXPIRED')
    await this.#options.limitRefresh?.(claims, context)
    const app = await this.#loadAppClaims(claims, context)
    const session = await renewWithAccessToken(this.#options, claims.sid, context, at)
    context.emit({ type: 'renewed', subject: session.subject, sessionId: session.id, generation: session.generation })
    const asProven = { ...session, authTime: claims.auth_time } // as at a refresh
    return issue(this.#options, asProven, app, at, { remember: former?.remember !== false })
  }

  async #authenticateOrNull (accessToken: string, context: RequestContext): Promise<AccessClaims | null> {
    try {
      return await this.authenticate(accessToken, context)
    } catch (error) {
      if (isUnavailable(error)) throw error // a 401 would log a user out whose token is valid
      return null
    }
  }

  async #logoutOne (token: string, context: RequestContext): Promise<string | null> {
    await this.#seekKeys([token], context)
    const claims = this.#tokens.verifyRefresh(token)?.claims
    if (claims === undefined) return null
    await revokeSession(this.#store, { id: claims.sid, subject: claims.sub }, 'logout', context)
    if (claims.replaces !== undefined) await revokeSession(this.#store, { id: claims.replaces, subject: claims.sub }, 'superseded', context)
    return claims.sid
  }

  /**
   * Loads missing keys, unless one of several tokens is valid already: the others may be planted (cookie tossing).
   * FST_AUTH_STORE_UNAVAILABLE if that fails, since a 401 would log a user out whose token is valid.
   */
  async #seekKeys (refreshTokens: readonly string[], { bounded }: RequestContext): Promise<void> {
    if (refreshTokens.length > 1 && refreshTokens.some(token => this.#tokens.verifyRefresh(token) !== null)) return
    const sought = refreshTokens.flatMap(token => this.#tokens.seekKey?.('refresh', token) ?? [])
    if (sought.length > 0) await bounded(() => Promise.all(sought))
  }

  /** The app's claims for a refresh, which ends the session of an unknown or disabled user. */
  #loadAppClaims ({ sub, sid }: SessionRef, context: RequestContext): Promise<AppClaims> {
    return loadAppClaims(sub, this.#options, context, () => revokeSession(this.#store, { id: sid, subject: sub }, 'user_refused', context))
  }
}

function isRefusal (error: unknown): boolean {
  return error instanceof AuthError && !isUnavailable(error)
}
