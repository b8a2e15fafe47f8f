import { allowWeakHashing } from '../accounts/hash-format.js'
import { type AuditEvent } from '../audit/events.js'
import { testClock, type TestClock } from './test-clock.js'

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
