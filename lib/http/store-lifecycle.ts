import { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { startDeadline, type Timeouts } from '../core/deadline.js'
import { type RequestContext } from '../core/events.js'
import { type Revocations } from '../core/revocations.js'
import { type SessionStore } from '../core/session.js'

/** Opens the store when the app is ready to listen. */
export function openOnReady (fastify: FastifyInstance, store: SessionStore, timeouts: Timeouts): void {
  const open = store.open?.bind(store)
  if (open !== undefined) fastify.addHook('onReady', async () => await openStore(open, timeouts, fastify.log))
}

/** Hears of ended sessions from when the app is ready until it closes. */
export function followRevocations (fastify: FastifyInstance, store: SessionStore, revocations: Revocations, context: RequestContext): void {
  let stop: (() => Promise<void> | void) | undefined
  let lost = false

  fastify.addHook('onReady', async () => {
    stop = store.subscribe?.(revocations.listener, up => {
      revocations.connected(up)
      // Coming up for the first time is no news.
      if (up === lost) context.emit({ type: 'revocation_feed', up })
      lost = !up
    })
  })
  fastify.addHook('onClose', async () => { await stop?.() })
}

/** A store that can never work stops the start; one that is away for the moment does not: it is asked again. */
async function openStore (open: () => Promise<void>, timeouts: Timeouts, log: FastifyBaseLogger): Promise<void> {
  try {
    await startDeadline(timeouts)(open)
  } catch (error) {
    const { cause } = error as Error // an AuthError: nothing else leaves a deadline
    if (cause instanceof TypeError) throw cause
    log.warn({ err: cause }, 'auth: the session store cannot be reached at start: logins and refreshes answer 503 until it can')
  }
}
