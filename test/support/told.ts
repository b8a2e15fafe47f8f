/** Values that a callback is told, for a test that waits for each in its turn. */
export function told<T> (): { readonly tell: (value: T) => void, readonly next: () => Promise<T> } {
  const values: T[] = []
  const waiting: Array<() => void> = []

  return {
    tell (value) {
      values.push(value)
      waiting.shift()?.()
    },
    async next () {
      if (values.length === 0) await new Promise<void>(resolve => waiting.push(resolve))
      return values.shift() as T // there is one now
    }
  }
}
