import { type Session, type SessionPosition } from '../sessions/session.js'
import { type EpochSeconds, type Seconds } from '../time.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type FromSchema, type JsonSchema } from './schemas.js'

const time = { type: 'string', format: 'date-time' } as const

/** One of a person's sessions. */
export const sessionViewSchema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    createdAt: { ...time, description: 'When the person logged in there.' },
    lastUsedAt: { ...time, description: 'Of the session that asks: when its access token was issued. Of others: the hour in which they were last refreshed.' },
    expiresAt: { ...time, description: 'When it ends at the latest.' },
    userAgent: { type: ['string', 'null'] },
    ip: { type: ['string', 'null'] },
    current: { type: 'boolean', description: 'Whether it is the one that asks.' }
  },
  required: ['id', 'createdAt', 'lastUsedAt', 'expiresAt', 'userAgent', 'ip', 'current']
} as const satisfies JsonSchema

/** One of a person's sessions, as they may see it. Times are ISO 8601. */
export type SessionView = FromSchema<typeof sessionViewSchema>

const HOUR: Seconds = 3600

/** A session for its owner's eyes, or for those of a thief who holds an access token: `asking` are the claims of that token. */
export function toSessionView (session: Session, asking: Pick<AccessClaims, 'sid' | 'iat'>): SessionView {
  const current = session.id === asking.sid
  return {
    id: session.id,
    createdAt: iso(session.createdAt),
    lastUsedAt: iso(current ? asking.iat : Math.max(startOfHour(session.rotatedAt), session.createdAt)),
    expiresAt: iso(session.expiresAt),
    userAgent: session.userAgent,
    ip: session.ip,
    current
  }
}

/** With the exact time, a thief could present a copy in the moment after each refresh of the owner, and never be found. */
function startOfHour (time: EpochSeconds): EpochSeconds {
  return time - time % HOUR
}

function iso (seconds: EpochSeconds): string {
  return new Date(seconds * 1000).toISOString()
}

/** Which part of the list of a person's sessions is wanted. */
export interface SessionViewListOptions {
  /** At most so many; 100 by default. */
  limit?: number | undefined
  /** Only those behind this one: the last of the part before. */
  after?: Pick<SessionView, 'id' | 'createdAt'> | undefined
}

/** The place of a session in a list, as its owner may see it. */
export function positionOf ({ id, createdAt }: Pick<SessionView, 'id' | 'createdAt'>): SessionPosition {
  return { id, createdAt: Date.parse(createdAt) / 1000 }
}

/** The query of a list of sessions. */
export const sessionViewListSchema = {
  type: 'object',
  properties: {
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'At most so many.' },
    after: { type: 'string', pattern: '^\\d{1,12}\\.[\\w-]{1,64}$', description: 'Where the list goes on: as the Link header of the part before says.' }
  },
  required: []
} as const satisfies JsonSchema

/** A query as its schema lets it pass. */
export type SessionViewListQuery = FromSchema<typeof sessionViewListSchema>

/** What a query holds to go on behind a session. */
export function cursorOf (device: Pick<SessionView, 'id' | 'createdAt'>): string {
  const { createdAt, id } = positionOf(device)
  return `${createdAt}.${id}`
}

/** The session that a query is to go on behind; undefined where it says none. */
export function deviceOf (cursor: string | undefined): Pick<SessionView, 'id' | 'createdAt'> | undefined {
  if (cursor === undefined) return undefined
  const [createdAt, id = ''] = cursor.split('.')
  return { id, createdAt: new Date(Number(createdAt) * 1000).toISOString() }
}
