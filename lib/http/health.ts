import { type RequestContext } from '../events.js'
import { randomId } from '../random.js'
import { type Revocations } from '../sessions/revocations.js'
import { type SessionStore } from '../sessions/store.js'

/** The state of an instance. A part that is not in use counts as fine. */
export interface AuthHealth {
  /**
   * True if `store` and `revocationFeed` are true. The other parts do not count: an instance works with old keys, and if a full queue
   * or an unreachable Redis of the rate limits counted, all instances would leave the load balancer, and refreshes would fail too.
   */
  readonly ok: boolean
  /** The session store answers within `timeouts.call`. */
  readonly store: boolean
  /** The subscription to the revocations of other instances is up (`revocation: 'immediate'`). */
  readonly revocationFeed: boolean
  /** The last reload of the keys succeeded; else the old ones are in use. */
  readonly keys: boolean
  /** The queue for hashing passwords has room. */
  readonly passwordQueue: boolean
  /** The Redis of the rate limits answers within `timeouts.call` (`rateLimit.redis`). */
  readonly rateLimits: boolean
}

interface HealthDependencies {
  readonly store: Pick<SessionStore, 'get'>
  /** Undefined without `revocation: 'immediate'`. */
  readonly revocations: Pick<Revocations, 'isUp'> | undefined
  readonly keys: { isCurrent (): boolean }
  readonly passwords: { readonly isFull: boolean }
  /** Undefined where the rate limits are counted in memory. */
  readonly pingCounters: (() => Promise<void>) | undefined
}

/** The function `app.authHealth`. It never rejects. */
export function createHealth ({ store, revocations, keys, passwords, pingCounters }: HealthDependencies, context: RequestContext): () => Promise<AuthHealth> {
  const answers = (call: () => Promise<unknown>): Promise<boolean> => context.bounded(call).then(() => true, () => false)
  return async () => {
    const [reachable, rateLimits] = await Promise.all([answers(async () => await store.get(randomId())), pingCounters === undefined || answers(pingCounters)])
    const parts = {
      store: reachable,
      revocationFeed: revocations?.isUp ?? true,
      keys: keys.isCurrent(),
      passwordQueue: !passwords.isFull,
      rateLimits
    }
    return { ok: parts.store && parts.revocationFeed, ...parts }
  }
}
