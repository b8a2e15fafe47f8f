import { type SessionStore } from '../../lib/sessions/store.js'

/** The calls of a store that can fail. */
export type StoreCall = 'create' | 'get' | 'advance' | 'revoke' | 'revokeAll'

/** The time of the fault: `before` the call reached the store, or `after` the store did its work, before the reply. */
export interface Fault {
  readonly moment: 'before' | 'after'
  readonly kind: 'throw' | 'hang'
  /** Only calls of this name; any call by default. */
  readonly call?: StoreCall
}

/** Each kind of fault. */
export const FAULTS: readonly Fault[] = [
  { moment: 'before', kind: 'throw' },
  { moment: 'before', kind: 'hang' },
  { moment: 'after', kind: 'throw' },
  { moment: 'after', kind: 'hang' }
]

/** A store with a script of faults, and a list of its calls. */
export interface FaultyStore extends SessionStore {
  /** The names of the calls so far, in order; a test may empty it. */
  readonly calls: StoreCall[]
  /** The next matching calls meet these faults, in order; null lets one call pass. */
  readonly faults: Array<Fault | null>
}

/** Wraps a store so that chosen calls throw or hang, before or after they take effect. */
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
