import { busy } from '../deadline.js'
import { AuthError } from '../errors.js'
import { type SessionStore } from './store.js'
import { listLive } from './list.js'
import { revokeSession } from './revocations.js'
import { type RequestContext } from '../events.js'
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
 * Ends the oldest sessions beyond the limit, or with `refuseLogin` throws FST_AUTH_USER_REFUSED. Without `started` the session of the
 * login is not stored yet, and needs a free place. Never ends the session just started, which may look like the oldest one if the
 * clocks of instances differ. With `refuseLogin` all of the concurrent logins in several processes may be refused.
 */
export async function enforceLimit (store: SessionStore, subject: string, { replaced, started }: NewLogin, { max, whenFull }: SessionLimit, context: RequestContext, at: EpochSeconds): Promise<void> {
  const limit = max + MAX_EXCESS
  const sessions = await listLive(store, subject, { limit }, context, at, limit + MAX_EXPIRED)
  // Timestamps have 1 s resolution, so the session `started` sorts last within its second.
  const counted = sessions
    .filter(({ id }) => id !== replaced)
    .sort((one, other) => one.createdAt - other.createdAt || Number(one.id === started) - Number(other.id === started))
  const excess = counted.slice(0, Math.max(0, counted.length - (started === undefined ? max - 1 : max))).filter(({ id }) => id !== started)
  if (whenFull === 'refuseLogin' && excess.length > 0) throw new AuthError('FST_AUTH_USER_REFUSED', { message: 'This account is logged in on as many devices as it may be: log out on one of them first' })
  for (const session of excess) await revokeSession(store, session, 'limit', context)
}
