import { parseDuration, systemClock, type Clock, type Duration, type EpochSeconds } from '../time.js'

/** A clock for the option `clock` of the plugin and of stores. It stands still until `advance` is called. */
export interface TestClock extends Clock {
  /** Moves the time forward by a duration: '15m', or whole seconds. */
  advance (by: Duration): void
}

/** In the registry of symbols, since a server and its test may load two copies of this package. */
const TEST_CLOCK = Symbol.for('fastify-refresh-cookie.test-clock')

/** A clock that stands still at `start`, in seconds since 1970; now by default. */
export function testClock (start: EpochSeconds = systemClock()): TestClock {
  let time = start
  return Object.assign(() => time, {
    [TEST_CLOCK]: true,
    advance (by: Duration) {
      const seconds = parseDuration(by)
      if (seconds === null) throw new TypeError("advance: not a duration: whole seconds, or a number with a unit such as '15m'")
      time += seconds
    }
  })
}

export function isTestClock (clock: Clock): clock is TestClock {
  return TEST_CLOCK in clock
}
