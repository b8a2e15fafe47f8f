import { type Session, type SessionStore } from './session.js'
import { type RequestScope } from './refresh.js'

/**
 * Writes a new session and then runs the other steps of its login. If one throws, it revokes the session, for which no client
 * gets a token, and rethrows. Throws FST_AUTH_STORE_UNAVAILABLE if the session cannot be written.
 */
export async function writeSession (store: SessionStore, session: Session, { bounded }: RequestScope, steps: () => Promise<void>): Promise<void> {
  let written = false
  try {
    await bounded(() => {
      written = true // before the call: a timed-out create may have succeeded
      return store.create(session)
    })
    await steps()
  } catch (error) {
    if (written) await revoke()
    throw error
  }

  /** The revocation has its own deadline, since that of the request may have expired. The reply waits no longer than the request's. */
  async function revoke (): Promise<void> {
    const ended = bounded.anew()(() => store.revoke(session.id, 'revoked')).catch(() => {})
    await bounded(() => ended).catch(() => {})
  }
}
