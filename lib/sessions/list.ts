import { byAge, isLive, LIST_START, listOf, type Session, type SessionPosition, type SessionStore } from './session.js'
import { type RequestScope } from './refresh.js'

/** Which part of a list is wanted: at most `limit` sessions, of those behind `after`. */
export interface SessionListOptions {
  /** From 1 to 10,000; 100 by default. */
  readonly limit?: number | undefined
  /** The last session of the part before. */
  readonly after?: SessionPosition | undefined
}

/** How many sessions a list holds where nobody says how many. */
export const LIST_LIMIT = 100

const MOST_LISTED = 10_000

/** The part of a list that an app asks for. A TypeError for one that would silently be an empty list, or another. */
export function checkedPart (part: SessionListOptions): SessionListOptions {
  const unknown = Object.keys(part).find(name => name !== 'limit' && name !== 'after')
  if (unknown !== undefined) throw new TypeError(`a list of sessions has the options "limit" and "after", and no "${unknown}"`)
  const { limit = LIST_LIMIT, after = LIST_START } = part
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED) throw new TypeError('"limit" of a list of sessions must be a whole number from 1 to 10,000')
  if (typeof after.id !== 'string' || !Number.isFinite(after.createdAt)) throw new TypeError('"after" of a list of sessions must be the last session of the part before')
  return part
}

/** How many sessions are read with one call to the store: to parse more would hold up other requests. */
const MOST_AT_ONCE = 1000

/**
 * The first live sessions of a subject behind `after`, oldest first, at most `limit`. It ends early once it has read
 * `most` rows: those of expired sessions can be many. A store may ignore the part that it is asked for, and give all.
 */
export async function listLive (store: SessionStore, subject: string, { limit = LIST_LIMIT, after = LIST_START }: SessionListOptions, { bounded, at }: Pick<RequestScope, 'bounded' | 'at'>, most = Infinity): Promise<Session[]> {
  const list = listOf(store)
  const size = Math.min(limit, MOST_AT_ONCE)
  const live: Session[] = []
  let last = after
  let read = 0
  let isEnd = false
  while (!isEnd && live.length < limit && read < most) {
    const given = await bounded(() => list(subject, { limit: size, after: last, liveAt: at }))
    const sessions = given.filter(session => byAge(session, last) > 0).sort(byAge)
    live.push(...sessions.filter(session => isLive(session, at)))
    read += sessions.length
    isEnd = sessions.length !== size
    last = sessions.at(-1) ?? last
  }
  return live.slice(0, limit)
}
