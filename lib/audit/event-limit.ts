import { type AuthErrorCode } from '../errors.js'
import { type AuthEvent } from './events.js'
import { type EpochSeconds } from '../time.js'

/** The most events of one kind that are recorded in a second. */
const MAX_EVENTS_PER_SECOND = 20

/** Types that every request of a flood can cause. `throttled` is not limited: a tool that blocks addresses needs each one. */
const LIMITED: ReadonlySet<AuthEvent['type']> = new Set<AuthEvent['type']>([
  'access_token_refused', 'refresh_refused', 'identify_refused', 'refused', 'logout_failed', 'cross_site_refused', 'store_unavailable', 'busy'
])

/** The count of events of one kind that were dropped. */
type DroppedEvents = Extract<AuthEvent, { type: 'events_dropped' }>

/** Limits events per kind and second, so that a flood of requests causes no flood of events. A kind is a type and a code. */
interface EventLimit {
  /** Takes the counts of the seconds before `now`, and resets them. */
  takeDropped (now: EpochSeconds): readonly DroppedEvents[]
  /** True if an event is to be recorded. If not, it is counted as dropped. Call `takeDropped` with the same time before. */
  admits (event: AuthEvent, now: EpochSeconds): boolean
}

/** The events of one kind in one second. */
interface KindCount {
  readonly second: EpochSeconds
  readonly of: AuthEvent['type']
  readonly code: AuthErrorCode | null
  admitted: number
  dropped: number
}

const NONE: readonly DroppedEvents[] = []

export function createEventLimit (): EventLimit {
  const counts = new Map<string, KindCount>() // one for each kind; there are few kinds
  let dropping = false

  return {
    admits (event, now) {
      if (!LIMITED.has(event.type)) return true
      const count = countOf(event, now)
      if (count.admitted < MAX_EVENTS_PER_SECOND) {
        count.admitted++
        return true
      }
      count.dropped++
      dropping = true
      return false
    },

    takeDropped (now) {
      if (!dropping) return NONE
      const taken = [...counts.values()].filter(({ dropped, second }) => dropped > 0 && second !== now)
      const events = taken.map(({ of, code, dropped: count }): DroppedEvents => ({ type: 'events_dropped', of, code, count }))
      for (const count of taken) count.dropped = 0
      dropping = [...counts.values()].some(({ dropped }) => dropped > 0)
      return events
    }
  }

  /** `takeDropped` has taken the count of a second that is over. */
  function countOf (event: AuthEvent, second: EpochSeconds): KindCount {
    const code = 'code' in event ? event.code : null
    const kind = `${event.type} ${code}`
    const known = counts.get(kind)
    if (known?.second === second) return known
    const count = { second, of: event.type, code, admitted: 0, dropped: 0 }
    counts.set(kind, count)
    return count
  }
}
