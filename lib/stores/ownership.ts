import { type StoreOwner } from '../sessions/session.js'

/** Where a store notes whose it is, and how its errors say what to do. */
export interface Marker {
  /** What is noted; null where nothing is yet. */
  read (): Promise<string | null>
  /** Notes it if what is there is still `found`; false where it is not. */
  replace (found: string | null, next: string): Promise<boolean>
  /** Such as 'postgresStore: the table "auth_sessions"'. */
  readonly place: string
  /** The option that names another place. */
  readonly option: string
  /** The command that deletes the note. */
  readonly removal: string
}

/** Whose a store is: two apps whose sessions meet in one place would list and end each other's. */
export interface Ownership {
  /** Notes that the store is this app's. Rejects with a TypeError where it is another one's. */
  readonly claim: (owner: StoreOwner) => Promise<void>
  /** Resolves once every claim was decided, which it tries again; undefined where all are. Rejects as `claim` does. */
  readonly settle: () => Promise<void> | undefined
}

const MAX_ATTEMPTS = 5

/** Builds it over a marker. Nothing is known of the owner before the first claim, and so nothing is refused. */
export function ownership (marker: Marker): Ownership {
  const open = new Set<StoreOwner>()
  let settling: Promise<void> | undefined

  return {
    async claim (owner) {
      open.add(owner)
      await decide(owner)
    },

    settle () {
      if (open.size === 0) return undefined
      settling ??= decideAll().finally(() => { settling = undefined })
      return settling
    }
  }

  async function decideAll (): Promise<void> {
    for (const owner of open) await decide(owner)
  }

  async function decide (owner: StoreOwner, attempts = MAX_ATTEMPTS): Promise<void> {
    const found = await marker.read()
    const next = found === null ? owner : nextOwner(parse(found), owner)
    if (next === null) throw belongsToAnother(marker)
    const text = JSON.stringify({ name: next.name, keyIds: next.keyIds })
    if (text === found || await marker.replace(found, text)) open.delete(owner)
    else if (attempts > 1) await decide(owner, attempts - 1) // another instance was first
    else throw new Error('other instances noted whose the store is each time before this one')
  }
}

/** What to note, or null where the store is another app's: two names that differ, or no name and no key in common. */
function nextOwner (noted: StoreOwner, owner: StoreOwner): StoreOwner | null {
  const isSame = noted.name !== undefined && owner.name !== undefined
    ? noted.name === owner.name
    : noted.keyIds.some(keyId => owner.keyIds.includes(keyId))
  return isSame ? { name: owner.name ?? noted.name, keyIds: owner.keyIds } : null
}

function parse (noted: string): StoreOwner {
  return JSON.parse(noted) as StoreOwner // what decide wrote: nothing else has that place
}

function belongsToAnother ({ place, option, removal }: Marker): TypeError {
  return new TypeError(`${place} holds the sessions of another app, or of this one under another "appName" or with wholly other secrets: apps would list and end each other's sessions. For another app, set ${option} to something else. For the same app, give it an "appName" that stays, and run once: ${removal}`)
}
