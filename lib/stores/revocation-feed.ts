import { randomId } from '../random.js'
import { type RevocationListener, type SessionStore } from '../sessions/session.js'
import { createEcho, happens } from './echo.js'
import { keepLink, waitAtMost, type OpenLink, type Pause } from './reconnecting-subscription.js'

/** What is told to a listener. */
export type Revocation = Parameters<RevocationListener>[0]

/** The way between the processes that share a store. */
export interface Channel {
  /** Makes a connection that receives what is sent. Each subscription has one of its own. */
  readonly open: (onMessage: (message: string) => void) => OpenLink
  /** Sends a message to every process, over the connections that the store's other commands use. */
  readonly send: (message: string) => Promise<unknown>
  /** Called once, when the connection answers but a message that was sent did not arrive. */
  readonly onSilence: () => void
}

/** How a store tells its own listeners, and those of other processes, of sessions that ended. */
export interface RevocationFeed {
  /** The method `subscribe` of a store with such a channel. */
  readonly over: (channel: Channel) => NonNullable<SessionStore['subscribe']>
  /** The message that tells other processes. */
  readonly messageOf: (revocation: Revocation) => string
  /** Tells the listeners of this store, without the way over the network. */
  readonly tell: (revocation: Revocation) => void
}

/** The feed of one store. */
export function revocationFeed (pause: Pause = waitAtMost): RevocationFeed {
  const from = randomId()
  const listeners = new Set<RevocationListener>()

  return {
    over ({ open, send, onSilence }) {
      let isSilent = false
      const warnOnce = (): void => {
        if (!isSilent) onSilence()
        isSilent = true
      }

      return (listener, onConnection = () => {}) => {
        const own: RevocationListener = revocation => listener(revocation)
        const echo = createEcho(send, warnOnce, pause)
        listeners.add(own)
        const stop = keepLink(async over => {
          const ask = await open(message => {
            if (echo.take(message)) return
            const revocation = readMessage(message, from)
            if (revocation !== null && listeners.has(own)) listener(revocation)
          })(over)
          // Behind some poolers LISTEN succeeds and nothing ever arrives, so only a message shows that it works.
          if (await echo.arrives(over.signal) === 'unsent') throw new Error('whether messages arrive could not be tried')
          return async () => {
            // A pool that is exhausted says nothing about this connection: it goes on as long as it answers.
            if (await echo.arrives(over.signal) === 'arrived') return
            if (!await happens(ask(), over.signal, pause)) throw new Error('the connection does not answer')
          }
        }, onConnection, pause)
        return () => {
          listeners.delete(own)
          stop()
        }
      }
    },

    messageOf: revocation => JSON.stringify({ from, ...revocation }),

    tell (revocation) {
      for (const listener of listeners) listener(revocation)
    }
  }
}

/** Null for a message of our own, which was told without this way, and for what is no message of a store. */
function readMessage (message: string, own: string): Revocation | null {
  const { from, id, subject, at, exceptId } = parse(message)
  if (from === own) return null
  if (typeof id === 'string') return { id }
  if (typeof subject !== 'string' || typeof at !== 'number') return null
  return { subject, at, ...(typeof exceptId === 'string' && { exceptId }) }
}

/** The fields of a JSON object, and none of anything else: an exception here would end the process. */
function parse (message: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(message))
  } catch {
    return {}
  }
}
