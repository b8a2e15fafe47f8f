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

/** As `next` for distinct values, since a store may report a revocation more than once. */
export function withoutRepeats<T> (next: () => Promise<T>): () => Promise<T> {
  const seen = new Set<string>()
  return async () => {
    let value = await next()
    while (seen.has(JSON.stringify(value))) value = await next()
    seen.add(JSON.stringify(value))
    return value
  }
}
