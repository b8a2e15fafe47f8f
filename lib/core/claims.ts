import { AuthError } from '../errors.js'
import { randomId } from './random.js'
import { type Session } from './session.js'
import { type EpochSeconds, type Seconds } from './time.js'

/**
 * The types of the app's own claims, which the app fills in:
 * `declare module 'fastify-refresh-cookie' { interface CustomClaims { role: string } }`.
 */
export interface CustomClaims {}

/** What the app itself puts into an access token. */
export type AppClaims = Readonly<Record<string, unknown> & Partial<CustomClaims>>

/** The claims of an access token (RFC 7519, RFC 9068): ours, and beside them the app's own. */
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
export type Holder = Pick<RefreshClaims, 'sub' | 'sid'>

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

/** The longest subject, in characters (OpenID Connect Core section 2, `sub`). */
export const MAX_SUBJECT_LENGTH = 255

const MAX_GENERATION = 2 ** 31 - 2

// An access token that claims to last longer than an hour and than ours do was not made by this configuration.
const MAX_ACCESS_LIFETIME: Seconds = 3600

/** Names the app cannot set: it would change who, until when or for whom a token speaks. */
const RESERVED = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'auth_time', 'typ', '__proto__'])

/** An app's claims as JSON carries them. Throws where it cannot, or a token could not, so that this shows before anything is written. */
export function toAppClaims (value: unknown): AppClaims {
  const json = isRecord(value) ? JSON.stringify(value) : 'null'
  const claims: unknown = JSON.parse(json)
  if (!isRecord(claims)) throw new TypeError('claims must be an object that JSON can carry')
  const bytes = Buffer.byteLength(json)
  if (bytes > MAX_APP_CLAIMS) throw new TypeError(`claims may have ${MAX_APP_CLAIMS} bytes of JSON and have ${bytes}: put less into an access token`)
  return claims
}

/** The claims of a new access token. It ends with the session at the latest; the app's claims never override ours. */
export function accessClaims (session: Session, app: AppClaims, policy: AccessPolicy, now: EpochSeconds): AccessClaims {
  const own = Object.entries(app).filter(([name]) => !RESERVED.has(name))
  return {
    ...Object.fromEntries(own),
    ...(policy.issuer !== undefined && { iss: policy.issuer }),
    sub: session.subject,
    ...(policy.audience !== undefined && { aud: policy.audience }),
    iat: now,
    exp: Math.min(now + policy.expiresIn, session.expiresAt),
    jti: randomId(),
    sid: session.id,
    auth_time: session.authTime
  }
}

/**
 * Judges the payload of an access token whose signature is good; undefined where it is not.
 * Throws FST_AUTH_ACCESS_TOKEN_EXPIRED or FST_AUTH_ACCESS_TOKEN_INVALID.
 */
export function judgeAccessClaims (payload: unknown, policy: AccessPolicy, now: EpochSeconds): AccessClaims {
  if (!isAccessClaims(payload)) throw new AuthError('FST_AUTH_ACCESS_TOKEN_INVALID')
  if (!isMeantForUs(payload, policy) || !isPlausible(payload, policy, now)) throw new AuthError('FST_AUTH_ACCESS_TOKEN_INVALID')
  if (now >= payload.exp) throw new AuthError('FST_AUTH_ACCESS_TOKEN_EXPIRED')
  return payload
}

/** The refresh token of a session as it stands. The same state gives the same claims, so it signs to the same token. */
export function refreshClaims (session: Session, remember: boolean, replaces: string | null = null): RefreshClaims {
  return {
    sub: session.subject,
    sid: session.id,
    gen: session.generation,
    auth_time: session.authTime,
    iat: session.rotatedAt,
    exp: Math.min(session.idleExpiresAt, session.expiresAt),
    end: session.expiresAt,
    ...(!remember && { remember: false }),
    ...(replaces !== null && { replaces })
  }
}

/** The payload as refresh claims if it has their shape, else null. Whether it expired is for the caller to ask. */
export function readRefreshClaims (payload: unknown): RefreshClaims | null {
  return isRefreshClaims(payload) ? payload : null
}

/** The session as a verified refresh token states it, for the store that keeps none. */
export function claimedSession (claims: RefreshClaims): Session {
  return {
    id: claims.sid,
    subject: claims.sub,
    generation: claims.gen,
    previous: claims.gen === 0 ? null : claims.gen - 1,
    rotatedAt: claims.iat,
    createdAt: claims.auth_time,
    expiresAt: claims.end,
    idleExpiresAt: claims.exp,
    authTime: claims.auth_time,
    userAgent: null,
    ip: null
  }
}

/**
 * The subject of a user's id, which `from` gave. Throws a TypeError, with the way out, for what is no id: as text, a missing
 * id, a number that is not exact, or an object without a text of its own would make one subject of many people.
 */
export function subjectOf (id: unknown, from = 'the app'): string {
  const text = textOf(id)
  if (isSubject(text)) return text
  throw new TypeError(`${from} gave ${nameOf(id)} as the id of a user: it must be a text of 1 to ${MAX_SUBJECT_LENGTH} characters, a safe integer, a bigint, or an object whose own toString() gives such a text, e.g. an ObjectId`)
}

function textOf (id: unknown): string | null {
  if (typeof id === 'string' || typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id)
  return typeof id === 'object' && id !== null ? ownTextOf(id) : null
}

/** Null for a text that says nothing of who it is: of a plain object, of a list or a date, of bytes that are no text. */
function ownTextOf (id: object): string | null {
  if (Array.isArray(id) || ArrayBuffer.isView(id) || id instanceof Date || typeof id.toString !== 'function') return null
  const text: unknown = id.toString()
  return typeof text !== 'string' || text.startsWith('[object ') || text.includes('\ufffd') ? null : text
}

/** What kind of value it is: the value itself may be anything. */
function nameOf (id: unknown): string {
  if (id === null || id === undefined) return String(id)
  if (typeof id === 'object') return `an object of the class ${id.constructor?.name ?? 'null'}`
  return id === '' ? 'an empty text' : `a ${typeof id}`
}

/** Whether a text can be a subject: neither empty nor too long, and one that every database keeps as it is. */
export function isSubject (value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_SUBJECT_LENGTH &&
    value.isWellFormed() && !value.includes('\0')
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

function isMeantForUs (claims: AccessClaims, policy: AccessPolicy): boolean {
  if (policy.issuer !== undefined && claims.iss !== policy.issuer) return false
  if (policy.audience === undefined) return true
  const ours = [policy.audience].flat()
  const theirs: readonly unknown[] = [claims.aud].flat()
  return ours.some(audience => theirs.includes(audience))
}

function isPlausible (claims: AccessClaims, policy: AccessPolicy, now: EpochSeconds): boolean {
  const lifetime = claims.exp - claims.iat
  const { nbf = claims.iat } = claims // a null is there, and no time
  return lifetime > 0 && lifetime <= Math.max(policy.expiresIn, MAX_ACCESS_LIFETIME) &&
    claims.iat <= now + policy.leeway && isTime(nbf) && nbf <= now + policy.leeway
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
