import { randomId } from '../random.js'
import { type RevocationListener, type SessionStore } from '../sessions/session.js'
import { createDeliveryProbe, succeedsInTime } from './delivery-probe.js'
import { subscribeWithReconnect, waitAtMost, type Connect, type Pause } from './reconnecting-subscription.js'

export type Revocation = Parameters<RevocationListener>[0]

/** Publish/subscribe between the processes that share a store. */
export interface Channel {
  /** Opens a connection that receives what is sent. Each subscription has one of its own. */
  readonly connect: (onMessage: (message: string) => void) => Connect
  /** Sends a message to every process, over the connections that the store's other commands use. */
  readonly send: (message: string) => Promise<unknown>
  /** Called once, when the connection answers but a message that was sent is not delivered. */
  readonly onSilence: () => void
}

/** Notifies the listeners of a store, here and in other processes, of revoked sessions. */
export interface RevocationFeed {
  /** The method `subscribe` of a store with such a channel. */
  readonly subscribeOver: (channel: Channel) => NonNullable<SessionStore['subscribe']>
  /** The message that notifies other processes. */
  readonly messageOf: (revocation: Revocation) => string
  /** Notifies the listeners of this store, without the network. */
  readonly notify: (revocation: Revocation) => void
}

export function revocationFeed (pause: Pause = waitAtMost): RevocationFeed {
  const from = randomId()
  const listeners = new Set<RevocationListener>()

  return {
    subscribeOver ({ connect, send, onSilence }) {
      let hasWarned = false
      const warnOnce = (): void => {
        if (!hasWarned) onSilence()
        hasWarned = true
      }

      return (listener, onConnection = () => {}) => {
        const own: RevocationListener = revocation => listener(revocation)
        const probe = createDeliveryProbe(send, warnOnce, pause)
        listeners.add(own)
        const stop = subscribeWithReconnect(async closing => {
          const ping = await connect(message => {
            if (probe.receive(message)) return
            const revocation = readMessage(message, from)
            if (revocation !== null && listeners.has(own)) listener(revocation)
          })(closing)
          // Behind some poolers LISTEN succeeds and nothing is ever delivered, so only a message shows that it works.
          if (await probe.run(closing.signal) === 'unsent') throw new Error('the probe for delivery could not be sent')
          return async () => {
            // An exhausted pool says nothing about this connection, which stays as long as it answers.
            if (await probe.run(closing.signal) === 'delivered') return
            if (!await succeedsInTime(ping(), closing.signal, pause)) throw new Error('the connection does not answer')
          }
        }, onConnection, pause)
        return () => {
          listeners.delete(own)
          stop()
        }
      }
    },

    messageOf: revocation => JSON.stringify({ from, ...revocation }),

    notify (revocation) {
      for (const listener of listeners) listener(revocation)
    }
  }
}

/** Null for a message of this store, whose listeners `notify` has called already, and for a message of no store. */
function readMessage (message: string, own: string): Revocation | null {
  const { from, id, subject, at, exceptId } = parse(message)
  if (from === own) return null
  if (typeof id === 'string') return { id }
  if (typeof subject !== 'string' || typeof at !== 'number') return null
  return { subject, at, ...(typeof exceptId === 'string' && { exceptId }) }
}

/** {} for anything but a JSON object: an exception here would end the process. */
function parse (message: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(message))
  } catch {
    return {}
  }
}
