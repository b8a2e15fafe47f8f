import { isDeepStrictEqual } from 'node:util'

/** The values that a callback receives, for a test that waits for each in order. */
export function notifications<T> (): { readonly notify: (value: T) => void, readonly next: () => Promise<T> } {
  const values: T[] = []
  const waiting: Array<() => void> = []

  return {
    notify (value) {
      values.push(value)
      waiting.shift()?.()
    },
    async next () {
      if (values.length === 0) await new Promise<void>(resolve => waiting.push(resolve))
      return values.shift() as T // there is one now
    }
  }
}

/** As `next`, for a store, which may report a revocation more than once. */
export function withoutRepeats<T> (next: () => Promise<T>): () => Promise<T> {
  let last: T | undefined
  return async () => {
    let value = await next()
    while (isDeepStrictEqual(value, last)) value = await next()
    last = value
    return value
  }
}
