import { type AuthEvent } from '../core/events.js'
import { type KeyRing } from '../core/keys.js'
import { type StoreOwner } from '../core/session.js'

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
