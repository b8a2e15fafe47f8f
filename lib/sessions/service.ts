import { AuthError } from '../errors.js'
import { type AccessClaims, type AccessPolicy, type AppClaims, type SessionRef, readRefreshClaims, type RefreshClaims, toAppClaims } from '../tokens/claims.js'
import { claimedSession, createIssuer, type Issued, type Issuer } from './issue.js'
import { isSubject, MAX_SUBJECT_LENGTH } from '../tokens/subject.js'
import { createAuthenticate, type Authenticate } from './authenticate.js'
import { chooseToken, sessionRefOf } from './choose-token.js'
import { endAll } from './end-all.js'
import { type RequestContext } from '../audit/events.js'
import { changePassword, type WritePassword } from './password-change.js'
import { type Revocations } from './revocations.js'
import { type RotationPolicy } from './rotation-policy.js'
import { assertKept, isLive, isRevoked, isSessionId, type RevokeReason, type Session, type SessionStore, startSession } from './session.js'
import { assertRoom, excessOf, type SessionLimit } from './limit.js'
import { checkedPart, listLive, type SessionListOptions } from './list.js'
import { findUser, makeAppClaims, type MakeAppClaims } from './load-user.js'
import { refreshSession, renewSession, updateAuthTime, type RequestScope } from './refresh.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'
import { type Tokens } from '../tokens/jwt.js'
import { type User, type Users } from '../accounts/user.js'
import { writeSession } from './write-session.js'

/** Everything the state machine is made of. */
export interface SessionServiceOptions {
  readonly store: SessionStore
  readonly tokens: Tokens
  readonly clock: Clock
  readonly access: AccessPolicy
  readonly rotation: RotationPolicy
  /** The longest a session lasts, however often it is refreshed. */
  readonly absolute: Seconds
  /** Whether every answer holds the live refresh token, also where the client has it: right for all but cookies. */
  readonly repeatRefreshToken?: boolean
  /** How many live sessions a subject may have. Needs a store with `list`. */
  readonly limit?: SessionLimit | undefined
  /** What ended while its access tokens still live; without it they work until they expire. */
  readonly revocations?: Revocations | undefined
  /** Asked at every login and refresh where given. */
  readonly findById?: Users['findById'] | undefined
  /** Asked about every refresh once its token's signature was verified, before the store; may refuse it. */
  readonly limitRefresh?: ((session: SessionRef, context: RequestContext) => Promise<void>) | undefined
  /** The app's own claims, made anew for every access token. */
  readonly appClaims?: MakeAppClaims | undefined
}

/** How a login is to be. */
export interface LoginOptions {
  /** App claims of this first access token, over those of `accessToken.claims`. */
  readonly claims?: AppClaims | undefined
  /** False: the cookie ends with the browser. */
  readonly remember?: boolean | undefined
  /** The user, where the caller has just loaded it. */
  readonly user?: User | undefined
  /** Asked once the session is there: whether who logs in is still proven. If not, the session ends, and the login is refused. */
  readonly stillProven?: (() => Promise<boolean>) | undefined
  /** The refresh tokens that the browser sent: the session of the one that counts is replaced if it is the same subject's. */
  readonly replaces?: readonly string[] | undefined
}

/** How a session is to start: `held` is what this browser had, and with `isOnly` every other one is ended next. */
type StartOptions = Omit<LoginOptions, 'replaces'> & { readonly held: string | null, readonly isOnly?: boolean }

/** What a login gives. */
export interface LoggedIn extends Issued {
  /** The id of the session that this one takes the place of, for `endReplaced`; null where the browser held none. */
  readonly replaced: string | null
}

/** What can be done with sessions: by requests, by their owner, by an administrator. It reads, decides (`rotation-policy.ts`), writes. */
export class SessionService {
  readonly authenticate: Authenticate
  readonly #options: SessionServiceOptions
  readonly #store: SessionStore
  readonly #tokens: Tokens
  readonly #issuer: Issuer
  /** What a refresh token of ours says, expired or not; null for any other text. */
  readonly #readToken = (token: string): RefreshClaims | null => readRefreshClaims(this.#tokens.verifyRefresh(token)?.payload)

  constructor (options: SessionServiceOptions) {
    const { store, tokens, access, clock, revocations } = options
    this.#options = options
    this.#store = store
    this.#tokens = tokens
    this.#issuer = createIssuer(tokens, access)
    this.authenticate = createAuthenticate({ tokens, access, clock, revocations, isUnrevoked: (id, context) => this.#isUnrevoked(id, context) })
  }

  /** Starts a session. Throws FST_AUTH_USER_REFUSED, FST_AUTH_CREDENTIALS_INVALID, FST_AUTH_STORE_UNAVAILABLE; a TypeError for an impossible subject. */
  async login (subject: string, context: RequestContext, { replaces = [], ...options }: LoginOptions = {}): Promise<LoggedIn> {
    return await this.#start(subject, context, { ...options, held: this.#heldBy(subject, replaces) })
  }

  /**
   * Ends the session that a login took the place of. To be called when the reply is out: a browser whose reply is lost
   * goes on with what it has. Where that call never comes, the first refresh of the new session, or its logout, ends it.
   * Throws FST_AUTH_STORE_UNAVAILABLE.
   */
  async endReplaced (subject: string, id: string, context: RequestContext): Promise<void> {
    await this.#end({ id, subject }, 'superseded', { ...this.#openScope(context), bounded: context.bounded.anew() })
  }

  /**
   * Swaps the refresh token that a client sent for a new access token, by the rotation policy; `tokens` are several where a
   * browser sent several cookies (see `chooseToken`). Where `accessToken` is given and no token was sent, or an expired one,
   * its session goes on and gets a new refresh token. Throws the 401s of refresh tokens, FST_AUTH_STORE_UNAVAILABLE,
   * FST_AUTH_BUSY.
   */
  async refresh (presented: readonly string[], context: RequestContext, accessToken: string | null = null): Promise<Issued> {
    const scope = this.#openScope(context)
    await this.#seekKeys(presented, scope)
    const token = chooseToken(presented, this.#readToken, scope.at)
    try {
      if (token === undefined) throw new AuthError('FST_AUTH_REFRESH_TOKEN_MISSING')
      return await this.#rotate(token, scope)
    } catch (refusal) {
      if (accessToken === null || !isGone(refusal)) throw refusal
      const claims = await (async () => await this.authenticate(accessToken, context))().catch(() => { throw refusal })
      return await this.#renew(claims, token, scope)
    }
  }

  /** Throws FST_AUTH_SESSION_ENDED if the session of an access token has ended, as far as the store keeps sessions; FST_AUTH_STORE_UNAVAILABLE. */
  async assertLive ({ sid }: AccessClaims, context: RequestContext): Promise<void> {
    if (!await this.#isUnrevoked(sid, context)) throw new AuthError('FST_AUTH_SESSION_ENDED')
  }

  /** Notes that the person of an access token has just proved who they are: `auth_time` becomes now. Throws FST_AUTH_SESSION_ENDED, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. */
  async reauthenticate ({ sid }: AccessClaims, user: User, context: RequestContext): Promise<Issued> {
    const scope = this.#openScope(context)
    const app = await makeAppClaims(this.#options.appClaims, user, scope)
    const session = await updateAuthTime(this.#store, sid, scope)
    context.emit({ type: 'reauthenticated', subject: session.subject, sessionId: sid })
    return { ...this.#issuer.access(session, app, scope.at), refreshToken: this.#options.repeatRefreshToken ? this.#issuer.refresh(session, true, scope.at) : null }
  }

  /**
   * Ends every session of a user whose password changes, and starts a new one that is remembered as `remember` says.
   * What `write` throws goes on; FST_AUTH_STORE_UNAVAILABLE says whether the password was changed. Throws as `login` does.
   */
  async changePassword ({ sub, sid }: SessionRef, user: User, write: WritePassword, context: RequestContext, remember?: boolean): Promise<Issued> {
    return await changePassword({
      current: sid,
      endOthers: (keptId, context) => this.revokeAll(sub, 'password_changed', context, keptId),
      start: write => this.#start(sub, context, { user, remember, held: sid, stillProven: write, isOnly: true })
    }, write, context)
  }

  /**
   * Ends the sessions of refresh tokens of ours, of any generation, expired too. Resolves to false where none is ours.
   * Throws FST_AUTH_STORE_UNAVAILABLE, once it has tried all.
   */
  async logout (presented: readonly string[], context: RequestContext): Promise<boolean> {
    const scope = this.#openScope(context)
    // Each by itself: a cookie that was tossed in must not keep the other session from ending.
    const ends = await Promise.allSettled(presented.map(token => this.#logoutOne(token, scope)))
    const failed = ends.find(end => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return ends.some(end => end.status === 'fulfilled' && end.value)
  }

  /** As `sessionRefOf`: what the token that counts says, by its signature alone. Its session may have ended. */
  holder (tokens: readonly string[]): RefreshClaims | null {
    return sessionRefOf(tokens, this.#readToken, this.#now())
  }

  /**
   * Whether the session of `holder` is live, and its token the current one or the one before: asks the store. A copy that
   * was rotated away proves nothing any more. Throws FST_AUTH_STORE_UNAVAILABLE.
   */
  async isHeldLive (claims: RefreshClaims, { bounded }: RequestContext): Promise<boolean> {
    const session = await bounded(() => this.#store.get(claims.sid, claimedSession(claims)))
    return session !== null && isLive(session, this.#now()) && [session.generation, session.previous].includes(claims.gen)
  }

  /** The subject's live sessions, oldest first: a part of the list, of 100 by default. A TypeError for an impossible part, or where the store keeps no sessions. */
  async list (subject: string, context: RequestContext, part: SessionListOptions = {}): Promise<Session[]> {
    return await listLive(this.#store, subject, checkedPart(part), this.#openScope(context))
  }

  /** Ends a session; with `subject`, only if it is theirs. Resolves to false where there was none to end. A TypeError where the store keeps no sessions. */
  async revoke (id: string, reason: RevokeReason, context: RequestContext, subject?: string): Promise<boolean> {
    if (reason !== 'logout') assertKept(this.#store) // a logout clears the cookie, whatever the store can do
    const scope = this.#openScope(context)
    const session = isSessionId(id) ? await scope.bounded(() => this.#store.get(id)) : null
    // Past its idle end too: an access token may still renew it.
    if (session === null || isRevoked(session) || scope.at >= session.expiresAt) return false
    if (subject !== undefined && session.subject !== subject) return false
    return await this.#end(session, reason, scope)
  }

  /**
   * Ends all sessions of a subject, or all but one, however many there are. Resolves to how many. Where it throws
   * FST_AUTH_STORE_UNAVAILABLE some may have ended, and the next call goes on with the others. A TypeError where the store
   * keeps no sessions.
   */
  async revokeAll (subject: string, reason: RevokeReason, context: RequestContext, exceptId?: string): Promise<number> {
    assertKept(this.#store)
    return await endAll(this.#store, subject, reason, exceptId, context)
  }

  /** Deletes rows that nobody needs any more. Resolves to how many; to 0 where the store forgets by itself, as Redis does. */
  async purgeExpired (): Promise<number> {
    // Rows stay one access lifetime longer, so that a last access token still learns how its session ended.
    // No deadline: it works in batches beside live traffic for as long as it needs.
    return await this.#store.purgeExpired?.(this.#now() - this.#options.access.expiresIn) ?? 0
  }

  #now (): EpochSeconds {
    return Math.floor(this.#options.clock())
  }

  #openScope (context: RequestContext): RequestScope {
    return { bounded: context.bounded, context, at: this.#now() }
  }

  /** Starts a session; the one that this browser held, if any, does not count any more. */
  async #start (subject: string, context: RequestContext, { claims = {}, remember = true, user, stillProven, held, isOnly = false }: StartOptions): Promise<LoggedIn> {
    if (!isSubject(subject)) throw new TypeError(`login: the subject must be a non-empty string of at most ${MAX_SUBJECT_LENGTH} characters`)
    const scope = this.#openScope(context)
    const owner = user ?? await findUser(this.#options.findById, subject, scope)
    if (owner?.disabled) throw new AuthError('FST_AUTH_USER_REFUSED')
    const app = toAppClaims({ ...await makeAppClaims(this.#options.appClaims, owner, scope), ...toAppClaims(claims) })
    const { limit, absolute, rotation: { idle } } = this.#options
    if (limit?.whenFull === 'refuseLogin' && !isOnly) await assertRoom(this.#store, subject, held, limit, scope)

    const session = startSession(subject, context, { idle, absolute }, scope.at)
    await writeSession(this.#store, session, scope, async () => {
      if (stillProven !== undefined) await this.#assertProof(stillProven, session, scope)
      if (limit !== undefined && !isOnly) await this.#endOldest(session, held, limit, scope)
    })
    context.emit({ type: 'login', subject, sessionId: session.id })
    return { ...this.#issuer.access(session, app, scope.at), refreshToken: this.#issuer.refresh(session, remember, scope.at, held), replaced: held }
  }

  /** Lets a session that was just started go on only if who started it is still proven. */
  async #assertProof (stillProven: () => Promise<boolean>, session: Session, scope: RequestScope): Promise<void> {
    if (await stillProven()) return
    await this.#end(session, 'password_changed', scope)
    throw new AuthError('FST_AUTH_CREDENTIALS_INVALID')
  }

  /** True where the store keeps no sessions: then nothing can be revoked. */
  async #isUnrevoked (id: string, { bounded }: RequestContext): Promise<boolean> {
    if (this.#store.list === undefined) return true
    const session = await bounded(() => this.#store.get(id))
    return session !== null && !isRevoked(session)
  }

  async #rotate (token: string, scope: RequestScope): Promise<Issued> {
    const { claims, signedByCurrentKey } = this.#verifyRefresh(token, scope)
    const app = await this.#loadAppClaims(claims, scope)
    await this.#endReplacedBy(claims, scope)

    const { context, at } = scope
    const presented = { generation: claims.gen, issuedAt: claims.iat, expiresAt: claims.exp, signedByCurrentKey, userAgent: context.userAgent }
    const { session, outcome } = await refreshSession(this.#store, this.#options.rotation, presented, claimedSession(claims), scope)
    context.emit({ type: 'refresh', subject: session.subject, sessionId: session.id, outcome, generation: session.generation })
    const known = outcome === 'hold' && !this.#options.repeatRefreshToken
    return { ...this.#issuer.access(session, app, at), refreshToken: known ? null : this.#issuer.refresh(session, claims.remember !== false, at) }
  }

  /** `expired` is the refresh token that was sent, if any: it must be of the same session. */
  async #renew (claims: AccessClaims, expired: string | undefined, scope: RequestScope): Promise<Issued> {
    // A browser drops a cookie at its Max-Age: one that is missing had one, and one that it still sends may have none.
    const held = expired === undefined ? null : this.#readToken(expired)
    if (held !== null && held.sid !== claims.sid) throw new AuthError('FST_AUTH_REFRESH_TOKEN_EXPIRED')
    const app = await this.#loadAppClaims(claims, scope)
    const session = await renewSession(this.#store, this.#options.rotation, claims.sid, scope)
    scope.context.emit({ type: 'renewed', subject: session.subject, sessionId: session.id, generation: session.generation })
    return { ...this.#issuer.access(session, app, scope.at), refreshToken: this.#issuer.refresh(session, held?.remember !== false, scope.at) }
  }

  async #logoutOne (token: string, scope: RequestScope): Promise<boolean> {
    await this.#seekKeys([token], scope)
    const claims = this.#readToken(token)
    if (claims === null) return false
    const ended = await scope.bounded(() => this.#store.revoke(claims.sid, 'logout'))
    if (ended) scope.context.emit({ type: 'logout', subject: claims.sub, sessionId: claims.sid })
    await this.#endReplacedBy(claims, scope)
    return true
  }

  /** Where a key cannot be read, FST_AUTH_STORE_UNAVAILABLE: a 401 would log somebody out whose token is good. */
  async #seekKeys (presented: readonly string[], { bounded }: RequestScope): Promise<void> {
    const sought = presented.flatMap(token => this.#tokens.seekKey('refresh', token) ?? [])
    if (sought.length > 0) await bounded(() => Promise.all(sought))
  }

  /** Signature, kind and expiry, without I/O: garbage can neither load the store nor end a session. */
  #verifyRefresh (token: string, { at }: RequestScope): { claims: RefreshClaims, signedByCurrentKey: boolean } {
    const verified = this.#tokens.verifyRefresh(token)
    const claims = readRefreshClaims(verified?.payload)
    if (verified === null || claims === null) throw new AuthError('FST_AUTH_REFRESH_TOKEN_INVALID')
    if (at >= claims.exp) throw new AuthError('FST_AUTH_REFRESH_TOKEN_EXPIRED')
    return { claims, signedByCurrentKey: verified.signedByCurrentKey }
  }

  /** The app's claims for a refresh. Counts it against the limit, and ends the session of a user who is gone or disabled. */
  async #loadAppClaims (claims: SessionRef, scope: RequestScope): Promise<AppClaims> {
    await this.#options.limitRefresh?.(claims, scope.context)
    return await makeAppClaims(this.#options.appClaims, await this.#loadUser(claims, scope), scope)
  }

  async #loadUser (claims: SessionRef, scope: RequestScope): Promise<User | null> {
    try {
      return await findUser(this.#options.findById, claims.sub, scope)
    } catch (error) {
      if (error instanceof AuthError && error.code === 'FST_AUTH_USER_REFUSED') {
        await this.#end({ id: claims.sid, subject: claims.sub }, 'user_refused', scope)
      }
      throw error
    }
  }

  async #end (session: Pick<Session, 'id' | 'subject'>, reason: RevokeReason, { bounded, context }: RequestScope): Promise<boolean> {
    const ended = await bounded(() => this.#store.revoke(session.id, reason))
    if (ended) context.emit({ type: 'revoked', subject: session.subject, sessionId: session.id, reason })
    return ended
  }

  /** Ends the session that a login took the place of, where `endReplaced` never came to it. */
  async #endReplacedBy ({ sub, replaces }: RefreshClaims, scope: RequestScope): Promise<void> {
    if (replaces !== undefined) await this.#end({ id: replaces, subject: sub }, 'superseded', scope)
  }

  /** The session that this browser held, if it is the subject's own: somebody may have planted the cookie. */
  #heldBy (subject: string, presented: readonly string[]): string | null {
    const claims = this.#readToken(chooseToken(presented, this.#readToken, this.#now(), subject) ?? '')
    return claims?.sub === subject ? claims.sid : null
  }

  /** Makes room for a session. It never ends the one just created, which may look like the oldest by another clock. */
  async #endOldest (started: Session, held: string | null, { max }: SessionLimit, scope: RequestScope): Promise<void> {
    const excess = await excessOf(this.#store, started.subject, { replaced: held, started: started.id }, max, scope)
    for (const session of excess) await this.#end(session, 'limit', scope)
  }
}

/** Whether a refresh was refused since no refresh token was sent, or an expired one. */
function isGone (refusal: unknown): boolean {
  return refusal instanceof AuthError && /^FST_AUTH_REFRESH_TOKEN_(?:MISSING|EXPIRED)$/.test(refusal.code)
}
