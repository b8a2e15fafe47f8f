import { inspect } from 'node:util'
import { parseDuration, systemClock, type Clock, type Seconds, wholeSeconds } from '../time.js'

/** Validates one option and returns its normalised value. Throws a TypeError that names the option, the value and the way out. */
export type Check<T> = (value: unknown, option: string) => T

/** The value that a validator returns. */
export type Checked<C> = C extends Check<infer T> ? T : never

export const DAY: Seconds = 86_400

/** Options of Fastify's own `register`. */
export const REGISTER_OPTIONS = ['logLevel', 'logSerializers']

type Checks = Readonly<Record<string, Check<unknown>>>

const IN_ONE_LINE = { depth: 0, compact: true, breakLength: Infinity, maxStringLength: 60, maxArrayLength: 6 }

/** Throws for an option. Never pass a secret as the value. */
export function refuse (option: string, value: unknown, wanted: string): never {
  throw new TypeError(`option "${option}" is ${inspect(value, IN_ONE_LINE)}: ${wanted}`)
}

/** An option with a default, which is written and validated like a value of the user. */
export function defaultTo<T> (fallback: unknown, check: Check<T>): Check<T> & { readonly fallback: unknown } {
  return Object.assign((value: unknown = fallback, option: string) => check(value, option), { fallback })
}

/** An optional option without a default. */
export function optional<T> (check: Check<T>): Check<T | undefined> {
  return (value, option) => value === undefined ? undefined : check(value, option)
}

/** False, or a valid value. */
export function orFalse<T> (check: Check<T>): Check<T | false> {
  return (value, option) => value === false ? false : check(value, option)
}

/** One of some fixed values. */
export function oneOf<const T extends string | boolean> (...values: readonly T[]): Check<T> {
  return (value, option) => values.find(known => known === value) ??
    refuse(option, value, `it must be one of ${values.map(known => inspect(known)).join(', ')}`)
}

export const flag: Check<boolean> = (value, option) =>
  typeof value === 'boolean' ? value : refuse(option, value, 'it must be true or false')

/** A string that is not empty. */
export const text: Check<string> = (value, option) =>
  typeof value === 'string' && value !== '' ? value : refuse(option, value, 'it must be a string that is not empty')

/** A function. `T` is the type that the public types require; at run time only callability can be checked. */
export function callback<T extends (...values: never[]) => unknown> (): Check<T> {
  return (value, option) => typeof value === 'function'
    ? value as T // a function's parameters cannot be checked
    : refuse(option, value, 'it must be a function')
}

/** A whole number, bounds included. */
export function integer (min: number, max: number): Check<number> {
  return (value, option) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max
    ? Number(value)
    : refuse(option, value, `it must be a whole number from ${min} to ${max}`)
}

/** A duration, bounds included. Returns seconds. */
export function duration (min: Seconds, max: Seconds): Check<Seconds> {
  return (value, option) => {
    const seconds = parseDuration(value)
    if (seconds === null) refuse(option, value, "it must be a duration: whole seconds, or a number with a unit such as '30s', '15m', '12h', '7d'")
    return seconds >= min && seconds <= max ? seconds : refuse(option, value, `it must be between ${min} and ${max} seconds`)
  }
}

/** An array of values of one kind. */
export function listOf<T> (check: Check<T>): Check<readonly T[]> {
  return (value, option) => Array.isArray(value)
    ? Object.freeze(value.map((member, index) => check(member, `${option}[${index}]`)))
    : refuse(option, value, 'it must be an array')
}

/** One value, or an array of values. */
export function oneOrMore<T> (check: Check<T>): Check<T | readonly T[]> {
  const list = listOf(check)
  return (value, option) => Array.isArray(value) ? list(value, option) : check(value, option)
}

/** A value that may change while the app runs. */
export interface Source<T> {
  /** True if the value comes from a function, so that it can be read again. */
  readonly changes: boolean
  /** Returns the current value. Throws the errors of the app's function, and a TypeError for a wrong value. */
  read (): Promise<T> | T
}

/** A value, or a function of the app that returns it. */
export function source<T> (check: Check<T>): Check<Source<T>> {
  return (value, option) => {
    if (typeof value === 'function') return Object.freeze({ changes: true, read: async () => check(await value(), option) })
    const fixed = check(value, option)
    return Object.freeze({ changes: false, read: () => fixed })
  }
}

/**
 * A group of options. Unknown names are refused with the nearest known name; names in `ignored` are allowed and not read. The
 * group may be an instance of a class with accessors. The result is new and frozen.
 */
export function group<C extends Checks> (checks: C, ignored: readonly string[] = []): Check<{ readonly [K in keyof C]: Checked<C[K]> }> & { readonly checks: C } {
  const check: Check<{ readonly [K in keyof C]: Checked<C[K]> }> = (value = {}, option) => {
    // Not printed: a secret may have been put in the wrong place.
    if (!isObject(value)) throw new TypeError(`${option === '' ? 'the options' : `option "${option}"`} must be an object`)
    const path = (name: string) => option === '' ? name : `${option}.${name}`
    assertKnown(value, Object.keys(checks), path, ignored)
    const entries = Object.entries(checks).map(([name, read]) => [name, read(value[name], path(name))])
    return Object.freeze(Object.fromEntries(entries)) // fromEntries loses the names of `checks` in its type
  }
  return Object.assign(check, { checks })
}

/** Throws a TypeError for an unknown name, with the nearest known one; names in `ignored` are allowed too. */
function assertKnown (options: object, known: readonly string[], path: (name: string) => string, ignored: readonly string[] = []): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name) && !ignored.includes(name)) throw new TypeError(`unknown option "${path(name)}"${suggestion(name, known)}`)
  }
}

/** A clock in seconds, not milliseconds; read in whole seconds. */
export const clock: Check<Clock> = (value, option) => {
  const read = callback<Clock>()(value, option)
  const now = read()
  if (Number.isFinite(now) && now >= 0 && now < 1e11) return wholeSeconds(read)
  return refuse(option, value, 'it must return the time in seconds since the epoch; for milliseconds use () => Date.now() / 1000')
}

/** Validates the options of a store: their names, the clock and those with a check. Throws a TypeError that begins with the store's name. */
export function checkedOptions<T extends { readonly clock?: unknown }> (store: string, options: T, known: readonly (keyof T & string)[], checks: { readonly [K in keyof T]?: Check<unknown> } = {}): T & { readonly clock: Clock } {
  try {
    assertKnown(options, known, name => name)
    for (const name of known) if (options[name] !== undefined) checks[name]?.(options[name], name)
    return { ...options, clock: clock(options.clock ?? systemClock, 'clock') }
  } catch (error) {
    throw new TypeError(`${store}: ${(error as TypeError).message}`) // the validators throw nothing else
  }
}

/** Throws a TypeError with the first sentence whose condition is true. */
export function refuseFirst (combinations: ReadonlyArray<readonly [isRefused: boolean, sentence: string]>): void {
  const refused = combinations.find(([isRefused]) => isRefused)
  if (refused !== undefined) throw new TypeError(refused[1])
}

function isObject (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `; did you mean "…"?` if a known name is near, else the known names. */
function suggestion (name: string, known: readonly string[]): string {
  const nearest = nearestOf(name, known)
  return nearest === undefined ? `; known are ${known.join(', ')}` : `; did you mean "${nearest}"?`
}

/** The known name nearest to a wrong one: at most `most` edits away, and at most half of its letters. */
export function nearestOf (name: string, known: readonly string[], most = 3): string | undefined {
  const [nearest] = known
    .map(candidate => ({ candidate, edits: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  return nearest !== undefined && nearest.edits <= Math.min(most, nearest.candidate.length / 2) ? nearest.candidate : undefined
}

/** Levenshtein distance, row by row. */
function editDistance (a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  let left = b.length
  for (const [i, letter] of [...a].entries()) {
    let corner = i
    row = row.map((above, column) => {
      left = column === 0 ? i + 1 : Math.min(above + 1, left + 1, letter === b[column - 1] ? corner : corner + 1)
      corner = above
      return left
    })
  }
  return left
}
