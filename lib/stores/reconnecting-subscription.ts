import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'

/**
 * Opens a connection that hears what other processes tell. Resolves, once nothing is missed from then on, to a
 * question that the other end must answer. `over` is aborted when the connection is not wanted any more, which closes
 * it, and whoever notices first that it is lost aborts it too.
 */
export type OpenLink = (over: AbortController) => Promise<() => Promise<unknown>>

/** Waits for a number of milliseconds, or until the signal is aborted; never rejects. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<unknown>

/** A broken network loses a connection without a word: so often it is asked. */
const PROBE_EVERY_MS = 10_000
const FIRST_BACK_OFF_MS = 100
const LONGEST_BACK_OFF_MS = 5000

/**
 * Keeps a connection open, with a new one after each that is lost, until the returned function is called.
 * `onConnection` is told true when it begins to hear, and false when it stops to or cannot begin.
 */
export function keepLink (open: OpenLink, onConnection: (connected: boolean) => void, pause: Pause = waitAtMost): () => void {
  const stopping = new AbortController()
  let told: boolean | undefined
  keep()
  return () => stopping.abort()

  async function keep (): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      const over = new AbortController()
      stopping.signal.addEventListener('abort', () => over.abort(), { signal: over.signal })
      try {
        const probe = await open(over)
        if (!over.signal.aborted) failures = 0
        await hear(probe, over.signal)
      } catch {
        // Whatever it was: the next attempt may succeed, and the listener is told that this one has not.
      }
      over.abort()
      tell(false)
      await pause(backOff(failures), stopping.signal)
    }
  }

  /** Resolves when the connection is over, and rejects when it no longer answers. */
  async function hear (probe: () => Promise<unknown>, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      tell(true)
      await pause(PROBE_EVERY_MS, over)
      if (!over.aborted) await probe()
    }
  }

  function tell (connected: boolean): void {
    if (stopping.signal.aborted || connected === told) return
    told = connected
    onConnection(connected)
  }
}

/**
 * Calls `close` once the signal is aborted, at once if it is, and no more once `until` is. What it throws is dropped: in
 * a listener it would end the process.
 */
export function whenAborted (signal: AbortSignal, close: () => void, until?: AbortSignal): void {
  if (signal.aborted) closeNow()
  else signal.addEventListener('abort', closeNow, { once: true, ...(until && { signal: until }) })

  function closeNow (): void {
    try {
      close()
    } catch {
      // Some clients throw where they have closed by themselves.
    }
  }
}

/** Spread, so that not all processes come back to a server at the same moment. */
function backOff (failures: number): number {
  const longest = Math.min(FIRST_BACK_OFF_MS * 2 ** failures, LONGEST_BACK_OFF_MS)
  return randomInt(longest / 2, longest)
}

/** Keeps no process alive. */
export const waitAtMost: Pause = (ms, signal) => setTimeout(ms, undefined, { ref: false, signal }).catch(() => {})
