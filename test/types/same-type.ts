/** True only if both types are the same. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles only if its type parameter is true. */
export function assertType<T extends true> (): T | undefined {
  return undefined
}
