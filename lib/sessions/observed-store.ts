import { isObserved, observe } from '../diagnostics.js'
import { type SessionStore } from './store.js'

/** The methods of a store that requests call. */
type ObservedStore = Pick<SessionStore, 'create' | 'get' | 'advance' | 'revoke' | 'revokeAll' | 'list' | 'purgeExpired'>

/** A store whose calls are published to subscribers of our diagnostics channels; without subscribers it only passes them on. */
export function observedStore (store: SessionStore): ObservedStore {
  const list = store.list?.bind(store)
  const purgeExpired = store.purgeExpired?.bind(store)
  return {
    create: observed('create', session => store.create(session)),
    get: observed('get', (id, claimed) => store.get(id, claimed)),
    advance: observed('advance', (id, from, change, claimed) => store.advance(id, from, change, claimed)),
    revoke: observed('revoke', (id, reason) => store.revoke(id, reason)),
    revokeAll: observed('revokeAll', (subject, reason, exceptId) => store.revokeAll(subject, reason, exceptId)),
    ...(list !== undefined && { list: observed('list', list) }),
    ...(purgeExpired !== undefined && { purgeExpired: observed('purgeExpired', purgeExpired) })
  }
}

function observed<Args extends unknown[], Answer> (name: keyof ObservedStore, call: (...args: Args) => Answer): (...args: Args) => Answer {
  return (...args) => isObserved() ? observe('store', name, () => call(...args)) : call(...args)
}
