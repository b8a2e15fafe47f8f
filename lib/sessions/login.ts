import { type User } from '../accounts/user.js'
import { type RequestContext } from '../request-context.js'
import { type AppClaims } from '../tokens/claims.js'
import { type Issued, type IssuedRefreshToken } from './issue.js'
import { type Session } from './session.js'
import { type SessionStore } from './store.js'

export interface NewSessionOptions {
  /** Claims of the first access token only. They override those of `accessToken.claims`. */
  readonly claims?: AppClaims | undefined
  /** False: the cookie ends with the browser. */
  readonly remember?: boolean | undefined
  /** The user, if the caller has loaded it already. */
  readonly user?: User | undefined
  /** Called once the session is stored: false if the password was changed meanwhile. The session is then revoked and the login refused. */
  readonly isStillValid?: (() => Promise<boolean>) | undefined
  /** The refresh tokens of the request. The session of the chosen one is replaced if it belongs to the same subject. */
  readonly replaces?: readonly string[] | undefined
}

export interface StartOptions extends Omit<NewSessionOptions, 'replaces'> {
  /** The session that the browser had. */
  readonly replaced: string | null
  /** Stores a new password, once the session is stored. The caller ends all other sessions, so no limit applies. */
  readonly write?: () => Promise<void>
}

export interface LoggedIn extends Issued {
  readonly refreshToken: IssuedRefreshToken
  /** The id of the replaced session, for `endReplaced`; null if the browser had none. */
  readonly replaced: string | null
}

/**
 * Writes a new session and then runs the other steps of its login. If one throws, it revokes the session, for which no client
 * gets a token, and rethrows. Throws FST_AUTH_STORE_UNAVAILABLE if the session cannot be written.
 */
export async function writeSession (store: SessionStore, session: Session, { bounded }: RequestContext, steps: () => Promise<void>): Promise<void> {
  let creating: Promise<void> | undefined
  let isCreated = false
  try {
    await bounded(() => {
      creating = store.create(session)
      return creating
    })
    isCreated = true
    await steps()
  } catch (error) {
    if (creating !== undefined) await revoke()
    if (!isCreated) creating?.then(revoke, () => {}) // a create that timed out may succeed after the revocation
    throw error
  }

  /** The revocation has its own deadline, since that of the request may have expired. The reply waits no longer than the request's. */
  async function revoke (): Promise<void> {
    const ended = bounded.withNewDeadline()(() => store.revoke(session.id, 'revoked')).catch(() => {})
    await bounded(() => ended).catch(() => {})
  }
}
