import { AuthError } from '../errors.js'
import { type EpochSeconds, type Seconds } from '../time.js'
import { isSubject } from './subject.js'

/**
 * The types of the app's own claims. The app declares them:
 * `declare module 'fastify-refresh-cookie' { interface CustomClaims { role: string } }`.
 */
export interface CustomClaims {}

/** The app's own claims in an access token. */
export type AppClaims = Readonly<Record<string, unknown> & Partial<CustomClaims>>

/**
 * The claims of an access token (RFC 7519), with the app's own beside them. Of the claims that RFC 9068 requires, `iss` and
 * `aud` are present only if they are configured, and `client_id` never is.
 */
export interface AccessClaims extends Readonly<Record<string, unknown>>, Readonly<CustomClaims> {
  readonly iss?: string
  readonly sub: string
  readonly aud?: string | readonly string[]
  readonly iat: EpochSeconds
  readonly nbf?: EpochSeconds
  readonly exp: EpochSeconds
  readonly jti: string
  /** The session that the token belongs to. */
  readonly sid: string
  /** The time of the last login or reauthentication. */
  readonly auth_time: EpochSeconds
}

/** The claims of a refresh token: a session at one generation. */
export interface RefreshClaims {
  readonly sub: string
  readonly sid: string
  /** The generation: an integer from 0 to 2^31 - 2. */
  readonly gen: number
  readonly auth_time: EpochSeconds
  /** The time at which this generation was issued. */
  readonly iat: EpochSeconds
  readonly exp: EpochSeconds
  /** The absolute end of the session. */
  readonly end: EpochSeconds
  /** False for a login with `remember: false`: the cookie then ends with the browser. */
  readonly remember?: false
  /**
   * In the first token of a login only: the session that it replaces. The first refresh (where tokens are rotated) or a logout ends
   * that session if it is still live.
   */
  readonly replaces?: string
}

/** The subject and the session that a token states. */
export type SessionRef = Pick<RefreshClaims, 'sub' | 'sid'>

/** The rules by which access tokens are issued and validated. */
export interface AccessPolicy {
  readonly expiresIn: Seconds
  readonly issuer?: string | undefined
  readonly audience?: string | readonly string[] | undefined
  /** For `iat` and `nbf` in the future only; `exp` is exact. */
  readonly leeway: Seconds
}

/** The longest token that is parsed, in characters. */
export const MAX_TOKEN_LENGTH = 8192

/** The maximum sizes of the app's own claims, and of `issuer` and `audience` together, in bytes of JSON: a token with both stays below `MAX_TOKEN_LENGTH`. */
export const MAX_APP_CLAIMS = 4096
export const MAX_ISSUER_AND_AUDIENCE = 900

const MAX_GENERATION = 2 ** 31 - 2

/**
 * The longest lifetime of an access token that is accepted: another process or registration may have a longer `expiresIn`. A
 * token that lives longer was not issued for this app.
 */
export function maxAccessLifetime (expiresIn: Seconds): Seconds {
  return Math.max(expiresIn, 3600)
}

/** The app cannot set these claims: they state the subject, audience, session and lifetime of a token. */
const RESERVED = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'auth_time', 'typ', '__proto__'])

/**
 * A property `passwordHash` or `password_hash`, even with the value null: otherwise the error would first appear with the first user
 * who has a password. It does not match inside a JSON string, where quotes are escaped.
 */
const HASH_PROPERTY = /[{,]"password_?hash":/i

/** Shorter hashes are placeholders, such as the name of a provider. */
const SHORTEST_HASH = 20

const NOT_JSON = 'the app\'s claims, of accessToken.claims or request.auth.login(), must be an object that JSON can carry'

/** Throws for a bigint or a cycle. */
function toJson (value: object): string {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new TypeError(NOT_JSON, { cause })
  }
}

/**
 * Converts the app's claims to plain JSON, without reserved ones. Throws before anything is written if they are not a JSON object,
 * are too large, or contain a password hash. A hash is recognised by its property name or, if `passwordHash` is given, by its
 * value; not by its format, since a username may look like a hash.
 */
export function toAppClaims (value: unknown, passwordHash?: string | null): AppClaims {
  const json = isRecord(value) ? toJson(value) : 'null'
  const claims: unknown = JSON.parse(json)
  if (!isRecord(claims)) throw new TypeError(NOT_JSON)
  // A function that returns the user itself would show the hash to everybody who holds the token.
  const isExposed = passwordHash != null && passwordHash.length >= SHORTEST_HASH && json.includes(passwordHash)
  if (isExposed || HASH_PROPERTY.test(json)) throw new TypeError('claims must not have a password hash: return the properties that the token needs, and not the user itself')
  const bytes = Buffer.byteLength(json)
  if (bytes > MAX_APP_CLAIMS) throw new TypeError(`claims may have ${MAX_APP_CLAIMS} bytes of JSON and have ${bytes}: put less into an access token`)
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !RESERVED.has(name)))
}

/**
 * The claims of an access token whose signature was verified: their shape, issuer, audience and lifetime are valid. Undefined
 * means that the verification failed. Throws FST_AUTH_ACCESS_TOKEN_INVALID. `assertCurrent` checks the times.
 */
export function readAccessClaims (payload: unknown, policy: AccessPolicy): AccessClaims {
  if (payload === undefined) throw invalid('its signature, key, "typ" or encoding is invalid')
  if (!isAccessClaims(payload)) throw invalid('it lacks one of sub, sid, jti, iat, exp, auth_time')
  if (policy.issuer !== undefined && payload.iss !== policy.issuer) throw invalid('its "iss" is not that of the option "issuer"')
  if (!isForAudience(payload, policy)) throw invalid('its "aud" is not that of the option "audience"')
  const lifetime = payload.exp - payload.iat
  if (lifetime <= 0) throw invalid('its "exp" is not after its "iat"')
  if (lifetime > maxAccessLifetime(policy.expiresIn)) throw invalid('its lifetime is over an hour and over the option "accessToken.expiresIn"')
  if (payload.nbf !== undefined && !isTime(payload.nbf)) throw invalid('its "nbf" is no time')
  return payload
}

/** Returns the claims. Throws FST_AUTH_ACCESS_TOKEN_EXPIRED, or FST_AUTH_ACCESS_TOKEN_INVALID if `iat` or `nbf` is in the future. */
export function assertCurrent (claims: AccessClaims, { leeway }: AccessPolicy, now: EpochSeconds): AccessClaims {
  const { iat, nbf = iat, exp } = claims
  if (Math.max(nbf, iat) > now + leeway) throw invalid('its "iat" or "nbf" is in the future: compare the clocks of both servers')
  if (now >= exp) throw new AuthError('FST_AUTH_ACCESS_TOKEN_EXPIRED')
  return claims
}

function isAccessClaims (payload: unknown): payload is AccessClaims {
  return isRecord(payload) && isSubject(payload['sub']) && isId(payload['sid']) && isId(payload['jti']) &&
    isTime(payload['iat']) && isTime(payload['exp']) && isTime(payload['auth_time'])
}

/** True for the shape of refresh claims; `exp` may be over. */
export function isRefreshClaims (payload: unknown): payload is RefreshClaims {
  return isRecord(payload) && isSubject(payload['sub']) && isId(payload['sid']) && isTime(payload['gen']) && payload['gen'] <= MAX_GENERATION &&
    isTime(payload['iat']) && isTime(payload['exp']) && isTime(payload['auth_time']) && isTime(payload['end']) &&
    (payload['remember'] === undefined || payload['remember'] === false) &&
    (payload['replaces'] === undefined || isId(payload['replaces']))
}

/**
 * A token with an `aud` is refused by any other audience (RFC 7519 section 4.1.3), and by a service without one (RFC 8725
 * section 3.9).
 */
function isForAudience (claims: AccessClaims, policy: AccessPolicy): boolean {
  if (policy.audience === undefined) return claims.aud === undefined
  const ours = [policy.audience].flat()
  const theirs: readonly unknown[] = [claims.aud].flat()
  return ours.some(audience => theirs.includes(audience))
}

function invalid (reason: string): AuthError {
  return new AuthError('FST_AUTH_ACCESS_TOKEN_INVALID', { reason })
}

export function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isTime (value: unknown): value is EpochSeconds {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

export function isId (value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 64
}
