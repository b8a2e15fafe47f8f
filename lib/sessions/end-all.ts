import { type RequestContext } from '../audit/events.js'
import { type RevokeReason, type SessionStore } from './session.js'

/**
 * Ends all sessions of a subject, or all but one. Each call to the store ends a batch and has its own deadline, since many
 * sessions take longer than the deadline of a request. Ended sessions stay ended if a later call fails.
 */
export async function endAll (store: SessionStore, subject: string, reason: RevokeReason, exceptId: string | undefined, context: RequestContext): Promise<number> {
  let count = 0
  try {
    let ended
    do {
      ended = await context.bounded.anew()(() => store.revokeAll(subject, reason, exceptId))
      count += ended
    } while (ended > 0)
  } finally {
    if (count > 0) context.emit({ type: 'revoked', subject, sessionId: null, reason })
  }
  return count
}
