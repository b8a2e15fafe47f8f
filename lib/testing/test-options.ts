import { allowWeakHashing } from '../accounts/hash-format.js'
import { type AuditEvent } from '../events.js'
import { type Clock, type Duration, type EpochSeconds, parseDuration, systemClock } from '../time.js'

/** The option `passwords` for tests: hashing takes about 1 ms. The plugin refuses it where NODE_ENV is 'production'. */
export const fastPasswords = { memoryCost: 1024, [allowWeakHashing]: true } as const

/** Options of the plugin for tests. */
export interface TestOptions {
  readonly clock: TestClock
  readonly onEvent: (event: AuditEvent) => void
  readonly passwords: typeof fastPasswords
  readonly rateLimit: false
}

/** The events that each listener of `testOptions` received. */
const recorded = new WeakMap<object, AuditEvent[]>()

/**
 * Options for one app under test: a clock that stands still, a listener that records events, fast hashing, no rate limits (they
 * use the machine's clock). Spread them over the options of the plugin. Throws where NODE_ENV is 'production'.
 */
export function testOptions (): TestOptions {
  assertNotProduction('testOptions')
  const events: AuditEvent[] = []
  const onEvent = (event: AuditEvent): void => { events.push(event) }
  recorded.set(onEvent, events)
  return { clock: testClock(), onEvent, passwords: fastPasswords, rateLimit: false }
}

/** The events that a listener of `testOptions` received; undefined for any other listener. */
export function eventsOf (onEvent: object | undefined): AuditEvent[] | undefined {
  return onEvent && recorded.get(onEvent)
}

export function assertNotProduction (name: string): void {
  if (process.env['NODE_ENV'] === 'production') throw new Error(`${name} is for tests: it does not work where NODE_ENV is 'production'`)
}

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
