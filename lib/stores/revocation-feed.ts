import { randomId } from '../core/random.js'
import { type RevocationListener, type SessionStore } from '../core/session.js'
import { keepLink, type OpenLink } from './link.js'

/** What is told to a listener. */
export type Revocation = Parameters<RevocationListener>[0]

/** How a store tells its own listeners, and those of other processes, of sessions that ended. */
export interface RevocationFeed {
  /** The method `subscribe` of a store whose connections `open` makes: each subscription has one of its own. */
  readonly over: (open: (onMessage: (message: string) => void) => OpenLink) => NonNullable<SessionStore['subscribe']>
  /** The message that tells other processes. */
  readonly messageOf: (revocation: Revocation) => string
  /** Tells the listeners of this store, without the way over the network. */
  readonly tell: (revocation: Revocation) => void
}

/** The feed of one store. */
export function revocationFeed (): RevocationFeed {
  const from = randomId()
  const listeners = new Set<RevocationListener>()

  return {
    over: open => (listener, onConnection = () => {}) => {
      const own: RevocationListener = revocation => listener(revocation)
      listeners.add(own)
      const stop = keepLink(open(message => {
        const revocation = readMessage(message, from)
        if (revocation !== null && listeners.has(own)) listener(revocation)
      }), onConnection)
      return () => {
        listeners.delete(own)
        stop()
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
