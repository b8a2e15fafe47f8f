import { type StoreOwner } from '../sessions/store.js'

/** Reads and writes the record of a store's owner. The strings are for the error message. */
export interface Marker {
  /** The recorded owner as JSON; null if there is none yet. */
  read (): Promise<string | null>
  /** Compare-and-set: writes `next` if the record is still `found`. Resolves to false if not. */
  replace (found: string | null, next: string): Promise<boolean>
  /** Such as 'postgresStore: the table "auth_sessions"'. */
  readonly place: string
  /** The option that sets the place. */
  readonly option: string
  /** The command that deletes the record. */
  readonly removal: string
}

/** Records which app owns a store: two apps that share one would list and revoke each other's sessions. */
export interface Ownership {
  /** Records that the store belongs to this app. Rejects with a TypeError if it belongs to another. */
  readonly claim: (owner: StoreOwner) => Promise<void>
  /** Retries the claims that have failed so far; undefined if there are none. Rejects as `claim` does. */
  readonly resolveClaims: () => Promise<void> | undefined
}

const MAX_ATTEMPTS = 5

/** Before the first claim no call is refused: scripts use a store without an app. */
export function ownership (marker: Marker): Ownership {
  const unresolved = new Set<StoreOwner>()
  let resolving: Promise<void> | undefined

  return {
    async claim (owner) {
      unresolved.add(owner)
      await resolve(owner)
    },

    resolveClaims () {
      if (unresolved.size === 0) return undefined
      resolving ??= resolveAll().finally(() => { resolving = undefined })
      return resolving
    }
  }

  async function resolveAll (): Promise<void> {
    for (const owner of unresolved) await resolve(owner)
  }

  async function resolve (owner: StoreOwner, attempts = MAX_ATTEMPTS): Promise<void> {
    const found = await marker.read()
    const next = found === null ? owner : nextOwner(parseOwner(found), owner)
    if (next === null) throw belongsToAnother(marker)
    const text = JSON.stringify({ name: next.name, keyIds: next.keyIds })
    if (text === found || await marker.replace(found, text)) resolved(owner)
    else if (attempts > 1) await resolve(owner, attempts - 1) // another instance wrote first
    else throw new Error('other instances recorded the owner of the store first, at each attempt')
  }

  /** An earlier claim of the same app has older keys: a retry would write them over these. */
  function resolved (owner: StoreOwner): void {
    for (const earlier of unresolved) {
      if (earlier === owner) break
      if (nextOwner(earlier, owner) !== null) unresolved.delete(earlier)
    }
    unresolved.delete(owner)
  }
}

/** The record to write, or null for another app's store: the names differ, or one is missing and no key is shared. */
function nextOwner (recorded: StoreOwner, owner: StoreOwner): StoreOwner | null {
  const isSame = recorded.name !== undefined && owner.name !== undefined
    ? recorded.name === owner.name
    : recorded.keyIds.some(keyId => owner.keyIds.includes(keyId))
  return isSame ? { name: owner.name ?? recorded.name, keyIds: owner.keyIds } : null
}

function parseOwner (recorded: string): StoreOwner {
  return JSON.parse(recorded) as StoreOwner // written by resolve
}

function belongsToAnother ({ place, option, removal }: Marker): TypeError {
  return new TypeError(`${place} belongs to another app: apps that share it would list and revoke each other's sessions. If another app uses it, set ${option} to something else. If only the name or the secrets of this app have changed, set an "appName" that stays the same, and run once: ${removal}`)
}
