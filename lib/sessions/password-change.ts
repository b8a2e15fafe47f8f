import { AuthError, withMessage } from '../errors.js'
import { isUnavailable } from '../deadline.js'
import { type RequestContext } from '../request-context.js'
import { type Issued } from './issue.js'

/**
 * Writes a password by compare-and-set. Throws a refusal if it was not written, and FST_AUTH_STORE_UNAVAILABLE or any other
 * error if that is unknown. A timed-out write may still succeed; then it calls `onLateSuccess`.
 */
export type WritePassword = (onLateSuccess: () => void) => Promise<void>

interface PasswordChangeSteps {
  /** The id of the session that changes the password. */
  readonly current: string
  /** Ends all sessions of the user but one. */
  endOthers (keptId: string, context: RequestContext): Promise<unknown>
  /** Logs the user in and calls `write` once the session is stored. If `write` throws, it revokes the session and rethrows. */
  login (write: () => Promise<void>): Promise<Issued>
}

/** The state of the password when a step fails, as the error message of the reply. */
const PASSWORD_STATE = {
  unchanged: 'The password was not changed: try again',
  unknown: 'It is unknown whether the password was changed: try again, and log in with the new one if the old one is refused',
  changed: 'The password was changed: log in with the new one. Your other devices may still be logged in: end their sessions in your list of devices'
} as const

/**
 * Changes a password and then ends the other sessions, which began with the old one. It ends them after the write, since of two
 * concurrent changes one is refused, and that one must not end the new session of the other. The message of a 503 states the
 * state of the password.
 */
export async function changePassword ({ current, endOthers, login }: PasswordChangeSteps, write: WritePassword, context: RequestContext): Promise<Issued> {
  let state: string = PASSWORD_STATE.unchanged
  try {
    const issued = await login(async () => {
      state = PASSWORD_STATE.unknown
      await write(() => { endOthers(current, context).catch(reportUnended) })
      state = PASSWORD_STATE.changed
    })
    await endOthers(issued.claims.sid, context)
    return issued
  } catch (error) {
    if (state === PASSWORD_STATE.unknown && !isRefusal(error)) await endOthers(current, context).catch(reportUnended)
    throw withMessage(error, state)
  }

  /** The other sessions may live on, and no reply says so. */
  function reportUnended (error: unknown): void {
    context.emit({ type: 'store_unavailable' }, error)
  }
}

function isRefusal (error: unknown): boolean {
  return error instanceof AuthError && !isUnavailable(error)
}
