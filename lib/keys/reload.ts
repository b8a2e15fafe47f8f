import { changeKeyRing, isSameRing, type KeyRing, type KeyRings, type TokenKind } from './ring.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** The keys changed, or their reload failed. */
export type KeyEvent =
  /** One kind of token has new keys: the kid that signs, if any, and all that verify. */
  | { readonly type: 'keys_changed', readonly kind: TokenKind, readonly signing: string | null, readonly kids: readonly string[] }
  /** The old keys stay in use. */
  | { readonly type: 'keys_reload_failed' }

export interface KeySourceOptions {
  /** The rings that the service starts with. */
  readonly first: KeyRings
  /** Reads the rings. After an error the old ones stay in use. */
  load (): Promise<KeyRings>
  readonly clock: Clock
  /** How often each instance reloads, and so how long a change takes to reach all of them. */
  readonly period: Seconds
  /** Must not throw. */
  emit (event: KeyEvent, cause?: unknown): void
}

/** The current keys of a service. */
export interface KeySource {
  rings (): KeyRings
  /** Reads the keys again. Rejects on failure; the old keys then stay in use. */
  reload (): Promise<void>
  /**
   * Reloads for a token with an unknown kid: another instance may have loaded the key earlier. Rejects if the reload
   * fails, or has just failed. Undefined without a kid, for a known one, or shortly after a reload for another unknown kid.
   */
  seek (kind: TokenKind, kid: string | undefined): Promise<void> | undefined
}

// An attacker can send any number of unknown kids, so reloads for them are rate limited.
const SEEK_INTERVAL: Seconds = 10

const KINDS: readonly TokenKind[] = ['access', 'refresh']

/** When each key was first loaded, by kid. */
type Since = ReadonlyMap<string, EpochSeconds>

export function createKeySource ({ first, load, clock, period, emit }: KeySourceOptions): KeySource {
  let rings = first
  // Keys at start may sign at once.
  let since: Record<TokenKind, Since> = { access: sinceOf(first.access, -Infinity), refresh: sinceOf(first.refresh, -Infinity) }
  let running: Promise<void> | undefined
  let soughtAt = -Infinity
  /** The last reload for an unknown kid, if it failed. */
  let failed: Promise<void> | undefined

  return { rings: () => rings, reload, seek }

  function reload (): Promise<void> {
    running ??= loadAndApply().finally(() => { running = undefined })
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

  async function loadAndApply (): Promise<void> {
    try {
      apply(await load())
      failed = undefined
    } catch (error) {
      emit({ type: 'keys_reload_failed' }, error)
      throw error
    }
  }

  function apply (next: KeyRings): void {
    const now = clock()
    const propagation = period - 1 // clocks may have whole seconds, and timers fire slightly early
    const known = { access: sinceOf(next.access, now, since.access), refresh: sinceOf(next.refresh, now, since.refresh) }
    const change = (kind: TokenKind): KeyRing => {
      const changed = changeKeyRing(rings[kind], next[kind], kid => now - Number(known[kind].get(kid)) >= propagation)
      // The same object for the same keys, so that prepared keys and the verification cache stay valid.
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
