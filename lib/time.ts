/** A length of time in whole seconds. */
export type Seconds = number

/** A point in time: whole seconds since 1970-01-01T00:00:00Z (RFC 7519 NumericDate). */
export type EpochSeconds = number

/** Returns the time in seconds since the epoch. That of an option may give fractions, which `wholeSeconds` cuts off. */
export type Clock = () => number

/** A length of time in options: whole seconds, or a whole number with its unit; not negative. */
export type Duration = Seconds | `${number}${'s' | 'm' | 'h' | 'd' | 'w'}`

/** The machine's own clock, in whole seconds. */
export const systemClock: Clock = () => Math.floor(Date.now() / 1000)

/** The clock of an option in whole seconds, as every other function expects it. */
export function wholeSeconds (clock: Clock): Clock {
  return clock === systemClock ? clock : () => Math.floor(clock())
}

/** The machine's clock in milliseconds, for timing that a test clock must not affect. */
export const systemMilliseconds = (): number => Date.now()

const UNITS: Record<string, Seconds> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Reads a duration such as `'15m'`, `'30d'` or `900` as whole seconds; null for anything else. */
export function parseDuration (value: unknown): Seconds | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null
  if (typeof value !== 'string') return null
  const [, count, unit = ''] = /^(\d{1,9})([smhdw])$/.exec(value) ?? []
  const seconds = UNITS[unit]
  return seconds === undefined ? null : Number(count) * seconds
}
