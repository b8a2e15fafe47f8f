import { type Session } from '../core/session.js'
import { type EpochSeconds } from '../core/time.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

const time = { type: 'string', format: 'date-time' } as const

/** One of a person's sessions. */
export const deviceSchema = {
  type: 'object',
  properties: {
    id: { type: 'string' },
    createdAt: { ...time, description: 'When the person logged in there.' },
    lastUsedAt: { ...time, description: 'When its refresh token was last replaced.' },
    expiresAt: { ...time, description: 'When it ends at the latest.' },
    userAgent: { type: ['string', 'null'] },
    ip: { type: ['string', 'null'] },
    current: { type: 'boolean', description: 'Whether it is the one that asks.' }
  },
  required: ['id', 'createdAt', 'lastUsedAt', 'expiresAt', 'userAgent', 'ip', 'current']
} as const satisfies JsonSchema

/** One of a person's sessions, as they may see it. Times are ISO 8601. */
export type Device = FromSchema<typeof deviceSchema>

/** A session for its owner's eyes. */
export function toDevice (session: Session, currentId: string): Device {
  return {
    id: session.id,
    createdAt: iso(session.createdAt),
    lastUsedAt: iso(session.rotatedAt),
    expiresAt: iso(session.expiresAt),
    userAgent: session.userAgent,
    ip: session.ip,
    current: session.id === currentId
  }
}

function iso (seconds: EpochSeconds): string {
  return new Date(seconds * 1000).toISOString()
}
