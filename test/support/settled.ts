import { mock } from 'node:test'

/** Waits for a reply, and lets all its deadlines pass. Needs mock timers for `setTimeout`. */
export async function settled<T> (reply: Promise<T>): Promise<T> {
  const waiting = new Set([reply])
  const stop = (): void => { waiting.clear() }
  reply.then(stop, stop)
  while (waiting.size > 0) {
    await new Promise(resolve => setImmediate(resolve))
    mock.timers.tick(1000)
  }
  return await reply
}
