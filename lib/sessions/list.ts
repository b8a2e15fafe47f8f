import { byAge, isLive, LIST_START, listOf, type Session, type SessionPosition, type SessionStore } from './session.js'
import { type RequestScope } from './refresh.js'

/** Which part of a list is wanted: at most `limit` sessions, of those behind `after`. */
export interface SessionListOptions {
  /** 100 by default. */
  readonly limit?: number | undefined
  /** The last session of the part before. */
  readonly after?: SessionPosition | undefined
}

/** How many sessions a list holds where nobody says how many. */
export const LIST_LIMIT = 100

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
