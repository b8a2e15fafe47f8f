import { type Session, type SessionPosition } from '../sessions/session.js'
import { type EpochSeconds, type Seconds } from '../time.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type FromSchema, type JsonSchema } from './schemas.js'

const time = { type: 'string', format: 'date-time' } as const

export const sessionViewSchema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    createdAt: { ...time, description: 'Time of the login.' },
    lastUsedAt: { ...time, description: 'For the current session the time at which its access token was issued, for others the hour of the last refresh.' },
    expiresAt: { ...time, description: 'Latest end of the session.' },
    userAgent: { type: ['string', 'null'] },
    ip: { type: ['string', 'null'] },
    current: { type: 'boolean', description: 'True for the session of this request.' }
  },
  required: ['id', 'createdAt', 'lastUsedAt', 'expiresAt', 'userAgent', 'ip', 'current']
} as const satisfies JsonSchema

/**
 * A session as its owner may see it. Times are ISO 8601 texts in UTC. `current` marks the session of the request; `lastUsedAt`
 * of the others, and of all for a cookie, is rounded down to the hour, but never before the login.
 */
export type SessionView = FromSchema<typeof sessionViewSchema>

const HOUR: Seconds = 3600

/** The view of a session for the owner of an access token, or of a cookie, which has no `iat`. Either may be stolen. */
export function toSessionView (session: Session, caller: Pick<AccessClaims, 'sid'> & Partial<Pick<AccessClaims, 'iat'>>): SessionView {
  const current = session.id === caller.sid
  return {
    id: session.id,
    createdAt: iso(session.createdAt),
    lastUsedAt: iso(current && caller.iat !== undefined ? caller.iat : Math.max(startOfHour(session.rotatedAt), session.createdAt)),
    expiresAt: iso(session.expiresAt),
    userAgent: session.userAgent,
    ip: session.ip,
    current
  }
}

/**
 * The exact time would let a thief evade reuse detection: use a stolen refresh token right after each refresh of the owner,
 * within the grace period.
 */
function startOfHour (time: EpochSeconds): EpochSeconds {
  return time - time % HOUR
}

function iso (seconds: EpochSeconds): string {
  return new Date(seconds * 1000).toISOString()
}

/** A page of the caller's sessions. */
export interface SessionViewListOptions {
  /** The largest number of sessions, from 1 to 10,000; 100 by default. */
  limit?: number | undefined
  /** The last session of the previous page; only the sessions after it are listed. */
  after?: Pick<SessionView, 'id' | 'createdAt'> | undefined
}

export function positionOf ({ id, createdAt }: Pick<SessionView, 'id' | 'createdAt'>): SessionPosition {
  return { id, createdAt: Date.parse(createdAt) / 1000 }
}

export const sessionViewListSchema = {
  type: 'object',
  properties: {
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'Largest number of sessions in the page.' },
    after: { type: 'string', pattern: '^\\d{1,12}\\.[\\w-]{1,64}$', description: 'Cursor of the next page, from the Link header of the previous page.' }
  },
  required: []
} as const satisfies JsonSchema

export type SessionViewListQuery = FromSchema<typeof sessionViewListSchema>

/** The value of the query parameter `after` for the page after a session. */
export function formatCursor (session: Pick<SessionView, 'id' | 'createdAt'>): string {
  const { createdAt, id } = positionOf(session)
  return `${createdAt}.${id}`
}

export function parseCursor (cursor: string | undefined): Pick<SessionView, 'id' | 'createdAt'> | undefined {
  if (cursor === undefined) return undefined
  const [createdAt, id = ''] = cursor.split('.')
  return { id, createdAt: new Date(Number(createdAt) * 1000).toISOString() }
}
