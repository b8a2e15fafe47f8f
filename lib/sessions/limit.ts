import { AuthError } from '../errors.js'
import { type Session } from './session.js'
import { type SessionStore } from './store.js'
import { listLive } from './list.js'
import { type RequestContext } from '../request-context.js'
import { type EpochSeconds } from '../time.js'

/** The largest number of live sessions of a subject, and the reaction to a login beyond it. */
export interface SessionLimit {
  readonly max: number
  readonly whenFull: 'endOldest' | 'refuseLogin'
}

/** A login ends at most about this many sessions over the limit; the next logins end the others. */
const MAX_EXCESS = 50

/** The largest number of expired rows that a login reads. */
const MAX_EXPIRED = 1000

/**
 * The oldest live sessions of a subject beyond `max`. The session `replaced` does not count. Timestamps have 1 s resolution, so
 * the session `started` sorts last within its second; it is never in the result.
 */
export async function sessionsOverLimit (store: SessionStore, subject: string, { replaced, started }: { readonly replaced: string | null, readonly started?: string }, max: number, context: RequestContext, at: EpochSeconds): Promise<Session[]> {
  const limit = max + MAX_EXCESS
  const sessions = await listLive(store, subject, { limit }, context, at, limit + MAX_EXPIRED)
  const live = sessions
    .filter(({ id }) => id !== replaced)
    .sort((one, other) => one.createdAt - other.createdAt || Number(one.id === started) - Number(other.id === started))
  return live.slice(0, Math.max(0, live.length - max)).filter(({ id }) => id !== started)
}

/** Throws FST_AUTH_USER_REFUSED at the limit. Concurrent logins may both pass; the later one then ends the oldest session. */
export async function assertBelowLimit (store: SessionStore, subject: string, replaced: string | null, { max }: SessionLimit, context: RequestContext, at: EpochSeconds): Promise<void> {
  const excess = await sessionsOverLimit(store, subject, { replaced }, max - 1, context, at)
  if (excess.length > 0) throw new AuthError('FST_AUTH_USER_REFUSED', { message: 'This account is logged in on as many devices as it may be: log out on one of them first' })
}
