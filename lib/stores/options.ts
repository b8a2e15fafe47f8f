import { assertKnown, clock } from '../options/validators.js'

/** Checks the names of a store's options and its clock. Throws a TypeError that begins with the store's name. */
export function checkedOptions<T extends { readonly clock?: unknown }> (store: string, options: T, known: readonly (keyof T & string)[]): T {
  try {
    assertKnown(options, known, name => name)
    if (options.clock !== undefined) clock(options.clock, 'clock')
    return options
  } catch (error) {
    throw new TypeError(`${store}: ${(error as TypeError).message}`) // the validators throw nothing else
  }
}
