import { changeKeyRing, isSameRing, type KeyRing, type KeyRings, type TokenKind } from './ring.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** Keys changed, or could not be read again. */
export type KeyEvent =
  /** The keys of one kind of token, by their names: which signs, if any, and which verify. */
  | { readonly type: 'keys_changed', readonly kind: TokenKind, readonly signing: string | null, readonly kids: readonly string[] }
  /** The keys could not be read again, so the old ones stay in use. */
  | { readonly type: 'keys_reload_failed' }

/** What a key source is made of. */
export interface KeySourceOptions {
  /** The rings that the service starts with. */
  readonly first: KeyRings
  /** Reads the rings anew; what it throws leaves the old ones in use. */
  load (): Promise<KeyRings>
  readonly clock: Clock
  /** How long the instances may take until all of them have read a change: how often each of them reloads. */
  readonly period: Seconds
  /** Told of changes and of failures; must not throw. */
  emit (event: KeyEvent, cause?: unknown): void
}

/** The keys of a service, while they change. */
export interface KeySource {
  /** The rings in use. */
  rings (): KeyRings
  /** Reads the keys again. Rejects where that fails; the old keys then stay in use. */
  reload (): Promise<void>
  /**
   * Reads the keys again for the sake of a token that names a key which is not here: another instance may have read it
   * before. Rejects where that fails, or has just failed. Undefined where the token names none, where the key is here,
   * or where the keys have just been read for another unknown one.
   */
  seek (kind: TokenKind, kid: string | undefined): Promise<void> | undefined
}

// Anybody can name unknown keys, so only one in this time is worth a look.
const SEEK_INTERVAL: Seconds = 10

const KINDS: readonly TokenKind[] = ['access', 'refresh']

/** When each key was first read. */
type Since = ReadonlyMap<string, EpochSeconds>

/** Builds the source over the rings that the service starts with. */
export function createKeySource ({ first, load, clock, period, emit }: KeySourceOptions): KeySource {
  let rings = first
  // What signs at the start was known before.
  let since: Record<TokenKind, Since> = { access: sinceOf(first.access, -Infinity), refresh: sinceOf(first.refresh, -Infinity) }
  let running: Promise<void> | undefined
  let soughtAt = -Infinity
  /** The last time that keys were sought, if it failed. */
  let failed: Promise<void> | undefined

  return { rings: () => rings, reload, seek }

  function reload (): Promise<void> {
    running ??= renew().finally(() => { running = undefined })
    return running
  }

  function seek (kind: TokenKind, kid: string | undefined): Promise<void> | undefined {
    if (kid === undefined || rings[kind].byKid.has(kid)) return undefined
    if (running === undefined) {
      const now = clock()
      if (Math.abs(now - soughtAt) < SEEK_INTERVAL) return failed
      soughtAt = now
    }
    const sought = reload()
    failed = undefined
    sought.catch(() => { failed = sought })
    return sought
  }

  async function renew (): Promise<void> {
    try {
      follow(await load())
      failed = undefined
    } catch (error) {
      emit({ type: 'keys_reload_failed' }, error)
      throw error
    }
  }

  function follow (next: KeyRings): void {
    const now = clock()
    const ripe = period - 1 // clocks may tell whole seconds, and a timer come a moment early
    const known = { access: sinceOf(next.access, now, since.access), refresh: sinceOf(next.refresh, now, since.refresh) }
    const change = (kind: TokenKind): KeyRing => {
      const changed = changeKeyRing(rings[kind], next[kind], kid => now - Number(known[kind].get(kid)) >= ripe)
      // The same object for the same keys: what was prepared and verified with it stays so.
      return isSameRing(rings[kind], changed) ? rings[kind] : changed
    }

    const before = rings
    rings = { access: change('access'), refresh: change('refresh') }
    since = known
    for (const kind of KINDS) {
      const { signing, byKid } = rings[kind]
      if (rings[kind] !== before[kind]) emit({ type: 'keys_changed', kind, signing: signing?.kid ?? null, kids: [...byKid.keys()] })
    }
  }
}

function sinceOf ({ byKid }: KeyRing, now: EpochSeconds, known: Since = new Map()): Since {
  return new Map(Array.from(byKid.keys(), kid => [kid, known.get(kid) ?? now]))
}
