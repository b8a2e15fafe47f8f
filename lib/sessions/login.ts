import { type User } from '../accounts/user.js'
import { AuthError } from '../errors.js'
import { type RequestContext } from '../events.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'
import { type AppClaims, isSubject, isTime, MAX_SUBJECT_LENGTH } from '../tokens/claims.js'
import { type Issued, type IssuedRefreshToken, type Issuer } from './issue.js'
import { claimsOfLogin, findUser, type UserSource } from './load-user.js'
import { type RotationPolicy } from './rotation-policy.js'
import { newSession, type Session } from './session.js'
import { type SessionStore } from './store.js'
import { busy } from '../deadline.js'
import { listLive } from './list.js'
import { revokeSession } from './revocations.js'

export interface NewSessionOptions {
  /** Claims of the first access token only. They override those of `accessToken.claims`. */
  readonly claims?: AppClaims | undefined
  /** False: the cookie ends with the browser. */
  readonly remember?: boolean | undefined
  /** The time of the authentication, in seconds since the epoch; now by default. */
  readonly authTime?: EpochSeconds | undefined
  /** The user, if the caller has loaded it already. */
  readonly user?: User | undefined
  /** Called once the session is stored: false if the password was changed meanwhile. The session is then revoked and the login refused. */
  readonly isStillValid?: (() => Promise<boolean>) | undefined
  /** The refresh tokens of the request. The session of the chosen one is replaced if it belongs to the same subject. */
  readonly replaces?: readonly string[] | undefined
}

interface LoginOptions extends Omit<NewSessionOptions, 'replaces'> {
  /** The session that the browser had. */
  readonly replaced: string | null
  /** Stores a new password, once the session is stored. The caller ends all other sessions, so no limit applies. */
  readonly write?: () => Promise<void>
}

const CHANGED = 'the password, or the value that a challenge is bound to, has changed since it was checked: a route that changes it itself gives login() the new value as "boundTo"'

interface LoginDependencies extends UserSource {
  readonly store: SessionStore
  readonly clock: Clock
  readonly absolute: Seconds
  readonly rotationPolicy: Pick<RotationPolicy, 'idle'>
  readonly limit?: SessionLimit | undefined
}

export interface LoggedIn extends Issued {
  readonly refreshToken: IssuedRefreshToken
  /** The id of the replaced session, for `endReplaced`; null if the browser had none. */
  readonly replaced: string | null
}

/**
 * Logs a subject in: loads its user, writes the session, checks that the proof of the login still holds, and enforces the limit.
 * Throws FST_AUTH_USER_REFUSED, FST_AUTH_CREDENTIALS_INVALID, FST_AUTH_STORE_UNAVAILABLE; a TypeError for an invalid subject.
 */
export async function loginSubject (subject: string, options: LoginOptions, dependencies: LoginDependencies, issuer: Issuer, context: RequestContext): Promise<LoggedIn> {
  if (!isSubject(subject)) throw new TypeError(`login: the subject must be a non-empty string of at most ${MAX_SUBJECT_LENGTH} characters`)
  const { claims = {}, remember = true, authTime, isStillValid, replaced, write } = options
  if (authTime !== undefined && !isTime(authTime)) throw new TypeError('login: "authTime" must be in whole seconds since the epoch')
  const { store, clock, absolute, rotationPolicy: { idle } } = dependencies
  const at = clock()
  const app = await claimsOfLogin(subject, options.user, claims, dependencies, context)
  const limit = write === undefined ? dependencies.limit : undefined
  if (limit?.whenFull === 'refuseLogin') await assertWithinLimit(store, subject, { replaced }, limit, context, at)

  const session = newSession(subject, context, { idle, absolute }, at, Math.min(authTime ?? at, at))
  await writeSession(store, session, context, async () => {
    if (isStillValid !== undefined && !await isStillValid()) {
      context.emit({ type: 'login_failed', subject })
      throw new AuthError('FST_AUTH_CREDENTIALS_INVALID', { reason: CHANGED })
    }
    // Loaded again, as `isStillValid` does for a password: the user may have been disabled, and its sessions revoked, meanwhile.
    if (options.user === undefined && dependencies.findById !== undefined) await findUser(dependencies.findById, subject, context)
    if (write !== undefined) await write()
    if (limit !== undefined) await enforceLimit(store, session, replaced, limit, context, at)
  })
  context.emit({ type: 'login', subject, sessionId: session.id })
  return { ...issuer.access(session, app, at), refreshToken: issuer.refresh(session, remember, at, replaced), replaced }
}

/**
 * Writes a new session and then runs the other steps of its login. If one throws, it revokes the session, for which no client
 * gets a token, and rethrows. Throws FST_AUTH_STORE_UNAVAILABLE if the session cannot be written.
 */
async function writeSession (store: SessionStore, session: Session, { bounded }: RequestContext, steps: () => Promise<void>): Promise<void> {
  let creating: Promise<void> | undefined
  let isStarted = false
  let isCreated = false
  try {
    await bounded(() => {
      isStarted = true
      creating = store.create(session)
      return creating
    })
    isCreated = true
    await steps()
  } catch (error) {
    if (isStarted) await revoke()
    if (!isCreated) creating?.then(revoke, () => {}) // a create that timed out may succeed after the revocation
    throw error
  }

  /** The revocation has its own deadline, since that of the request may have expired. The reply waits no longer than the request's. */
  async function revoke (): Promise<void> {
    const ended = bounded.withNewDeadline()(() => store.revoke(session.id, 'revoked')).catch(() => {})
    await bounded(() => ended).catch(() => {})
  }
}

/** The largest number of live sessions of a subject, and the reaction to a login beyond it. */
export interface SessionLimit {
  readonly max: number
  readonly whenFull: 'endOldest' | 'refuseLogin'
}

/** A login ends at most about this many sessions over the limit; the next logins end the others. */
const MAX_EXCESS = 50

/** The largest number of expired rows that a login reads. */
const MAX_EXPIRED = 1000

/** Runs the logins of a subject in this process one after the other: concurrent ones would end each other's sessions. */
export class LoginTurns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Rejects with FST_AUTH_BUSY if the logins before take longer than one call may. The wait uses up no time of the request. */
  run<T> (subject: string, { bounded }: RequestContext, login: () => Promise<T>): Promise<T> {
    const before = this.#last.get(subject)
    const running = before === undefined ? login() : bounded.withNewDeadline()(() => before).catch(cause => { throw busy(cause, 1) }).then(login)
    // Those before may still run when this login has given up waiting for them.
    const ended: Promise<unknown> = running.then(() => before, () => before).then(() => { if (this.#last.get(subject) === ended) this.#last.delete(subject) })
    this.#last.set(subject, ended)
    return running
  }
}

/** A login beside the sessions of its subject. */
interface NewLogin {
  /** The session that it replaces, which does not count. */
  readonly replaced: string | null
  /** Its session, once it is stored. */
  readonly started?: string
}

/**
 * Applies the limit once the session of a login is stored: ends the oldest sessions beyond it, or throws FST_AUTH_USER_REFUSED. Never
 * ends the session just created, which may look like the oldest one if the clocks of instances differ.
 */
async function enforceLimit (store: SessionStore, { id: started, subject }: Session, replaced: string | null, limit: SessionLimit, context: RequestContext, at: EpochSeconds): Promise<void> {
  if (limit.whenFull === 'refuseLogin') return await assertWithinLimit(store, subject, { replaced, started }, limit, context, at)
  for (const session of await sessionsBeyond(store, subject, { replaced, started }, limit.max, context, at)) await revokeSession(store, session, 'limit', context)
}

/**
 * Throws FST_AUTH_USER_REFUSED if a subject has no place for another session; with `started`, if it has none for that one. Of
 * concurrent logins in several processes all may be refused.
 */
async function assertWithinLimit (store: SessionStore, subject: string, login: NewLogin, { max }: SessionLimit, context: RequestContext, at: EpochSeconds): Promise<void> {
  const excess = await sessionsBeyond(store, subject, login, login.started === undefined ? max - 1 : max, context, at)
  if (excess.length > 0) throw new AuthError('FST_AUTH_USER_REFUSED', { message: 'This account is logged in on as many devices as it may be: log out on one of them first' })
}

/**
 * The oldest live sessions of a subject beyond `max`. Timestamps have 1 s resolution, so the session `started` sorts last within its
 * second; it is never in the result.
 */
async function sessionsBeyond (store: SessionStore, subject: string, { replaced, started }: NewLogin, max: number, context: RequestContext, at: EpochSeconds): Promise<Session[]> {
  const limit = max + MAX_EXCESS
  const sessions = await listLive(store, subject, { limit }, context, at, limit + MAX_EXPIRED)
  const live = sessions
    .filter(({ id }) => id !== replaced)
    .sort((one, other) => one.createdAt - other.createdAt || Number(one.id === started) - Number(other.id === started))
  return live.slice(0, Math.max(0, live.length - max)).filter(({ id }) => id !== started)
}
