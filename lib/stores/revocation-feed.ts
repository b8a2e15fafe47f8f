import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { randomId } from '../random.js'
import { type Revocation, type RevocationListener, type SessionStore } from '../sessions/store.js'

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
 * if the reply to a revocation is lost, `notify` is not called, and only the message reports it.
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
export function messageFor (revocation: Revocation): string {
  return JSON.stringify(revocation)
}

/** Null for a message of no store. */
function readMessage (message: string): Revocation | null {
  const { id, subject, at, exceptId } = parseMessage(message)
  if (typeof id === 'string') return { id }
  if (typeof subject !== 'string' || typeof at !== 'number') return null
  return { subject, at, ...(typeof exceptId === 'string' && { exceptId }) }
}

/** {} for anything but a JSON object: an exception here would end the process. */
function parseMessage (message: string): Readonly<Record<string, unknown>> {
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
