/** True only where both types are one and the same. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Compiles only where its type parameter is true. */
export function assertType<T extends true> (): T | undefined {
  return undefined
}
