import { byCreation, isLive, isSessionId, LIST_START, type Session, type SessionPosition } from './session.js'
import { assertKept, type SessionStore } from './store.js'
import { type RequestContext } from '../events.js'
import { type EpochSeconds } from '../time.js'

/** A page of a list of sessions. */
export interface SessionListOptions {
  /** The largest number of sessions, from 1 to 10,000; 100 by default. */
  readonly limit?: number | undefined
  /** The last session of the previous page; only the sessions after it are listed. */
  readonly after?: SessionPosition | undefined
}

export const LIST_LIMIT = 100

const MAX_LIMIT = 10_000

/** Throws a TypeError for a page that would silently give an empty or a wrong list. */
export function checkedPage (part: SessionListOptions): SessionListOptions {
  const unknown = Object.keys(part).find(name => name !== 'limit' && name !== 'after')
  if (unknown !== undefined) throw new TypeError(`a list of sessions has the options "limit" and "after", and no "${unknown}"`)
  const { limit = LIST_LIMIT, after = LIST_START } = part
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) throw new TypeError('"limit" of a list of sessions must be a whole number from 1 to 10,000')
  if (after !== LIST_START && !isPosition(after)) throw new TypeError('"after" of a list of sessions must be the last session of the previous page')
  return part
}

function isPosition ({ id, createdAt }: SessionPosition): boolean {
  return isSessionId(id) && Number.isSafeInteger(createdAt)
}

/** Sessions per call to the store: to parse more at once would block other requests. */
const MAX_PER_CALL = 1000

/**
 * The live sessions of a subject after `after`, oldest first, at most `limit`. It stops after `maxRows` rows, since a subject can
 * have many expired ones. A store may ignore the page and return all sessions.
 */
export async function listLive (store: SessionStore, subject: string, { limit = LIST_LIMIT, after = LIST_START }: SessionListOptions, { bounded }: Pick<RequestContext, 'bounded'>, at: EpochSeconds, maxRows = Infinity): Promise<Session[]> {
  assertKept(store)
  const size = Math.min(limit, MAX_PER_CALL)
  const live: Session[] = []
  let last = after
  let read = 0
  let isEnd = false
  while (!isEnd && live.length < limit && read < maxRows) {
    const given = await bounded(() => store.list(subject, { limit: size, after: last, liveAt: at }))
    const sessions = given.filter(session => byCreation(session, last) > 0).sort(byCreation)
    live.push(...sessions.filter(session => isLive(session, at)))
    read += sessions.length
    isEnd = sessions.length !== size
    last = sessions.at(-1) ?? last
  }
  return live.slice(0, limit)
}
