/**
 * Does work while no other tab of this browser does any of that name, and tells it whether it had to wait for one.
 * After `patience` milliseconds, or where the browser has no locks (insecure contexts), it goes on without: a tab that
 * hangs must not stop the others, and the server copes with two at once. A lock is never stolen, since that would
 * only hand the trouble to its holder.
 */
export async function exclusive<T> (name: string, patience: number, work: (waited: boolean) => Promise<T>): Promise<T> {
  let turn = undefined as Promise<T> | undefined // else the compiler takes it for undefined for ever
  try {
    await navigator.locks.request(name, { ifAvailable: true }, lock => lock && (turn = work(false)))
    if (!turn) await navigator.locks.request(name, { signal: AbortSignal.timeout(patience) }, () => (turn = work(true)))
  } catch {
    // There are no locks, or it did not come in time; or the work failed, which its own promise tells.
  }
  return turn ?? work(false)
}
