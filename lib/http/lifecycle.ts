import { randomInt } from 'node:crypto'
import { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type AuthEvent, type RequestContext } from '../events.js'
import { type Bounded, startDeadline, type Timeouts } from '../deadline.js'
import { type KeySource } from '../keys/reload.js'
import { type KeyRing } from '../keys/ring.js'
import { redacted } from '../redaction.js'
import { type Revocations } from '../sessions/revocations.js'
import { type SessionStore, type StoreOwner } from '../sessions/store.js'
import { type Clock, type Seconds } from '../time.js'
import { logSafely, logWarning } from '../warnings.js'

/** Opens the store in onReady, claims it for this app, and compares its clock with that of the process. */
export function openOnReady (fastify: FastifyInstance, store: SessionStore, owner: OwnerSource, timeouts: Timeouts, clock: Clock): void {
  const open = store.open?.bind(store)
  const claim = store.claim?.bind(store)
  const storeNow = store.now?.bind(store)
  fastify.addHook('onReady', async () => {
    if (open !== undefined && !await openStore(open, timeouts, fastify.log)) return claimLater()
    if (claim !== undefined && !await openStore(() => claim(owner.current()), timeouts, fastify.log)) return
    if (storeNow !== undefined) await compareClocks(storeNow, clock, timeouts, fastify.log)
  })
  owner.onChange(claimLater)

  /** The store retries a failed claim before its next call, as `SessionStore.claim` demands. */
  function claimLater (): void {
    Promise.resolve(owner.current()).then(claim).catch((err: unknown) => {
      logWarning(fastify.log, { code: err instanceof TypeError ? 'FST_AUTH_WARN_STORE_REFUSED' : 'FST_AUTH_WARN_STORE_CLAIM', err: redacted(err) })
    })
  }
}

/**
 * Subscribes to revocations before the app serves, else it would accept revoked tokens. A subscription that is not up within the timeout of
 * a call counts as down.
 */
export function followRevocations (fastify: FastifyInstance, store: SessionStore, revocations: Revocations, timeouts: Timeouts, context: RequestContext): void {
  let stop: (() => Promise<void> | void) | undefined
  let lost = false
  let closed = false

  fastify.addHook('onReady', async () => {
    if (closed) return
    let answered!: () => void // assigned in the next line
    const answer = new Promise<void>(resolve => { answered = resolve })
    stop = store.subscribe?.(revocations.listener, up => {
      setConnected(up)
      answered()
    })
    await atStart(timeouts)(() => answer).catch(() => setConnected(false))
  })
  fastify.addHook('onClose', async () => {
    closed = true
    await startDeadline(timeouts)(async () => await stop?.()).catch(() => {}) // a store that cannot stop must not keep the app from closing
  })

  function setConnected (up: boolean): void {
    revocations.connected(up)
    // The first connection is no event.
    if (up === lost) context.emit({ type: 'revocation_feed', up })
    lost = !up
  }
}

/** Fastify aborts a start whose hook takes ten seconds, and the onReady hook makes up to three calls. */
const MAX_CALL_AT_START: Seconds = 3

function atStart ({ call, request }: Timeouts): Bounded {
  return startDeadline({ call: Math.min(call, MAX_CALL_AT_START), request })
}

/** The messages of `fetch` in Node without a connection, and where it ends before the reply does. */
const FETCH_FAILED = /^(?:fetch failed|terminated)$/

/** A TypeError means that the store can never work, and stops the start, except for that of a failed `fetch`. All other errors may be temporary and are logged. */
async function openStore (open: () => Promise<void>, timeouts: Timeouts, log: FastifyBaseLogger): Promise<boolean> {
  try {
    await atStart(timeouts)(open)
    return true
  } catch (error) {
    const { cause } = error as Error // a deadline rejects with an AuthError only
    if (cause instanceof TypeError && !FETCH_FAILED.test(cause.message)) throw cause
    logWarning(log, { code: 'FST_AUTH_WARN_STORE_UNAVAILABLE', err: cause })
    return false
  }
}

const MAX_CLOCK_DIFFERENCE: Seconds = 2

/** The store's clock is a reference that all instances share. A difference, or a failure to read it, is only logged. */
async function compareClocks (storeNow: () => Promise<number>, clock: Clock, timeouts: Timeouts, log: FastifyBaseLogger): Promise<void> {
  try {
    const before = clock()
    const there = await atStart(timeouts)(storeNow)
    const difference = Math.floor((before + clock()) / 2) - Math.floor(there)
    if (Math.abs(difference) > MAX_CLOCK_DIFFERENCE) logWarning(log, { code: 'FST_AUTH_WARN_CLOCK', seconds: difference })
  } catch (error) {
    log.debug({ err: (error as Error).cause }, 'auth: the time of the session store could not be read') // a deadline rejects with an AuthError only
  }
}

/**
 * Deletes expired sessions periodically, from onReady to onClose. Each run begins a period after the last has ended. Instances
 * begin at random times, so that two rarely purge at once; if they do, each row is deleted once. A run ends with its batch when
 * the app closes, which waits for that no longer than for one call of the store.
 */
export function purgePeriodically (fastify: FastifyInstance, purge: (signal: AbortSignal) => Promise<unknown>, period: Seconds, timeouts: Timeouts): void {
  const closing = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  fastify.addHook('onReady', async () => runIn(randomInt(period * 1000)))
  fastify.addHook('onClose', async () => {
    closing.abort()
    clearTimeout(timer)
    await startDeadline(timeouts)(() => running).catch(() => {})
  })

  function runIn (ms: number): void {
    timer = setTimeout(() => { running = run() }, ms).unref()
  }

  async function run (): Promise<void> {
    try {
      await purge(closing.signal)
    } catch (err) {
      logSafely(fastify.log, 'warn', { err: redacted(err) }, 'auth: expired sessions could not be deleted: the next attempt deletes them')
    }
    if (!closing.signal.aborted) runIn(period * 1000)
  }
}

/** Reloads the keys periodically, from onReady to onClose. */
export function followKeys (fastify: FastifyInstance, { reload }: KeySource, period: Seconds): void {
  let timer: NodeJS.Timeout | undefined
  fastify.addHook('onReady', async () => {
    // `reload` records a failure itself, and the next period tries again.
    timer = setInterval(() => { reload().catch(() => {}) }, period * 1000).unref()
  })
  fastify.addHook('onClose', async () => clearInterval(timer))
}

/** The identity with which an app claims its store: its name, and the ids of its refresh keys, old and new. */
interface OwnerSource {
  readonly current: () => StoreOwner
  /** Updates it after a change of keys and calls the listeners. */
  readonly follow: (event: AuthEvent) => void
  readonly onChange: (listener: () => void) => void
}

export function createOwnerSource (name: string | undefined, ring: () => KeyRing): OwnerSource {
  let keyIds: readonly string[] | undefined
  const listeners: Array<() => void> = []
  const kids = (): readonly string[] => [...ring().byKid.keys()]

  return {
    current () {
      keyIds ??= kids()
      return { name, keyIds }
    },
    follow (event) {
      if (event.type !== 'keys_changed' || event.kind !== 'refresh' || keyIds === undefined) return
      // Keeps the former ids, by which the store recognises this app even if a leaked key was replaced at once.
      keyIds = [...new Set([...event.kids, ...keyIds])].slice(0, MAX_KEY_IDS)
      for (const listener of listeners) listener()
    },
    onChange (listener) { listeners.push(listener) }
  }
}

const MAX_KEY_IDS = 20

/**
 * Runs a task once the reply is sent, and never if the client has disconnected before. A rejection
 * is logged with the message `failure`.
 */
export type AfterReply = (request: FastifyRequest, reply: FastifyReply, task: () => Promise<void>, failure: string) => void

/** `app.close()` waits for the running tasks. */
export function createAfterReply (fastify: FastifyInstance): AfterReply {
  const running = new Set<Promise<void>>()
  fastify.addHook('onClose', async () => { await Promise.all(running) })

  return ({ log }, reply, task, failure) => {
    reply.raw.once('finish', () => {
      const run = task()
        .catch((err: unknown) => logSafely(log, 'warn', { err: redacted(err) }, failure))
        .finally(() => running.delete(run))
      running.add(run)
    })
  }
}
