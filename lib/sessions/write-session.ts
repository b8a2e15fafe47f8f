import { type Session, type SessionStore } from './session.js'
import { type RequestScope } from './refresh.js'

/**
 * Writes a new session, then takes the steps that its login still depends on. Where one of them fails the session is ended:
 * nobody will hold it. What a step throws goes on; FST_AUTH_STORE_UNAVAILABLE if the session cannot be written.
 */
export async function writeSession (store: SessionStore, session: Session, { bounded }: RequestScope, steps: () => Promise<void>): Promise<void> {
  let written = false
  try {
    await bounded(() => {
      written = true // perhaps, even where the answer is lost
      return store.create(session)
    })
    await steps()
  } catch (error) {
    if (written) await abandon()
    throw error
  }

  /** In time of its own: that of the request may be what ran out, and the reply waits no longer. */
  async function abandon (): Promise<void> {
    const ended = bounded.anew()(() => store.revoke(session.id, 'revoked')).catch(() => {})
    await bounded(() => ended).catch(() => {})
  }
}
