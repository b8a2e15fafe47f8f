import { type FastifyBaseLogger } from 'fastify'
import { startDeadline, type Timeouts } from '../deadline.js'
import { type Source } from '../options/validators.js'
import { type Clock, type Seconds } from '../time.js'
import { createKeySource, type KeyEvent, type KeySource } from './reload.js'
import { createKeyRing, deriveKeyRing, type HmacAlgorithm, type KeyRing, type KeyRings, type Secret, type TokenKind } from './ring.js'
import { fetchJwks } from './remote-jwks.js'
import { hasPublicKeys, type PublicKeys } from './jwks.js'

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

/** Reads the keys at start. An unreachable `jwks` does not stop the start; every other failure does. */
export async function openKeys (settings: KeySettings, emit: (event: KeyEvent) => void, log: FastifyBaseLogger): Promise<OpenedKeys> {
  const logLeftOut = leftOutIn(log)
  const load = async (): Promise<KeyRings> => {
    try {
      return await startDeadline(settings.timeouts)(() => loadKeys(settings, logLeftOut))
    } catch (error) {
      throw (error as Error).cause // a deadline throws only its 503, which has the cause
    }
  }
  const first = await load().catch((err: unknown): KeyRings => {
    if (settings.jwks === undefined) throw err
    log.warn({ err }, 'auth: the key set cannot be read at start: requests with access tokens get 503 until it can')
    return { access: NO_KEYS, refresh: NO_KEYS }
  })
  const source = createKeySource({
    first,
    load,
    clock: settings.clock,
    period: settings.reloadKeysEvery,
    emit (event, err) {
      if (err !== undefined) log.warn({ err }, 'auth: reloading the keys failed: the old ones stay in use')
      emit(event)
    }
  })
  return { ...source, changing: changingKeys(settings) }
}

const NO_KEYS = createKeyRing([])

/** Logs the ignored keys of another service and the reasons, when they change. */
function leftOutIn (log: FastifyBaseLogger): (leftOut: readonly string[]) => void {
  let logged = ''
  return leftOut => {
    const now = leftOut.join('; ')
    if (now !== '' && now !== logged) log.info({ leftOut }, 'auth: keys of the key set cannot verify access tokens and are ignored')
    logged = now
  }
}

async function loadKeys ({ secret, keys, jwks, jwksRsaAlgorithm, accessToken, refreshToken, timeouts }: KeySettings, logLeftOut: (leftOut: readonly string[]) => void): Promise<KeyRings> {
  const secrets = await secret?.read()
  const refreshSecrets = await refreshToken?.secret?.read() ?? secrets
  const refresh = refreshSecrets === undefined ? NO_KEYS : deriveKeyRing(refreshSecrets, 'refresh', 'HS256')
  if (jwks !== undefined) {
    const { ring, leftOut } = await fetchJwks(jwks, { timeout: timeouts.call, rsaAlgorithm: jwksRsaAlgorithm ?? 'RS256' })
    logLeftOut(leftOut)
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

/** The keys of `GET /jwks`; undefined if they are and stay secrets. */
export function publicKeys ({ keys, reloadKeysEvery }: KeySettings, { rings }: OpenedKeys): PublicKeys | undefined {
  const ring = (): KeyRing => rings().access
  // Caches must expire before a new key signs.
  return keys?.changes || hasPublicKeys(ring()) ? { ring, maxAge: Math.min(reloadKeysEvery, 300) } : undefined
}
