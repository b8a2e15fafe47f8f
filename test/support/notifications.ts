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
