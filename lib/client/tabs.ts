/**
 * Runs `work` while no other tab holds the lock of that name, and passes whether it had to wait. After `timeout`
 * milliseconds, or without the Web Locks API (insecure contexts), it runs without the lock: a tab that hangs must not
 * block the others, and the server handles concurrent refreshes. A lock is never stolen, which would interrupt its holder.
 */
export async function withTabLock<T> (name: string, timeout: number, work: (waited?: boolean) => Promise<T>): Promise<T> {
  let result = undefined as Promise<T> | undefined // the cast keeps the compiler from narrowing it to undefined
  try {
    await navigator.locks.request(name, { ifAvailable: true }, lock => lock && (result = work()))
    if (!result) await navigator.locks.request(name, { signal: AbortSignal.timeout(timeout) }, () => (result = work(true)))
  } catch {
    // No locks or a timeout; or the work failed, in which case `result` rejects.
  }
  return result || work()
}

/**
 * The only value in storage, for a reload. 'out': logged out, so the page need not ask the server. 'logout': a logout that
 * did not reach the server, whose cookie would log the user in again.
 */
type LogoutMarker = 'out' | 'logout'

/** Reads the marker, or with `next` writes it, as far as the browser grants storage. Without it a reload asks the server. */
export function logoutMarker (name: string, next?: LogoutMarker | ''): string | void {
  try {
    return next == null ? localStorage[name] : (localStorage[name] = next)
  } catch {
    // Storage is blocked or full.
  }
}
