import { isObserved, observe } from '../diagnostics.js'
import { type SessionStore } from './store.js'

/** The methods of a store that requests call. */
export type ObservedStore = Pick<SessionStore, 'create' | 'get' | 'advance' | 'revoke' | 'revokeAll' | 'list' | 'purgeExpired'>

/** A store whose calls are published to subscribers of our diagnostics channels; without subscribers it only passes them on. */
export function observedStore (store: SessionStore): ObservedStore {
  const list = store.list?.bind(store)
  const purgeExpired = store.purgeExpired?.bind(store)
  return {
    create: session => isObserved() ? observe('store', 'create', () => store.create(session)) : store.create(session),
    get: (id, claimed) => isObserved() ? observe('store', 'get', () => store.get(id, claimed)) : store.get(id, claimed),
    advance: (id, from, change, claimed) => isObserved() ? observe('store', 'advance', () => store.advance(id, from, change, claimed)) : store.advance(id, from, change, claimed),
    revoke: (id, reason) => isObserved() ? observe('store', 'revoke', () => store.revoke(id, reason)) : store.revoke(id, reason),
    revokeAll: (subject, reason, exceptId) => isObserved() ? observe('store', 'revokeAll', () => store.revokeAll(subject, reason, exceptId)) : store.revokeAll(subject, reason, exceptId),
    ...(list !== undefined && { list: (subject, part) => isObserved() ? observe('store', 'list', () => list(subject, part)) : list(subject, part) }),
    ...(purgeExpired !== undefined && { purgeExpired: before => isObserved() ? observe('store', 'purgeExpired', () => purgeExpired(before)) : purgeExpired(before) })
  }
}
