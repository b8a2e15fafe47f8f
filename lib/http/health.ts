import { type RequestContext } from '../audit/events.js'
import { randomId } from '../random.js'
import { type Revocations } from '../sessions/revocations.js'
import { type SessionStore } from '../sessions/store.js'

/** Whether an instance can do its work. A part that is not in use counts as fine. */
export interface AuthHealth {
  /** All of the following. */
  readonly ok: boolean
  /** The session store answers within `timeouts.call`. */
  readonly store: boolean
  /** The subscription to the revocations of other instances is up (`revocation: 'immediate'`). */
  readonly revocationFeed: boolean
  /** The last reload of the keys succeeded; else the old ones are in use. */
  readonly keys: boolean
  /** The queue for hashing passwords has room. */
  readonly passwordQueue: boolean
}

export interface HealthDependencies {
  readonly store: Pick<SessionStore, 'get'>
  /** Undefined without `revocation: 'immediate'`. */
  readonly revocations: Pick<Revocations, 'isUp'> | undefined
  readonly keys: { isCurrent (): boolean }
  readonly passwords: { readonly isFull: boolean }
}

/** The function `app.authHealth`. It never rejects. */
export function createHealth ({ store, revocations, keys, passwords }: HealthDependencies, context: RequestContext): () => Promise<AuthHealth> {
  return async () => {
    const parts = {
      store: await context.bounded(() => store.get(randomId())).then(() => true, () => false),
      revocationFeed: revocations?.isUp ?? true,
      keys: keys.isCurrent(),
      passwordQueue: !passwords.isFull
    }
    return { ok: Object.values(parts).every(isFine => isFine), ...parts }
  }
}
