import { type AccessClaims } from '../core/claims.js'
import { type Session } from '../core/session.js'
import { type EpochSeconds, type Seconds } from '../core/time.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

const time = { type: 'string', format: 'date-time' } as const

/** One of a person's sessions. */
export const deviceSchema = {
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
export type Device = FromSchema<typeof deviceSchema>

const HOUR: Seconds = 3600

/** A session for its owner's eyes, or for those of a thief who holds an access token: `asking` are the claims of that token. */
export function toDevice (session: Session, asking: Pick<AccessClaims, 'sid' | 'iat'>): Device {
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
