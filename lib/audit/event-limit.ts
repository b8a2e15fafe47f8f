import { type AuthErrorCode } from '../errors.js'
import { type AuthEvent } from './events.js'
import { type Clock, type EpochSeconds } from '../time.js'

/** How many events of one kind are recorded in a second. */
export const MAX_EVENTS_PER_SECOND = 20

/** The types that every request of a flood can cause. `throttled` is not among them: who blocks addresses needs each one. */
const LIMITED: ReadonlySet<AuthEvent['type']> = new Set<AuthEvent['type']>([
  'access_token_refused', 'refresh_refused', 'refused', 'logout_failed', 'cross_site_refused', 'store_unavailable', 'busy'
])

/** Events that were left out. */
export type DroppedEvents = Extract<AuthEvent, { type: 'events_dropped' }>

/** Limits events per kind and second, so that a flood of requests is no flood of events. A kind is a type and a code. */
export interface EventLimit {
  /** Whether an event is to be recorded. If not, it is counted. */
  admits (event: AuthEvent): boolean
  /** The events that were left out in seconds that are over, or in all of them; their counts start anew. */
  takeDropped (all?: boolean): readonly DroppedEvents[]
}

/** What happened of one kind in one second. */
interface Multiset {
  readonly second: EpochSeconds
  readonly of: AuthEvent['type']
  readonly code: AuthErrorCode | null
  admitted: number
  dropped: number
}

const NONE: readonly DroppedEvents[] = []

/** Builds the limit over the app's clock. */
export function createEventLimit (clock: Clock): EventLimit {
  const tallies = new Map<string, Multiset>() // one for each kind: there are few
  let dropping = false

  return {
    admits (event) {
      if (!LIMITED.has(event.type)) return true
      const tally = tallyOf(event)
      if (tally.admitted < MAX_EVENTS_PER_SECOND) {
        tally.admitted++
        return true
      }
      tally.dropped++
      dropping = true
      return false
    },

    takeDropped (all = false) {
      if (!dropping) return NONE
      const now = Math.floor(clock())
      const taken = [...tallies.values()].filter(({ dropped, second }) => dropped > 0 && (all || second !== now))
      const events = taken.map(({ of, code, dropped: count }): DroppedEvents => ({ type: 'events_dropped', of, code, count }))
      for (const tally of taken) tally.dropped = 0
      dropping = [...tallies.values()].some(({ dropped }) => dropped > 0)
      return events
    }
  }

  /** Called after `takeDropped`, so a tally of a second that is over holds nothing that was left out. */
  function tallyOf (event: AuthEvent): Multiset {
    const code = 'code' in event ? event.code : null
    const kind = `${event.type} ${code}`
    const second = Math.floor(clock())
    const known = tallies.get(kind)
    if (known?.second === second) return known
    const tally = { second, of: event.type, code, admitted: 0, dropped: 0 }
    tallies.set(kind, tally)
    return tally
  }
}
