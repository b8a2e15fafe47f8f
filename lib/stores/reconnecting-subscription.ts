import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'

/**
 * Opens a connection that receives messages. Resolves once no later message can be missed, to a ping that the other end
 * must answer. Aborting `closing` closes the connection; `connect` itself aborts it when the connection is lost.
 */
export type Connect = (closing: AbortController) => Promise<() => Promise<unknown>>

/** Waits for a number of milliseconds, or until the signal is aborted; never rejects. */
export type Pause = (ms: number, signal: AbortSignal) => Promise<unknown>

/** A half-open TCP connection reports no error, so it is probed at this interval. */
const PROBE_EVERY_MS = 10_000
const FIRST_BACK_OFF_MS = 100
const LONGEST_BACK_OFF_MS = 5000

/**
 * Keeps a connection open, and reconnects when it is lost, until the returned function is called. `onConnection` is
 * called with true once messages are received, and with false when that ends or the first attempt fails.
 */
export function subscribeWithReconnect (connect: Connect, onConnection: (connected: boolean) => void, pause: Pause = waitAtMost): () => void {
  const stopping = new AbortController()
  let notified: boolean | undefined
  stayConnected()
  return () => stopping.abort()

  async function stayConnected (): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      const closing = new AbortController()
      stopping.signal.addEventListener('abort', () => closing.abort(), { signal: closing.signal })
      try {
        const ping = await connect(closing)
        if (!closing.signal.aborted) failures = 0
        await probeUntilClosed(ping, closing.signal)
      } catch {
        // Retried below, whatever the error was; onConnection(false) reports it.
      }
      closing.abort()
      notify(false)
      await pause(backOff(failures), stopping.signal)
    }
  }

  /** Resolves when the connection is closed, and rejects when it no longer answers. */
  async function probeUntilClosed (ping: () => Promise<unknown>, closing: AbortSignal): Promise<void> {
    while (!closing.aborted) {
      notify(true)
      await pause(PROBE_EVERY_MS, closing)
      if (!closing.aborted) await ping()
    }
  }

  function notify (connected: boolean): void {
    if (stopping.signal.aborted || connected === notified) return
    notified = connected
    onConnection(connected)
  }
}

/**
 * Calls `close` when the signal is aborted, at once if it already is, and no longer once `until` is aborted. Errors of
 * `close` are dropped: thrown in a listener, they would end the process.
 */
export function whenAborted (signal: AbortSignal, close: () => void, until?: AbortSignal): void {
  if (signal.aborted) closeNow()
  else signal.addEventListener('abort', closeNow, { once: true, ...(until && { signal: until }) })

  function closeNow (): void {
    try {
      close()
    } catch {
      // Some clients throw when they have closed by themselves.
    }
  }
}

/** With jitter, so that processes do not all reconnect to a server at the same moment. */
function backOff (failures: number): number {
  const longest = Math.min(FIRST_BACK_OFF_MS * 2 ** failures, LONGEST_BACK_OFF_MS)
  return randomInt(longest / 2, longest)
}

/** The timer is unreferenced: it keeps no process alive. */
export const waitAtMost: Pause = (ms, signal) => setTimeout(ms, undefined, { ref: false, signal }).catch(() => {})
