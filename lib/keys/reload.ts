import { type FastifyBaseLogger } from 'fastify'
import { startDeadline, type Timeouts } from '../deadline.js'
import { type Source } from '../options/validators.js'
import { redacted } from '../redaction.js'
import { type Clock, type EpochSeconds, type Seconds } from '../time.js'
import { logWarning } from '../warnings.js'
import { fetchJwks } from './remote-jwks.js'
import { changeKeyRing, createKeyRing, deriveKeyRing, isSameRing, keyPairsOf, type HmacAlgorithm, type KeyRing, type KeyRings, type Secret, type TokenKind } from './ring.js'

export interface KeySettings {
  readonly secret?: Source<readonly Secret[]> | undefined
  readonly keys?: Source<KeyRing> | undefined
  readonly jwks?: string | undefined
  readonly jwksRsaAlgorithm?: 'RS256' | 'PS256' | undefined
  readonly reloadKeysEvery: Seconds
  /** For keys that are derived from a secret. */
  readonly accessToken?: { readonly algorithm: HmacAlgorithm } | undefined
  readonly refreshToken?: { readonly secret?: Source<readonly Secret[]> | undefined } | undefined
  readonly timeouts: Timeouts
  readonly clock: Clock
}

export interface OpenedKeys extends KeySource {
  /** The kinds of token whose keys can change while the app runs. */
  readonly changing: ReadonlySet<TokenKind>
}

/** Reads the keys at start. A failure stops the start, but for those of `jwks`. */
export async function openKeys (settings: KeySettings, emit: (event: KeyEvent) => void, log: FastifyBaseLogger): Promise<OpenedKeys> {
  const logIgnored = ignoredKeysLog(log)
  const load = async (): Promise<KeyRings> => {
    try {
      return await startDeadline(settings.timeouts)(() => loadKeys(settings, logIgnored))
    } catch (error) {
      throw withoutQuotes((error as Error).cause) // a deadline throws only its 503, which has the cause
    }
  }
  const first = await load().catch((err: unknown): KeyRings => {
    if (settings.jwks === undefined) throw err
    logWarning(log, { code: 'FST_AUTH_WARN_KEYS_UNREAD', err })
    return { access: NO_KEYS, refresh: NO_KEYS }
  })
  const source = createKeySource({
    first,
    load,
    clock: settings.clock,
    period: settings.reloadKeysEvery,
    emit (event, err) {
      if (err !== undefined) log.warn({ err }, source.rings.access.byKid.size > 0 ? 'auth: reloading the keys failed: the old ones stay in use' : 'auth: reading the keys failed again: there are none yet')
      emit(event)
    }
  })
  return Object.assign(source, { changing: changingKeys(settings) }) // not a copy: `rings` is replaced
}

/** An error of the app's function for the log. A parser, such as JSON.parse, quotes the text in its message: here a secret. */
function withoutQuotes (error: unknown): unknown {
  return isOfParser(error) ? new Error('the keys could not be parsed: the message of the error is left out, since it may quote a secret') : redacted(error)
}

/** True also for the parsers of packages, such as YAMLParseError and YAMLException, and for an error that they caused. */
function isOfParser (error: unknown, depth = 5): boolean {
  return error instanceof Error && depth > 0 && (error instanceof SyntaxError || /Pars|YAML|TOML/.test(error.name) || isOfParser(error.cause, depth - 1))
}

const NO_KEYS = createKeyRing([])

/** Logs the ignored keys of a remote key set, with the reasons, each time they change. */
function ignoredKeysLog (log: FastifyBaseLogger): (ignored: readonly string[]) => void {
  let logged = ''
  return ignored => {
    const now = ignored.join('; ')
    if (now !== '' && now !== logged) log.info({ ignored }, 'auth: keys of the key set cannot verify access tokens and are ignored')
    logged = now
  }
}

async function loadKeys ({ secret, keys, jwks, jwksRsaAlgorithm, accessToken, refreshToken, timeouts }: KeySettings, logIgnored: (ignored: readonly string[]) => void): Promise<KeyRings> {
  const secrets = await secret?.read()
  const refreshSecrets = await refreshToken?.secret?.read() ?? secrets
  const refresh = refreshSecrets === undefined ? NO_KEYS : deriveKeyRing(refreshSecrets, 'refresh', 'HS256')
  if (jwks !== undefined) {
    const { ring, ignored } = await fetchJwks(jwks, { timeout: timeouts.call, rsaAlgorithm: jwksRsaAlgorithm ?? 'RS256' })
    logIgnored(ignored)
    return { access: ring, refresh }
  }
  if (keys !== undefined) return { access: await keys.read(), refresh }
  const { algorithm } = accessToken as NonNullable<KeySettings['accessToken']> // a verifier has keys or jwks
  return { access: deriveKeyRing(secrets as readonly Secret[], 'access', algorithm), refresh } // the options require one of the three
}

function changingKeys ({ secret, keys, jwks, refreshToken }: KeySettings): ReadonlySet<TokenKind> {
  const sources = { access: keys ?? secret, refresh: refreshToken?.secret ?? secret }
  return new Set((['access', 'refresh'] as const).filter(kind => sources[kind]?.changes || (kind === 'access' && jwks !== undefined)))
}

/** The keys changed, or their reload failed. */
export type KeyEvent =
  /** One kind of token has new keys: the kid that signs, if any, and all that verify. */
  | { readonly type: 'keys_changed', readonly kind: TokenKind, readonly signing: string | null, readonly kids: readonly string[] }
  /** The old keys stay in use. */
  | { readonly type: 'keys_reload_failed' }

interface KeySourceOptions {
  /** The rings that the service starts with. */
  readonly first: KeyRings
  /** Reads the rings. After an error the old ones stay in use. */
  load (): Promise<KeyRings>
  readonly clock: Clock
  /** The reload interval of each instance, and so the time until a change has reached all of them. */
  readonly period: Seconds
  /** Must not throw. */
  emit (event: KeyEvent, cause?: unknown): void
}

/** The current keys of a service. */
export interface KeySource {
  readonly rings: KeyRings
  /** False if the last reload failed, so that the old keys are in use. */
  isCurrent (): boolean
  /** Reads the keys again. Rejects on failure; the old keys then stay in use. */
  reload (): Promise<void>
  /**
   * Reloads for a token with an unknown kid: another instance may have loaded the key earlier. Undefined without a kid, and for a
   * known one. For a refresh token it waits for a reload that begins after this call, and rejects if that fails: only then it is
   * certain that the key does not exist. For an access token it is undefined in the seconds after another seek, since the client of
   * a refused one refreshes.
   */
  seek (kind: TokenKind, kid: string | undefined): Promise<void> | undefined
}

// An attacker can send any number of unknown kids, so reloads for them are rate limited.
const ACCESS_SEEK_INTERVAL: Seconds = 10
const REFRESH_SEEK_PAUSE_MS = 1000

const KINDS: readonly TokenKind[] = ['access', 'refresh']

/** The time of the first load of each key, by kid. */
type LoadedAt = ReadonlyMap<string, EpochSeconds>

export function createKeySource ({ first, load, clock, period, emit }: KeySourceOptions): KeySource {
  // Keys at start may sign at once.
  let loadedAt: Record<TokenKind, LoadedAt> = { access: loadTimes(first.access, -Infinity), refresh: loadTimes(first.refresh, -Infinity) }
  let running: Promise<void> | undefined
  let nextReload: Promise<void> | undefined // has not begun
  let pause: Promise<void> | undefined
  let lastSeekAt = -Infinity
  let isCurrent = true

  const source = { rings: first, isCurrent: () => isCurrent, reload, seek }
  return source

  /** A reload that begins after this call: one in progress may have read the keys before a change. */
  function reload (): Promise<void> {
    return running === undefined ? start() : running.catch(() => {}).then(() => running ?? start())
  }

  function start (): Promise<void> {
    return (running = loadAndApply().finally(() => { running = undefined }))
  }

  function seek (kind: TokenKind, kid: string | undefined): Promise<void> | undefined {
    if (kid === undefined || source.rings[kind].byKid.has(kid)) return undefined
    if (kind === 'refresh') return (nextReload ??= handled(reloadAfterPause()))
    if (running !== undefined) return running
    const now = clock()
    if (Math.abs(now - lastSeekAt) < ACCESS_SEEK_INTERVAL) return undefined
    lastSeekAt = now
    return reload()
  }

  async function reloadAfterPause (): Promise<void> {
    await pause
    await running?.catch(() => {}) // tokens that arrive until then share the next reload
    nextReload = undefined
    pause = new Promise(resolve => { setTimeout(resolve, REFRESH_SEEK_PAUSE_MS).unref() })
    await reload()
  }

  async function loadAndApply (): Promise<void> {
    try {
      apply(await load())
      isCurrent = true
    } catch (error) {
      isCurrent = false
      emit({ type: 'keys_reload_failed' }, error)
      throw error
    }
  }

  function apply (next: KeyRings): void {
    const now = clock()
    const known = { access: loadTimes(next.access, now, loadedAt.access), refresh: loadTimes(next.refresh, now, loadedAt.refresh) }
    const change = (kind: TokenKind): KeyRing => changeOrKeep(source.rings[kind], next[kind], kid => now - Number(known[kind].get(kid)) >= propagationOf(next[kind], period))
    const before = source.rings
    source.rings = { access: change('access'), refresh: change('refresh') }
    loadedAt = known
    for (const kind of KINDS) if (source.rings[kind] !== before[kind]) emit(changeEvent(kind, source.rings[kind]))
  }
}

/** The public keys that `GET /jwks` publishes. */
export interface PublicKeys {
  ring (): KeyRing
  /** The time for which verifiers may cache them. */
  readonly maxAge: Seconds
}

/** The keys of `GET /jwks`; undefined if they are and stay secrets. */
export function publicKeys ({ keys, reloadKeysEvery }: KeySettings, source: KeySource): PublicKeys | undefined {
  const ring = (): KeyRing => source.rings.access
  return keys?.changes || keyPairsOf(ring()).length > 0 ? { ring, maxAge: jwksMaxAge(reloadKeysEvery) } : undefined
}

function jwksMaxAge (reloadKeysEvery: Seconds): Seconds {
  return Math.min(reloadKeysEvery, 300)
}

/** The time until all instances have reloaded the keys, and until no cache has the public keys from before. */
function propagationOf (ring: KeyRing, period: Seconds): Seconds {
  const isPublished = keyPairsOf(ring).length > 0
  return period - 1 + (isPublished ? jwksMaxAge(period) : 0) // clocks may have whole seconds, and timers fire slightly early
}

/** Returns the same promise. Its rejection does not end the process if no request awaits it any more, as after a deadline. */
function handled (reload: Promise<void>): Promise<void> {
  reload.catch(() => {})
  return reload
}

/** As `changeKeyRing`, but the same object for the same keys, so that prepared keys and the verification cache stay valid. */
function changeOrKeep (current: KeyRing, next: KeyRing, isPropagated: (kid: string) => boolean): KeyRing {
  const changed = changeKeyRing(current, next, isPropagated)
  return isSameRing(current, changed) ? current : changed
}

function changeEvent (kind: TokenKind, { signing, byKid }: KeyRing): KeyEvent {
  return { type: 'keys_changed', kind, signing: signing?.kid ?? null, kids: [...byKid.keys()] }
}

function loadTimes ({ byKid }: KeyRing, now: EpochSeconds, known: LoadedAt = new Map()): LoadedAt {
  return new Map(Array.from(byKid.keys(), kid => [kid, known.get(kid) ?? now]))
}
