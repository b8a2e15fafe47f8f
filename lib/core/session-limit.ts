import { AuthError } from '../errors.js'
import { isLive, listOf, type Session, type SessionStore } from './session.js'
import { type Work } from './settle.js'

/** How many live sessions a subject may have, and what a login beyond does. */
export interface SessionLimit {
  readonly max: number
  readonly whenFull: 'endOldest' | 'refuseLogin'
}

/** The oldest live sessions of a subject, as many as there are over `max`; the one that is about to be replaced does not count. */
export async function excessOf (store: SessionStore, subject: string, replacedId: string | null, max: number, { bounded, at }: Work): Promise<Session[]> {
  const list = listOf(store)
  const sessions = await bounded(() => list(subject))
  const live = sessions.filter(session => isLive(session, at) && session.id !== replacedId)
  return live.slice(0, Math.max(0, live.length - max))
}

/** Throws FST_AUTH_USER_REFUSED if there is no room for one more. Of logins at the same moment, one too many may pass: it ends the oldest. */
export async function demandRoom (store: SessionStore, subject: string, replacedId: string | null, { max }: SessionLimit, work: Work): Promise<void> {
  const excess = await excessOf(store, subject, replacedId, max - 1, work)
  if (excess.length > 0) throw new AuthError('FST_AUTH_USER_REFUSED', { message: 'This account is logged in on as many devices as it may be: log out on one of them first' })
}
