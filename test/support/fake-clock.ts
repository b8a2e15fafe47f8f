import { parseDuration, type Clock, type Duration, type EpochSeconds } from '../../lib/time.js'

/** 2026-01-01T00:00:00Z: neither zero nor today, so that a second clock would show. */
export const START: EpochSeconds = 1_767_225_600

/** A clock that moves only when the test moves it. */
export interface FakeClock {
  readonly now: Clock
  /** Moves the time by a duration, or by seconds: negative ones set the clock back, fractions are kept. */
  wait (time: Duration): void
}

/** A clock that stands still at `start`. */
export function fakeClock (start: EpochSeconds = START): FakeClock {
  let time = start
  return {
    now: () => time,
    wait (by) {
      const seconds = typeof by === 'number' ? by : parseDuration(by)
      if (seconds === null) throw new TypeError('wait: not a duration')
      time += seconds
    }
  }
}
