/** Waits for work that others may wait for too, until the caller does not want to any more. */
export function unlessAborted<T> (work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
    work.then(resolve, reject).then(() => signal.removeEventListener('abort', abort))
  })
}
