import { randomId } from '../random.js'
import { whenAborted, type Pause } from './reconnecting-subscription.js'

/** Shows that a connection receives: sends it a message over another one. */
export interface Echo {
  /** Takes a message that this echo sent; false for any other. */
  readonly take: (message: string) => boolean
  /** Sends a message and waits for it: 'unsent' where it could not be sent. Rejects where it was sent and does not arrive. */
  readonly arrives: (over: AbortSignal) => Promise<'arrived' | 'unsent'>
}

/** A message takes no longer than this, in milliseconds, to be sent, nor to arrive. */
const WITHIN_MS = 5000

/** `onSilence` is called when a message was sent and did not arrive on a connection that is still open. */
export function createEcho (send: (message: string) => Promise<unknown>, onSilence: () => void, pause: Pause): Echo {
  const expected = new Map<string, () => void>()

  return {
    take (message) {
      const arrive = expected.get(message)
      arrive?.()
      return arrive !== undefined
    },

    async arrives (over) {
      const message = JSON.stringify({ echo: randomId() })
      const arrival = new Promise<void>(resolve => expected.set(message, resolve))
      try {
        if (!await happens(send(message), over, pause)) return 'unsent'
        if (await happens(arrival, over, pause)) return 'arrived'
        if (!over.aborted) onSilence()
        throw new Error('a message that was sent did not arrive')
      } finally {
        expected.delete(message)
      }
    }
  }
}

/** Whether a promise resolves in time, and before the connection is over. */
export async function happens (promise: Promise<unknown>, over: AbortSignal, pause: Pause): Promise<boolean> {
  const enough = new AbortController()
  whenAborted(over, () => enough.abort(), enough.signal)
  const late = pause(WITHIN_MS, enough.signal).then(() => false)
  try {
    return await Promise.race([promise.then(() => true, () => false), late])
  } finally {
    enough.abort()
  }
}
