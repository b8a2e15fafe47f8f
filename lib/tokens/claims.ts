import { AuthError } from '../errors.js'
import { type EpochSeconds, type Seconds } from '../time.js'
import { isSubject } from './subject.js'

/**
 * The types of the app's own claims, which the app fills in:
 * `declare module 'fastify-refresh-cookie' { interface CustomClaims { role: string } }`.
 */
export interface CustomClaims {}

/** What the app itself puts into an access token. */
export type AppClaims = Readonly<Record<string, unknown> & Partial<CustomClaims>>

/**
 * The claims of an access token (RFC 7519): ours, and beside them the app's own. Of the claims that RFC 9068 requires `iss`
 * and `aud` are there only where they are configured, and `client_id` never.
 */
export interface AccessClaims extends Readonly<Record<string, unknown>>, Readonly<CustomClaims> {
  readonly iss?: string
  readonly sub: string
  readonly aud?: string | readonly string[]
  readonly iat: EpochSeconds
  readonly exp: EpochSeconds
  readonly jti: string
  /** The session that the token belongs to. */
  readonly sid: string
  /** When the person last proved who they are. */
  readonly auth_time: EpochSeconds
}

/** The claims of a refresh token: a session as it was at one generation, and nothing else. */
export interface RefreshClaims {
  readonly sub: string
  readonly sid: string
  /** The generation: an integer from 0 to 2^31 - 2. */
  readonly gen: number
  readonly auth_time: EpochSeconds
  /** When the generation was issued. */
  readonly iat: EpochSeconds
  readonly exp: EpochSeconds
  /** The session's absolute end. */
  readonly end: EpochSeconds
  /** False where the person asked not to be remembered: the cookie then ends with the browser. */
  readonly remember?: false
  /** In the first token of a login only: the session that it took the place of, which the first refresh, or a logout, ends if it still lives. */
  readonly replaces?: string
}

/** A session and whose it is, as a token says. */
export type SessionRef = Pick<RefreshClaims, 'sub' | 'sid'>

/** How access tokens are made and judged. */
export interface AccessPolicy {
  readonly expiresIn: Seconds
  readonly issuer?: string | undefined
  readonly audience?: string | readonly string[] | undefined
  /** For `iat` and `nbf` in the future only; `exp` is exact. */
  readonly leeway: Seconds
}

/** The longest token text that is looked at, in characters. */
export const MAX_TOKEN_LENGTH = 8192

/** The most that an app's own claims may take, in bytes of JSON: the token must stay one that `MAX_TOKEN_LENGTH` lets in. */
export const MAX_APP_CLAIMS = 4096

const MAX_GENERATION = 2 ** 31 - 2

// An access token that claims to last longer than an hour and than ours do was not made by this configuration.
const MAX_ACCESS_LIFETIME: Seconds = 3600

/** An app's claims as JSON carries them. Throws where it cannot, or a token could not, so that this shows before anything is written. */
export function toAppClaims (value: unknown): AppClaims {
  const json = isRecord(value) ? JSON.stringify(value) : 'null'
  const claims: unknown = JSON.parse(json)
  if (!isRecord(claims)) throw new TypeError('the app\'s claims, of accessToken.claims or request.auth.login(), must be an object that JSON can carry')
  const bytes = Buffer.byteLength(json)
  if (bytes > MAX_APP_CLAIMS) throw new TypeError(`claims may have ${MAX_APP_CLAIMS} bytes of JSON and have ${bytes}: put less into an access token`)
  return claims
}

/**
 * Judges the payload of an access token whose signature is good; undefined where it is not.
 * Throws FST_AUTH_ACCESS_TOKEN_EXPIRED or FST_AUTH_ACCESS_TOKEN_INVALID.
 */
export function judgeAccessClaims (payload: unknown, policy: AccessPolicy, now: EpochSeconds): AccessClaims {
  if (payload === undefined) throw invalid('its signature, key, "typ" or spelling is none of ours')
  if (!isAccessClaims(payload)) throw invalid('it lacks one of sub, sid, jti, iat, exp, auth_time')
  const mismatch = mismatchOf(payload, policy, now)
  if (mismatch !== null) throw invalid(mismatch)
  if (now >= payload.exp) throw new AuthError('FST_AUTH_ACCESS_TOKEN_EXPIRED')
  return payload
}

/** The payload as refresh claims if it has their shape, else null. Whether it expired is for the caller to ask. */
export function readRefreshClaims (payload: unknown): RefreshClaims | null {
  return isRefreshClaims(payload) ? payload : null
}

function isAccessClaims (payload: unknown): payload is AccessClaims {
  return isRecord(payload) && isSubject(payload['sub']) && isId(payload['sid']) && isId(payload['jti']) &&
    isTime(payload['iat']) && isTime(payload['exp']) && isTime(payload['auth_time'])
}

function isRefreshClaims (payload: unknown): payload is RefreshClaims {
  return isRecord(payload) && isSubject(payload['sub']) && isId(payload['sid']) && isGeneration(payload['gen']) &&
    isTime(payload['iat']) && isTime(payload['exp']) && isTime(payload['auth_time']) && isTime(payload['end']) &&
    (payload['remember'] === undefined || payload['remember'] === false) &&
    (payload['replaces'] === undefined || isId(payload['replaces']))
}

/** A token that names whom it is for is refused by everybody else (RFC 7519 section 4.1.3), also by who has no name (RFC 8725 section 3.9). */
function isMeantForUs (claims: AccessClaims, policy: AccessPolicy): boolean {
  if (policy.issuer !== undefined && claims.iss !== policy.issuer) return false
  if (policy.audience === undefined) return claims.aud === undefined
  const ours = [policy.audience].flat()
  const theirs: readonly unknown[] = [claims.aud].flat()
  return ours.some(audience => theirs.includes(audience))
}

/** Why a token of the right shape is not for us or not for now, in a sentence for the log; null where it is. */
function mismatchOf (claims: AccessClaims, policy: AccessPolicy, now: EpochSeconds): string | null {
  if (!isMeantForUs(claims, policy)) return 'its "iss" or "aud" is not that of the options "issuer" and "audience"'
  const lifetime = claims.exp - claims.iat
  if (lifetime <= 0 || lifetime > Math.max(policy.expiresIn, MAX_ACCESS_LIFETIME)) return 'it lives longer than an hour and than the option "accessToken.expiresIn"'
  const { nbf = claims.iat } = claims // a null is there, and no time
  if (!isTime(nbf) || Math.max(nbf, claims.iat) > now + policy.leeway) return 'its "iat" or "nbf" is in the future: compare the clocks of both servers'
  return null
}

function invalid (reason: string): AuthError {
  return new AuthError('FST_AUTH_ACCESS_TOKEN_INVALID', { reason })
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTime (value: unknown): value is EpochSeconds {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function isGeneration (value: unknown): value is number {
  return isTime(value) && value <= MAX_GENERATION
}

function isId (value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 64
}
