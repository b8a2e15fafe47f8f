import { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { startDeadline, type Bounded, type Timeouts } from '../core/deadline.js'
import { type RequestContext } from '../core/events.js'
import { type Revocations } from '../core/revocations.js'
import { type SessionStore } from '../core/session.js'
import { type AppIdentity } from './store-owner.js'
import { type Clock, type EpochSeconds, type Seconds } from '../core/time.js'

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
