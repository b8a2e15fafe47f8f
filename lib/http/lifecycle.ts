import { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type AuthEvent, type RequestContext } from '../audit/events.js'
import { type Bounded, startDeadline, type Timeouts } from '../deadline.js'
import { type KeySource } from '../keys/reload.js'
import { type KeyRing } from '../keys/ring.js'
import { type Revocations } from '../sessions/revocations.js'
import { type SessionStore, type StoreOwner } from '../sessions/session.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** Opens the store when the app is ready to listen, notes that it is this app's, and compares its clock with ours. */
export function openOnReady (fastify: FastifyInstance, store: SessionStore, identity: AppIdentity, timeouts: Timeouts, clock: Clock): void {
  const open = store.open?.bind(store)
  const claim = store.claim?.bind(store)
  const storeNow = store.now?.bind(store)
  fastify.addHook('onReady', async () => {
    if (open !== undefined && !await openStore(open, timeouts, fastify.log)) return claimLater()
    if (claim !== undefined && !await openStore(() => claim(identity.owner()), timeouts, fastify.log)) return
    if (storeNow !== undefined) await compareClocks(storeNow, clock, timeouts, fastify.log)
  })
  identity.onChange(claimLater)

  /** What fails is decided before the store's next call. */
  function claimLater (): void {
    claim?.(identity.owner()).catch(err => {
      fastify.log.warn({ err }, 'auth: the session store could not note whose it is')
    })
  }
}

/**
 * Hears of ended sessions from before anybody is served until the app closes: who begins without would take the tokens of
 * those that ended before for live. A feed that does not come up in the time of a call is taken for one that is down.
 */
export function followRevocations (fastify: FastifyInstance, store: SessionStore, revocations: Revocations, timeouts: Timeouts, context: RequestContext): void {
  let stop: (() => Promise<void> | void) | undefined
  let lost = false

  fastify.addHook('onReady', async () => {
    let answered!: () => void // assigned in the next line
    const answer = new Promise<void>(resolve => { answered = resolve })
    stop = store.subscribe?.(revocations.listener, up => {
      hear(up)
      answered()
    })
    await atStart(timeouts)(() => answer).catch(() => hear(false))
  })
  fastify.addHook('onClose', async () => { await stop?.() })

  function hear (up: boolean): void {
    revocations.connected(up)
    // Coming up for the first time is no news.
    if (up === lost) context.emit({ type: 'revocation_feed', up })
    lost = !up
  }
}

/** Fastify stops a start whose hook takes ten seconds, and one of ours makes three calls. */
const LONGEST_CALL: Seconds = 3

function atStart ({ call, request }: Timeouts): Bounded {
  return startDeadline({ call: Math.min(call, LONGEST_CALL), request })
}

/** A store that can never work stops the start; one that is away for the moment does not: it is asked again. */
async function openStore (open: () => Promise<void>, timeouts: Timeouts, log: FastifyBaseLogger): Promise<boolean> {
  try {
    await atStart(timeouts)(open)
    return true
  } catch (error) {
    const { cause } = error as Error // an AuthError: nothing else leaves a deadline
    if (cause instanceof TypeError) throw cause
    log.warn({ err: cause }, 'auth: the session store cannot be reached at start: logins and refreshes answer 503 until it can')
    return false
  }
}

/** Warns where the clocks differ by more than this. */
const CLOCKS_DIFFER: Seconds = 2

/** The store's clock stands for those of the other instances. Nothing depends on it: an app whose clock is wrong goes on. */
async function compareClocks (storeNow: () => Promise<EpochSeconds>, clock: Clock, timeouts: Timeouts, log: FastifyBaseLogger): Promise<void> {
  try {
    const before = clock()
    const there = await atStart(timeouts)(storeNow)
    const difference = Math.floor((before + clock()) / 2) - Math.floor(there)
    if (!(Math.abs(difference) > CLOCKS_DIFFER)) return
    const by = `${Math.abs(difference)} s ${difference > 0 ? 'ahead of' : 'behind'}`
    log.warn(`auth: the clock of this process is ${by} that of the session store: set all machines by one time server, since instances may differ by a third of refreshToken.grace and by accessToken.leeway`)
  } catch (error) {
    log.debug({ err: (error as Error).cause }, 'auth: the time of the session store could not be read') // as above
  }
}

/** Reads the keys again and again, from when the app is ready until it closes. */
export function followKeys (fastify: FastifyInstance, { reload }: KeySource, period: Seconds): void {
  let timer: NodeJS.Timeout | undefined
  fastify.addHook('onReady', async () => {
    // What fails has been told, and is tried again.
    timer = setInterval(() => { reload().catch(() => {}) }, period * 1000).unref()
  })
  fastify.addHook('onClose', async () => clearInterval(timer))
}

/** The app as its store knows it: by its name, and by the ids of its refresh keys while they change. */
export interface AppIdentity {
  readonly owner: () => StoreOwner
  /** Takes a change of keys, and calls the listener. */
  readonly follow: (event: AuthEvent) => void
  readonly onChange: (listener: () => void) => void
}

/** The identity of an app whose refresh keys are those of `ring()`. */
export function createAppIdentity (name: string | undefined, ring: () => KeyRing): AppIdentity {
  let keyIds: readonly string[] | undefined
  const listeners: Array<() => void> = []
  const current = (): readonly string[] => [...ring().byKid.keys()]

  return {
    owner () {
      keyIds ??= current()
      return { name, keyIds }
    },
    follow (event) {
      if (event.type !== 'keys_changed' || event.kind !== 'refresh' || keyIds === undefined) return
      // With the former ones, by which the store knows this app, also where a leaked key is gone at once.
      keyIds = [...new Set([...event.kids, ...keyIds])].slice(0, MOST_KEYS)
      for (const listener of listeners) listener()
    },
    onChange (listener) { listeners.push(listener) }
  }
}

const MOST_KEYS = 20

/**
 * Runs a task when the reply to a request has been handed over, and not at all where the client left before. `failure` is
 * the sentence for the log where it fails.
 */
export type AfterReply = (request: FastifyRequest, reply: FastifyReply, task: () => Promise<void>, failure: string) => void

/** Builds what runs tasks after replies. Nobody waits for them but `app.close()`; one that fails is logged. */
export function createAfterReply (fastify: FastifyInstance): AfterReply {
  const running = new Set<Promise<void>>()
  fastify.addHook('onClose', async () => { await Promise.all(running) })

  return ({ log }, reply, task, failure) => {
    reply.raw.once('finish', () => {
      const run = task()
        .catch((err: unknown) => log.warn({ err }, failure))
        .finally(() => running.delete(run))
      running.add(run)
    })
  }
}
