import { assertKnown, clock } from '../options/validators.js'

/** The options of a store, once their names and the clock were checked. Throws a TypeError that begins with the store's name. */
export function checkedOptions<T extends { readonly clock?: unknown }> (store: string, options: T, known: readonly (keyof T & string)[]): T {
  try {
    assertKnown(options, known, name => name)
    if (options.clock !== undefined) clock(options.clock, 'clock')
    return options
  } catch (error) {
    throw new TypeError(`${store}: ${(error as TypeError).message}`) // nothing else is thrown there
  }
}
