import { type SessionPosition } from '../core/session.js'
import { type Device } from './device.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

/** Which part of the list of a person's sessions is wanted. */
export interface DeviceListOptions {
  /** At most so many; 100 by default. */
  limit?: number | undefined
  /** Only those behind this one: the last of the part before. */
  after?: Pick<Device, 'id' | 'createdAt'> | undefined
}

/** The place of a session in a list, as its owner may see it. */
export function positionOf ({ id, createdAt }: Pick<Device, 'id' | 'createdAt'>): SessionPosition {
  return { id, createdAt: Date.parse(createdAt) / 1000 }
}

/** The query of a list of sessions. */
export const deviceListSchema = {
  type: 'object',
  properties: {
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'At most so many.' },
    after: { type: 'string', pattern: '^\\d{1,12}\\.[\\w-]{1,64}$', description: 'Where the list goes on: as the Link header of the part before says.' }
  },
  required: []
} as const satisfies JsonSchema

/** A query as its schema lets it pass. */
export type DeviceListQuery = FromSchema<typeof deviceListSchema>

/** What a query holds to go on behind a session. */
export function cursorOf (device: Pick<Device, 'id' | 'createdAt'>): string {
  const { createdAt, id } = positionOf(device)
  return `${createdAt}.${id}`
}

/** The session that a query is to go on behind; undefined where it says none. */
export function deviceOf (cursor: string | undefined): Pick<Device, 'id' | 'createdAt'> | undefined {
  if (cursor === undefined) return undefined
  const [createdAt, id = ''] = cursor.split('.')
  return { id, createdAt: new Date(Number(createdAt) * 1000).toISOString() }
}
