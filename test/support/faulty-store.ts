import { type SessionStore } from '../../lib/sessions/session.js'

/** The calls of a store that can be made to fail. */
export type StoreCall = 'create' | 'get' | 'advance' | 'revoke' | 'revokeAll'

/** What happens to a call: `before` it reached the store, or `after` the store did its work and before the answer came. */
export interface Fault {
  readonly moment: 'before' | 'after'
  readonly kind: 'throw' | 'hang'
  /** Only calls of this name; any call where missing. */
  readonly call?: StoreCall
}

/** Each way in which a call can fail. */
export const FAULTS: readonly Fault[] = [
  { moment: 'before', kind: 'throw' },
  { moment: 'before', kind: 'hang' },
  { moment: 'after', kind: 'throw' },
  { moment: 'after', kind: 'hang' }
]

/** A store with a script of faults, and a list of the calls that it saw. */
export interface FaultyStore extends SessionStore {
  /** The names of the calls so far, in order; empty it to count anew. */
  readonly calls: StoreCall[]
  /** The next calls that fit meet these faults, in order; null lets one call pass. */
  readonly faults: Array<Fault | null>
}

/** Wraps a store so that chosen calls throw or hang, before or after they took effect. */
export function faultyStore (store: SessionStore): FaultyStore {
  const calls: StoreCall[] = []
  const faults: Array<Fault | null> = []

  return {
    ...store,
    calls,
    faults,
    create: session => meet('create', () => store.create(session)),
    get: (id, claimed) => meet('get', () => store.get(id, claimed)),
    advance: (id, from, change, claimed) => meet('advance', () => store.advance(id, from, change, claimed)),
    revoke: (id, reason) => meet('revoke', () => store.revoke(id, reason)),
    revokeAll: (subject, reason, exceptId) => meet('revokeAll', () => store.revokeAll(subject, reason, exceptId))
  }

  async function meet<T> (call: StoreCall, work: () => Promise<T>): Promise<T> {
    calls.push(call)
    const at = faults.findIndex(fault => fault?.call === undefined || fault.call === call)
    const [fault] = at < 0 ? [] : faults.splice(at, 1)
    if (fault === undefined || fault === null) return await work()
    if (fault.moment === 'after') await work()
    if (fault.kind === 'hang') return await new Promise<never>(() => {})
    throw new Error(`${call}: the connection is gone`)
  }
}
