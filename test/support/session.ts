import { randomId } from '../../lib/random.js'
import { type Session } from '../../lib/sessions/session.js'
import { START } from './fake-clock.js'

/** A session that began at START, with an idle expiry of a week and an absolute one of 30 days. */
export function newSession (over: Partial<Session> = {}): Session {
  return {
    id: randomId(),
    subject: 'ada',
    generation: 0,
    previous: null,
    rotatedAt: START,
    createdAt: START,
    expiresAt: START + 30 * 86_400,
    idleExpiresAt: START + 7 * 86_400,
    authTime: START,
    userAgent: null,
    ip: null,
    ...over
  }
}

/** The first rotation of such a session. */
export const ROTATION = { generation: 1, previous: 0, rotatedAt: START + 60, idleExpiresAt: START + 600 }
