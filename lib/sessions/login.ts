import { type User } from '../accounts/user.js'
import { AuthError } from '../errors.js'
import { type RequestContext } from '../events.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'
import { type AppClaims, isTime } from '../tokens/claims.js'
import { isSubject, MAX_SUBJECT_LENGTH } from '../tokens/subject.js'
import { issue, type IssueDependencies, type Issued, type IssuedRefreshToken } from './issue-tokens.js'
import { enforceLimit, type SessionLimit } from './session-limit.js'
import { claimsOfLogin, findUser, type UserSource } from './load-user.js'
import { type RotationPolicy } from './rotation-policy.js'
import { newSession, type Session } from './session.js'
import { type SessionStore } from './store.js'

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

interface LoginDependencies extends UserSource, IssueDependencies {
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
export async function loginSubject (subject: string, options: LoginOptions, dependencies: LoginDependencies, context: RequestContext): Promise<LoggedIn> {
  if (!isSubject(subject)) throw new TypeError(`login: the subject must be a non-empty string of at most ${MAX_SUBJECT_LENGTH} characters`)
  const { claims, remember = true, authTime, isStillValid, replaced, write } = options
  if (authTime !== undefined && !isTime(authTime)) throw new TypeError('login: "authTime" must be in whole seconds since the epoch')
  const { store, clock, absolute, rotationPolicy: { idle } } = dependencies
  const at = clock()
  const app = await claimsOfLogin(subject, options.user, claims, dependencies, context)
  const limit = write === undefined ? dependencies.limit : undefined
  if (limit?.whenFull === 'refuseLogin') await enforceLimit(store, subject, { replaced }, limit, context, at)

  const session = newSession(subject, context, { idle, absolute }, at, Math.min(authTime ?? at, at))
  await createSession(store, session, context)
  try {
    if (isStillValid !== undefined && !await isStillValid()) {
      context.emit({ type: 'login_failed', subject })
      throw new AuthError('FST_AUTH_CREDENTIALS_INVALID', { reason: CHANGED })
    }
    // Loaded again, as `isStillValid` does for a password: the user may have been disabled, and its sessions revoked, meanwhile.
    if (options.user === undefined && dependencies.findById !== undefined) await findUser(dependencies.findById, subject, context)
    if (write !== undefined) await write()
    if (limit !== undefined) await enforceLimit(store, subject, { replaced, started: session.id }, limit, context, at)
  } catch (error) {
    await endUnused(store, session, context)
    throw error
  }
  context.emit({ type: 'login', subject, sessionId: session.id })
  return { ...issue(dependencies, session, app, at, { remember, replaces: replaced }), replaced }
}

/** Throws FST_AUTH_STORE_UNAVAILABLE if the session cannot be written; it is revoked then, for it may have been. */
async function createSession (store: SessionStore, session: Session, context: RequestContext): Promise<void> {
  let creating: Promise<void> | undefined
  let isStarted = false
  try {
    await context.bounded(() => {
      isStarted = true
      creating = store.create(session)
      return creating
    })
  } catch (error) {
    if (isStarted) await endUnused(store, session, context)
    creating?.then(() => endUnused(store, session, context), () => {}) // a create that timed out may succeed after the revocation
    throw error
  }
}

/**
 * Revokes a session for which no client gets a token. The revocation has its own deadline, since that of the request may have
 * expired. The reply waits no longer than the request's.
 */
export async function endUnused (store: SessionStore, { id }: Pick<Session, 'id'>, { bounded }: RequestContext): Promise<void> {
  const ended = bounded.withNewDeadline()(() => store.revoke(id, 'revoked')).catch(() => {})
  await bounded(() => ended).catch(() => {})
}
