import { randomId } from '../random.js'
import { whenAborted, type Pause } from './reconnecting-subscription.js'

/** Sends a message over another connection, and checks that the subscription delivers it. */
export interface DeliveryProbe {
  /** True for a message that this probe sent. */
  readonly receive: (message: string) => boolean
  /** Sends a message and waits for it: 'unsent' if it could not be sent. Rejects if it was sent and is not delivered. */
  readonly run: (closing: AbortSignal) => Promise<'delivered' | 'unsent'>
}

/** The time limit in milliseconds, for sending and for delivery each. */
const TIMEOUT_MS = 5000

/** `onSilence` is called when a message was sent and not delivered, on a connection that is still open. */
export function createDeliveryProbe (send: (message: string) => Promise<unknown>, onSilence: () => void, pause: Pause): DeliveryProbe {
  const pending = new Map<string, () => void>()

  return {
    receive (message) {
      const resolve = pending.get(message)
      resolve?.()
      return resolve !== undefined
    },

    async run (closing) {
      const message = JSON.stringify({ echo: randomId() })
      const delivery = new Promise<void>(resolve => pending.set(message, resolve))
      try {
        if (!await succeedsInTime(send(message), closing, pause)) return 'unsent'
        if (await succeedsInTime(delivery, closing, pause)) return 'delivered'
        if (!closing.aborted) onSilence()
        throw new Error('a message was sent and not delivered')
      } finally {
        pending.delete(message)
      }
    }
  }
}

/** Whether a promise resolves within the time limit and before the connection closes. */
export async function succeedsInTime (promise: Promise<unknown>, closing: AbortSignal, pause: Pause): Promise<boolean> {
  const done = new AbortController()
  whenAborted(closing, () => done.abort(), done.signal)
  const timeout = pause(TIMEOUT_MS, done.signal).then(() => false)
  try {
    return await Promise.race([promise.then(() => true, () => false), timeout])
  } finally {
    done.abort()
  }
}
