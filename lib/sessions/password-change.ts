import { AuthError, restated } from '../errors.js'
import { isUnavailable } from '../deadline.js'
import { type RequestContext } from '../audit/events.js'
import { type Issued } from './issue.js'

/**
 * Writes a password, if nobody else has changed it meanwhile. `later` is called if it turns out to be written after this has
 * thrown. Throws a refusal where it was not written, FST_AUTH_STORE_UNAVAILABLE or any other error where nobody can tell.
 */
export type WritePassword = (later: () => void) => Promise<void>

/** The steps of a change of password around the write. */
export interface PasswordChange {
  /** The session that asks for the change. */
  readonly current: string
  /** Ends all sessions of the user but one. */
  endOthers (keptId: string, context: RequestContext): Promise<unknown>
  /** Starts a session, and calls `write` once it is there. Where that throws the session ends, and it throws the same. */
  start (write: () => Promise<true>): Promise<Issued>
}

/** What is true of the password while it is changed, for the answer where a step fails. */
const TRUTHS = {
  unchanged: 'The password was not changed: try again',
  unknown: 'Nobody can tell whether the password was changed: try again, and log in with the new one if the old one is refused',
  changed: 'The password was changed: log in with the new one. Your other devices may still be logged in: end their sessions in your list of devices'
} as const

/** Once the password is written the sessions must end: each try has a full time budget of its own. */
const TRIES = 3

/**
 * Changes a password and ends every session that knew the old one: only once the password is written, since of two changes
 * at once one is refused, and must not end what the other has started. A 503 says how far it came.
 */
export async function changePassword ({ current, endOthers, start }: PasswordChange, write: WritePassword, context: RequestContext): Promise<Issued> {
  let truth: string = TRUTHS.unchanged
  try {
    const issued = await start(async () => {
      truth = TRUTHS.unknown
      await write(() => { endInAnyCase(current).catch(() => {}) })
      truth = TRUTHS.changed
      return true
    })
    await endInAnyCase(issued.claims.sid)
    return issued
  } catch (error) {
    if (truth === TRUTHS.unknown && !isRefusal(error)) await endInAnyCase(current).catch(() => {})
    throw restated(error, truth)
  }

  async function endInAnyCase (keptId: string, tries = TRIES): Promise<void> {
    try {
      await endOthers(keptId, withTimeOfItsOwn(context))
    } catch (error) {
      if (tries === 1) throw error
      await endInAnyCase(keptId, tries - 1)
    }
  }
}

function isRefusal (error: unknown): boolean {
  return error instanceof AuthError && !isUnavailable(error)
}

function withTimeOfItsOwn (context: RequestContext): RequestContext {
  const { userAgent, ip, bounded } = context
  return { userAgent, ip, bounded: bounded.anew(), emit: (event, cause) => context.emit(event, cause) }
}
