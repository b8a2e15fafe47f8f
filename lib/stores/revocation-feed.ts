import { randomId } from '../random.js'
import { type Revocation, type RevocationListener, type SessionStore } from '../sessions/store.js'
import { subscribeWithReconnect, waitAtMost, whenAborted, type Connect, type Pause } from './reconnecting-subscription.js'

/** Publish/subscribe between the processes that share a store. */
export interface Channel {
  /** Opens a connection that receives what is sent. Each subscription has one of its own. */
  readonly connect: (onMessage: (message: string) => void) => Connect
  /** Sends a message to every process, over the connections that the store's other commands use. */
  readonly send: (message: string) => Promise<unknown>
  /** Called once, when the connection answers but a message that was sent is not delivered. */
  readonly onUndelivered: () => void
}

/**
 * Notifies the listeners of a store, here and in other processes, of revoked sessions. A store receives its own messages too:
 * where the reply to a revocation is lost, `notify` is not called and the message is all that shows it.
 */
export interface RevocationFeed {
  /** The method `subscribe` of a store with such a channel. */
  readonly subscribeOver: (channel: Channel) => NonNullable<SessionStore['subscribe']>
  /** Notifies the listeners of this store, without the network. */
  readonly notify: (revocation: Revocation) => void
}

export function revocationFeed (pause: Pause = waitAtMost): RevocationFeed {
  const listeners = new Set<RevocationListener>()

  return {
    subscribeOver (channel) {
      const warnOnce = once(channel.onUndelivered)

      return (listener, onConnection = () => {}) => {
        const own: RevocationListener = revocation => listener(revocation) // a listener may subscribe twice
        const onMessage = (message: string): void => {
          const revocation = readMessage(message)
          if (revocation !== null && listeners.has(own)) listener(revocation)
        }
        listeners.add(own)
        const stop = subscribeWithReconnect(connectWithProbe({ ...channel, onUndelivered: warnOnce }, onMessage, pause), onConnection, pause)
        return () => {
          listeners.delete(own)
          stop()
        }
      }
    },

    notify (revocation) {
      for (const listener of listeners) listener(revocation)
    }
  }
}

/** The message that reports a revocation to every process. */
export function messageOf (revocation: Revocation): string {
  return JSON.stringify(revocation)
}

/** Null for a message of no store. */
function readMessage (message: string): Revocation | null {
  const { id, subject, at, exceptId } = parse(message)
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

/** A connection that is up once it delivered a probe; its ping is another one. */
function connectWithProbe ({ connect, send, onUndelivered }: Channel, onMessage: (message: string) => void, pause: Pause): Connect {
  const probe = createDeliveryProbe(send, onUndelivered, pause)

  return async closing => {
    const ping = await connect(message => { if (!probe.receive(message)) onMessage(message) })(closing)
    // Behind some poolers LISTEN succeeds and nothing is ever delivered, so only a message shows that it works.
    const answers = async (): Promise<boolean> => await succeedsInTime(ping(), closing.signal, pause)
    if (await probe.run(closing.signal, answers) === 'unsent') throw new Error('the probe for delivery could not be sent')
    return async () => {
      // An exhausted pool says nothing about this connection, which stays as long as it answers.
      if (await probe.run(closing.signal, answers) === 'unsent' && !await answers()) throw new Error('the connection does not answer')
    }
  }
}

/** Sends a message over another connection, and checks that the subscription delivers it. */
interface DeliveryProbe {
  /** True for a message that this probe sent. */
  readonly receive: (message: string) => boolean
  /** Sends a message and waits for it: 'unsent' if it could not be sent. Rejects if it was sent and is not delivered. */
  readonly run: (closing: AbortSignal, answers: () => Promise<boolean>) => Promise<'delivered' | 'unsent'>
}

/** `onUndelivered` is called when a message was sent and not delivered, on a connection that answers: any other is half-open. */
function createDeliveryProbe (send: Channel['send'], onUndelivered: () => void, pause: Pause): DeliveryProbe {
  const pending = new Map<string, () => void>()

  return {
    receive (message) {
      const resolve = pending.get(message)
      resolve?.()
      return resolve !== undefined
    },

    async run (closing, answers) {
      const message = JSON.stringify({ echo: randomId() })
      const delivery = new Promise<void>(resolve => pending.set(message, resolve))
      try {
        if (!await succeedsInTime(send(message), closing, pause)) return 'unsent'
        if (await succeedsInTime(delivery, closing, pause)) return 'delivered'
        if (!closing.aborted && await answers()) onUndelivered()
        throw new Error('a message was sent and not delivered')
      } finally {
        pending.delete(message)
      }
    }
  }
}

/** The time limit in milliseconds, for sending and for delivery each. */
const TIMEOUT_MS = 5000

/** True if a promise resolves within the time limit and before the connection closes. */
async function succeedsInTime (promise: Promise<unknown>, closing: AbortSignal, pause: Pause): Promise<boolean> {
  const done = new AbortController()
  whenAborted(closing, () => done.abort(), done.signal)
  const timeout = pause(TIMEOUT_MS, done.signal).then(() => false)
  try {
    return await Promise.race([promise.then(() => true, () => false), timeout])
  } finally {
    done.abort()
  }
}

function once (call: () => void): () => void {
  let wasCalled = false
  return () => {
    if (!wasCalled) call()
    wasCalled = true
  }
}
