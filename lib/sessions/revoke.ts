import { type RequestContext } from '../request-context.js'
import { type RevokeReason, type Session } from './session.js'
import { assertKept, type SessionStore } from './store.js'

/** Ends a session. Resolves to false if it had ended before. Throws FST_AUTH_STORE_UNAVAILABLE. */
export async function revokeSession (store: SessionStore, { id, subject }: Pick<Session, 'id' | 'subject'>, reason: RevokeReason, context: RequestContext): Promise<boolean> {
  const ended = await context.bounded(() => store.revoke(id, reason))
  if (ended) context.emit({ type: 'revoked', subject, sessionId: id, reason })
  return ended
}

/**
 * Ends all sessions of a subject, or all but one. Resolves to the number of ended sessions. If it throws
 * FST_AUTH_STORE_UNAVAILABLE some may have ended; call it again for the others. A TypeError if the store keeps no sessions.
 */
export async function revokeAllSessions (store: SessionStore, subject: string, reason: RevokeReason, context: RequestContext, exceptId?: string): Promise<number> {
  assertKept(store)
  let count = 0
  let ended: number
  try {
    // Each call ends a batch and has its own deadline, since many sessions take longer than the deadline of a request.
    do {
      ended = await context.bounded.withNewDeadline()(() => store.revokeAll(subject, reason, exceptId))
      if (!Number.isInteger(ended)) throw new TypeError('the "revokeAll" of the store must resolve to the number of sessions that it revoked')
      count += ended
    } while (ended > 0)
  } finally {
    if (count > 0) context.emit({ type: 'revoked', subject, sessionId: null, reason })
  }
  return count
}
