import { AuthError } from '../errors.js'
import { type AccessClaims, type AccessPolicy, type AppClaims, type SessionRef, judgeAccessClaims, readRefreshClaims, type RefreshClaims, toAppClaims } from '../tokens/claims.js'
import { claimedSession, createIssuer, type Issued } from './issue.js'
import { isSubject, MAX_SUBJECT_LENGTH } from '../tokens/subject.js'
import { chooseToken, sessionRefOf } from './choose-token.js'
import { endAll } from './end-all.js'
import { type RequestContext } from '../audit/events.js'
import { changePassword, type WritePassword } from './password-change.js'
import { type Revocations } from './revocations.js'
import { type RotationPolicy } from './rotation-policy.js'
import { isLive, isRevoked, isSessionId, type RevokeReason, type Session, type SessionStore, startSession } from './session.js'
import { assertRoom, excessOf, type SessionLimit } from './limit.js'
import { listLive, type SessionListOptions } from './list.js'
import { prove, renew, settle, type Work } from './refresh.js'
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
  readonly appClaims?: ((user: User) => Promise<AppClaims> | AppClaims) | undefined
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
  /** A refresh token that the browser held before: its session is replaced if it is the same subject's. */
  readonly replaces?: string | undefined
}

/** How a session is to start: `held` is what this browser had, and with `isOnly` every other one has just been ended. */
type StartOptions = Omit<LoginOptions, 'replaces'> & { readonly held: string | null, readonly isOnly?: boolean }

/** What a login gives. */
export interface LoggedIn extends Issued {
  /** The id of the session that this one takes the place of, for `endReplaced`; null where the browser held none. */
  readonly replaced: string | null
}

/** What can be done with sessions: by requests, by their owner, by an administrator. */
export interface SessionService {
  /** Starts a session. Throws FST_AUTH_USER_REFUSED, FST_AUTH_CREDENTIALS_INVALID, FST_AUTH_STORE_UNAVAILABLE; a TypeError for an impossible subject. */
  login (subject: string, context: RequestContext, options?: LoginOptions): Promise<LoggedIn>
  /**
   * Ends the session that a login took the place of. To be called when the reply is out: a browser whose reply is lost
   * goes on with what it has. Where that call never comes, the first refresh of the new session, or its logout, ends it.
   * Throws FST_AUTH_STORE_UNAVAILABLE.
   */
  endReplaced (subject: string, id: string, context: RequestContext): Promise<void>
  /** As `chooseToken`: of the refresh tokens that a browser sent, the one that counts. Throws FST_AUTH_REFRESH_TOKEN_INVALID. */
  choose (tokens: readonly string[], subject?: string): string | undefined
  /** Swaps a refresh token for a new access token, by the rotation policy. Throws the 401s of refresh tokens, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. */
  refresh (token: string, context: RequestContext): Promise<Issued>
  /**
   * Goes on with the session of an access token and gives it a refresh token, since that expired or is missing; `expired`
   * must be of the same session. Throws the 401s of refresh tokens, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
   */
  renew (claims: AccessClaims, context: RequestContext, expired?: string): Promise<Issued>
  /** The claims of an access token, without I/O. Throws FST_AUTH_ACCESS_TOKEN_INVALID or _EXPIRED, or FST_AUTH_SESSION_ENDED where that is known. */
  authenticate (token: string): AccessClaims
  /** Whether `authenticate` could tell that the session is live. If not, `confirm` asks the store. */
  isCertain (claims: AccessClaims): boolean
  /** Throws FST_AUTH_SESSION_ENDED if the session has ended. Where the store cannot answer, `Revocations.refusesUnknown` decides: FST_AUTH_STORE_UNAVAILABLE, or the session is taken for live. */
  confirm (claims: AccessClaims, context: RequestContext): Promise<void>
  /** Asks the store, if it keeps sessions. Throws FST_AUTH_SESSION_ENDED if the session has ended, FST_AUTH_STORE_UNAVAILABLE where nobody can tell. */
  confirmStrictly (claims: AccessClaims, context: RequestContext): Promise<void>
  /** Notes that the person of an access token has just proved who they are: `auth_time` becomes now. Throws FST_AUTH_SESSION_ENDED, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. */
  reauthenticate (claims: AccessClaims, user: User, context: RequestContext): Promise<Issued>
  /**
   * Ends every session of a user whose password changes, and starts a new one that is remembered as `remember` says.
   * What `write` throws goes on; FST_AUTH_STORE_UNAVAILABLE says whether the password was changed. Throws as `login` does.
   */
  changePassword (claims: SessionRef, user: User, write: WritePassword, context: RequestContext, remember?: boolean): Promise<Issued>
  /** Ends the session of a refresh token of ours, of any generation, expired too. Resolves to false for anything else. Throws FST_AUTH_STORE_UNAVAILABLE. */
  logout (token: string, context: RequestContext): Promise<boolean>
  /** As `sessionRefOf`: what the token that counts says, by its signature alone. Its session may have ended. */
  holder (tokens: readonly string[]): RefreshClaims | null
  /** Whether the session of `holder` is live: asks the store. Throws FST_AUTH_STORE_UNAVAILABLE. */
  isHeldLive (claims: RefreshClaims, context: RequestContext): Promise<boolean>
  /** The subject's live sessions, oldest first: a part of the list, of 100 by default. */
  list (subject: string, context: RequestContext, part?: SessionListOptions): Promise<Session[]>
  /** Ends a session; with `subject`, only if it is theirs. Resolves to false where there was none to end. */
  revoke (id: string, reason: RevokeReason, context: RequestContext, subject?: string): Promise<boolean>
  /**
   * Ends all sessions of a subject, or all but one, however many there are. Resolves to how many. Where it throws
   * FST_AUTH_STORE_UNAVAILABLE some may have ended, and the next call goes on with the others.
   */
  revokeAll (subject: string, reason: RevokeReason, context: RequestContext, exceptId?: string): Promise<number>
  /** Deletes rows that nobody needs any more. Resolves to how many; to 0 where the store forgets by itself, as Redis does. */
  purgeExpired (): Promise<number>
}

/** Builds the state machine of sessions: read, decide (`rotation.ts`), write. */
export function createSessionService (options: SessionServiceOptions): SessionService {
  const { store, tokens, access, rotation: policy, findById, limitRefresh, limit, appClaims, revocations, repeatRefreshToken = false } = options
  const issuer = createIssuer(tokens, access)
  const now = (): EpochSeconds => Math.floor(options.clock())

  const sessions: SessionService = {
    async login (subject, context, { replaces, ...options } = {}) {
      return await start(subject, context, { ...options, held: heldBy(subject, replaces) })
    },

    async endReplaced (subject, id, context) {
      const { bounded } = context
      await end({ id, subject }, 'superseded', { ...begin(context), bounded: bounded.anew() })
    },

    choose: (tokens, subject) => chooseToken(tokens, claimsOf, now(), subject),

    async refresh (token, context) {
      const work = begin(context)
      const { claims, signedByCurrentKey } = verifyRefresh(token, work)
      const app = await admit(claims, work)
      await endReplacedBy(claims, work)

      const presented = { generation: claims.gen, issuedAt: claims.iat, expiresAt: claims.exp, signedByCurrentKey, userAgent: context.userAgent }
      const { session, outcome } = await settle(store, policy, presented, claimedSession(claims), work)
      context.emit({ type: 'refresh', subject: session.subject, sessionId: session.id, outcome, generation: session.generation })
      const known = outcome === 'hold' && !repeatRefreshToken
      return { ...issuer.access(session, app, work.at), refreshToken: known ? null : issuer.refresh(session, claims.remember !== false, work.at) }
    },

    async renew (claims, context, expired) {
      const work = begin(context)
      // A browser drops a cookie at its Max-Age: one that is missing had one, and one that it still sends may have none.
      const held = expired === undefined ? null : claimsOf(expired)
      if (held !== null && held.sid !== claims.sid) throw new AuthError('FST_AUTH_REFRESH_TOKEN_EXPIRED')
      const app = await admit(claims, work)
      const session = await renew(store, policy, claims.sid, work)
      context.emit({ type: 'renewed', subject: session.subject, sessionId: session.id, generation: session.generation })
      return { ...issuer.access(session, app, work.at), refreshToken: issuer.refresh(session, held?.remember !== false, work.at) }
    },

    authenticate (token) {
      const claims = judgeAccessClaims(tokens.verifyAccess(token)?.payload, access, now())
      if (revocations?.judge(claims) === 'ended') throw new AuthError('FST_AUTH_SESSION_ENDED')
      return claims
    },

    isCertain: claims => revocations === undefined || revocations.judge(claims) === 'live',

    async confirm ({ sid }, context) {
      try {
        const verdict = await revocations?.ask(sid, () => isUnrevoked(sid, context))
        if (verdict === 'ended') throw new AuthError('FST_AUTH_SESSION_ENDED')
      } catch (error) {
        const away = error instanceof AuthError && error.code === 'FST_AUTH_STORE_UNAVAILABLE'
        // Accepted for one access lifetime at the most.
        if (!away || revocations?.refusesUnknown()) throw error
        context.emit({ type: 'store_unavailable' }) // nobody is refused, so nothing else would show it
      }
    },

    async confirmStrictly ({ sid }, context) {
      if (store.list !== undefined && !await isUnrevoked(sid, context)) throw new AuthError('FST_AUTH_SESSION_ENDED')
    },

    async reauthenticate ({ sid }, user, context) {
      const work = begin(context)
      const app = await makeAppClaims(user, work)
      const session = await prove(store, sid, work)
      context.emit({ type: 'reauthenticated', subject: session.subject, sessionId: sid })
      return { ...issuer.access(session, app, work.at), refreshToken: repeatRefreshToken ? issuer.refresh(session, true, work.at) : null }
    },

    async changePassword ({ sub, sid }, user, write, context, remember) {
      return await changePassword({
        current: sid,
        endOthers: (keptId, context) => sessions.revokeAll(sub, 'password_changed', context, keptId),
        start: write => start(sub, context, { user, remember, held: sid, stillProven: write, isOnly: true })
      }, write, context)
    },

    async logout (token, context) {
      const claims = claimsOf(token)
      if (claims === null) return false
      const ended = await context.bounded(() => store.revoke(claims.sid, 'logout'))
      if (ended) context.emit({ type: 'logout', subject: claims.sub, sessionId: claims.sid })
      await endReplacedBy(claims, begin(context))
      return true
    },

    holder: tokens => sessionRefOf(tokens, claimsOf, now()),

    async isHeldLive (claims, { bounded }) {
      const session = await bounded(() => store.get(claims.sid, claimedSession(claims)))
      return session !== null && isLive(session, now())
    },

    async list (subject, context, part = {}) {
      return await listLive(store, subject, part, begin(context))
    },

    async revoke (id, reason, context, subject) {
      const work = begin(context)
      const session = isSessionId(id) ? await work.bounded(() => store.get(id)) : null
      // Past its idle end too: an access token may still renew it.
      if (session === null || isRevoked(session) || work.at >= session.expiresAt) return false
      if (subject !== undefined && session.subject !== subject) return false
      return await end(session, reason, work)
    },

    async revokeAll (subject, reason, context, exceptId) {
      return await endAll(store, subject, reason, exceptId, context)
    },

    async purgeExpired () {
      // Rows stay one access lifetime longer, so that a last access token still learns how its session ended.
      // No deadline: it works in batches beside live traffic for as long as it needs.
      return await store.purgeExpired?.(now() - access.expiresIn) ?? 0
    }
  }
  return sessions

  function begin (context: RequestContext): Work {
    return { bounded: context.bounded, context, at: now() }
  }

  /** Starts a session; the one that this browser held, if any, does not count any more. */
  async function start (subject: string, context: RequestContext, { claims = {}, remember = true, user, stillProven, held, isOnly = false }: StartOptions): Promise<LoggedIn> {
    if (!isSubject(subject)) throw new TypeError(`login: the subject must be a non-empty string of at most ${MAX_SUBJECT_LENGTH} characters`)
    const work = begin(context)
    const owner = user ?? await findUser(subject, work)
    if (owner?.disabled) throw new AuthError('FST_AUTH_USER_REFUSED')
    const app = toAppClaims({ ...await makeAppClaims(owner, work), ...toAppClaims(claims) })
    if (limit?.whenFull === 'refuseLogin') await assertRoom(store, subject, held, limit, work)

    const session = startSession(subject, context, { idle: policy.idle, absolute: options.absolute }, work.at)
    await writeSession(store, session, work, async () => {
      if (stillProven !== undefined) await assertProof(stillProven, session, work)
      if (limit !== undefined && !isOnly) await endOldest(session, held, limit, work)
    })
    context.emit({ type: 'login', subject, sessionId: session.id })
    return { ...issuer.access(session, app, work.at), refreshToken: issuer.refresh(session, remember, work.at, held), replaced: held }
  }

  /** Lets a session that was just started go on only if who started it is still proven. */
  async function assertProof (stillProven: () => Promise<boolean>, session: Session, work: Work): Promise<void> {
    if (await stillProven()) return
    await end(session, 'password_changed', work)
    throw new AuthError('FST_AUTH_CREDENTIALS_INVALID')
  }

  async function isUnrevoked (id: string, { bounded }: RequestContext): Promise<boolean> {
    const session = await bounded(() => store.get(id))
    return session !== null && !isRevoked(session)
  }

  /** Signature, kind and expiry, without I/O: garbage can neither load the store nor end a session. */
  function verifyRefresh (token: string, { at }: Work): { claims: RefreshClaims, signedByCurrentKey: boolean } {
    const verified = tokens.verifyRefresh(token)
    const claims = readRefreshClaims(verified?.payload)
    if (verified === null || claims === null) throw new AuthError('FST_AUTH_REFRESH_TOKEN_INVALID')
    if (at >= claims.exp) throw new AuthError('FST_AUTH_REFRESH_TOKEN_EXPIRED')
    return { claims, signedByCurrentKey: verified.signedByCurrentKey }
  }

  /** The app's claims of whoever's session is refreshed, if it may be now. A user who is gone or disabled loses it. */
  async function admit (claims: SessionRef, work: Work): Promise<AppClaims> {
    await limitRefresh?.(claims, work.context)
    return await makeAppClaims(await findHolder(claims, work), work)
  }

  async function findHolder (claims: SessionRef, work: Work): Promise<User | null> {
    try {
      return await findUser(claims.sub, work)
    } catch (error) {
      if (error instanceof AuthError && error.code === 'FST_AUTH_USER_REFUSED') {
        await end({ id: claims.sid, subject: claims.sub }, 'user_refused', work)
      }
      throw error
    }
  }

  async function findUser (subject: string, { bounded }: Work): Promise<User | null> {
    if (findById === undefined) return null
    const user = await bounded(() => findById(subject)) ?? null
    if (user === null || user.disabled) throw new AuthError('FST_AUTH_USER_REFUSED')
    return user
  }

  async function makeAppClaims (user: User | null, { bounded }: Work): Promise<AppClaims> {
    return appClaims === undefined || user === null ? {} : await bounded(async () => toAppClaims(await appClaims(user)))
  }

  async function end (session: Pick<Session, 'id' | 'subject'>, reason: RevokeReason, { bounded, context }: Work): Promise<boolean> {
    const ended = await bounded(() => store.revoke(session.id, reason))
    if (ended) context.emit({ type: 'revoked', subject: session.subject, sessionId: session.id, reason })
    return ended
  }

  /** Ends the session that a login took the place of, where `endReplaced` never came to it. */
  async function endReplacedBy ({ sub, replaces }: RefreshClaims, work: Work): Promise<void> {
    if (replaces !== undefined) await end({ id: replaces, subject: sub }, 'superseded', work)
  }

  /** What a refresh token of ours says, expired or not; null for any other text. */
  function claimsOf (token: string): RefreshClaims | null {
    return readRefreshClaims(tokens.verifyRefresh(token)?.payload)
  }

  /** The session that this browser held, if it is the subject's own: somebody may have planted the cookie. */
  function heldBy (subject: string, token: string | undefined): string | null {
    const claims = token === undefined ? null : claimsOf(token)
    return claims?.sub === subject ? claims.sid : null
  }

  /** Makes room for a session. It ends itself never: by another clock it may look like the oldest. */
  async function endOldest (started: Session, held: string | null, { max }: SessionLimit, work: Work): Promise<void> {
    const excess = await excessOf(store, started.subject, { replaced: held, started: started.id }, max, work)
    for (const session of excess) await end(session, 'limit', work)
  }
}
