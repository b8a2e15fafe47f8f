import { AuthError } from '../errors.js'
import { type Session, type SessionStore } from './session.js'
import { listLive } from './list.js'
import { type RequestScope } from './refresh.js'

/** How many live sessions a subject may have, and what a login beyond does. */
export interface SessionLimit {
  readonly max: number
  readonly whenFull: 'endOldest' | 'refuseLogin'
}

/** So many of the sessions over a limit are found at once. Where there are more, each login ends some of them. */
const MOST_EXCESS = 50

/** So many rows of expired sessions are read at most, before those that live. */
const MOST_EXPIRED = 1000

/**
 * The oldest live sessions of a subject that are over `max`, at most about fifty. The one that is about to be replaced
 * does not count, and the one that was just started is the youngest of its second.
 */
export async function excessOf (store: SessionStore, subject: string, { replaced, started }: { readonly replaced: string | null, readonly started?: string }, max: number, scope: RequestScope): Promise<Session[]> {
  const limit = max + MOST_EXCESS
  const sessions = await listLive(store, subject, { limit }, scope, limit + MOST_EXPIRED)
  const live = sessions
    .filter(({ id }) => id !== replaced)
    .sort((one, other) => one.createdAt - other.createdAt || Number(one.id === started) - Number(other.id === started))
  return live.slice(0, Math.max(0, live.length - max)).filter(({ id }) => id !== started)
}

/** Throws FST_AUTH_USER_REFUSED if there is no room for one more. Of logins at the same moment, one too many may pass: it ends the oldest. */
export async function assertRoom (store: SessionStore, subject: string, replaced: string | null, { max }: SessionLimit, scope: RequestScope): Promise<void> {
  const excess = await excessOf(store, subject, { replaced }, max - 1, scope)
  if (excess.length > 0) throw new AuthError('FST_AUTH_USER_REFUSED', { message: 'This account is logged in on as many devices as it may be: log out on one of them first' })
}
