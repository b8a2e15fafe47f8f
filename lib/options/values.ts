import { inspect } from 'node:util'
import { type Limit, type CounterClient } from '../accounts/attempt-counters.js'
import { allowWeakHashing, assertStrong, MAX_COST, MINIMA } from '../accounts/hash-format.js'
import { type CookieIdentity, isHostOnly, isOrigin, isSameCookie } from '../browser-rules.js'
import { type PasswordCheck } from '../accounts/password-policy.js'
import { type VerifyLegacy } from '../accounts/hashing.js'
import { importKey, type KeyMaterial } from '../keys/import.js'
import { createKeyRing, type KeyRing, type Secret } from '../keys/ring.js'
import { secretWeakness } from '../keys/strength.js'
import { type SessionStore } from '../sessions/store.js'
import { type Users } from '../accounts/user.js'
import { callback, defaultTo, duration, flag, group, integer, nearestOf, oneOf, oneOrMore, optional, orFalse, refuse, text, type Check, type Checked, listOf } from './validators.js'

const secret: Check<Secret> = (value, option) => {
  // Bytes are copied, since their owner may overwrite them.
  const read = value instanceof Uint8Array ? Buffer.from(value) : value
  if (typeof read !== 'string' && !Buffer.isBuffer(read)) throw new TypeError(`option "${option}" is neither a string nor a Buffer: use at least 32 random bytes, for example from "openssl rand -base64 48"`)
  const weakness = secretWeakness(read)
  if (weakness === null) return read
  throw new TypeError(`option "${option}" ${weakness}: use at least 32 random bytes, for example from "openssl rand -base64 48"`)
}

/** One secret or several; returns a list. */
export const secrets: Check<readonly Secret[]> = (value, option) => {
  const checked = [oneOrMore(secret)(value, option)].flat()
  if (checked.length === 0) throw new TypeError(`option "${option}" is an empty list: give at least one secret`)
  if (new Set(checked.map(text => Buffer.from(text).toString('base64'))).size < checked.length) throw new TypeError(`option "${option}" holds the same secret twice: leave one out`)
  return hideFromLogs(checked)
}

/** The `aud` of access tokens. With an empty list each token would be refused. */
export const audience: Check<string | readonly string[]> = (value, option) => Array.isArray(value) && value.length === 0
  ? refuse(option, value, 'give at least one audience, or leave it out')
  : oneOrMore(text)(value, option)

/** The memory of the verification cache. A process of Node can hold no more. */
export const cacheBytes = defaultTo(150_000_000, integer(0, 4_000_000_000))

// The value is not printed: it may be a key in the wrong place.
const kid: Check<string> = (value, option) => {
  if (typeof value === 'string' && /^[\x21-\x7e]{1,64}$/.test(value)) return value
  throw new TypeError(`option "${option}" must be 1 to 64 visible ASCII characters`)
}

const keyMaterial: Check<KeyMaterial> = (value, option) => {
  if (typeof value === 'string' || (typeof value === 'object' && value !== null)) return value as KeyMaterial // importKey validates it
  throw new TypeError(`option "${option}" must be PEM or a secret as text, bytes of a secret, a KeyObject or a JSON Web Key`)
}

const keyOptions = group({
  kid,
  algorithm: oneOf('HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA'),
  use: oneOf('sign', 'verify'),
  secret: optional(keyMaterial),
  privateKey: optional(keyMaterial),
  publicKey: optional(keyMaterial),
  withoutKid: optional(flag)
})

const key: Check<ReturnType<typeof importKey>> = (value, option) => {
  const options = keyOptions(value, option)
  try {
    return importKey(options)
  } catch (error) {
    throw new TypeError(`option "${option}" ${(error as TypeError).message}`) // importKey throws TypeErrors only
  }
}

export const keyRing: Check<KeyRing> = (value, option) => {
  if (!Array.isArray(value) || value.length === 0) throw new TypeError(`option "${option}" must be a list of at least one key`)
  const keys = value.map((member, place) => key(member, `${option}[${place}]`))
  const refused: ReadonlyArray<readonly [boolean, string]> = [
    [new Set(keys.map(({ kid }) => kid)).size < keys.length, 'has two keys with the same kid: each key needs its own'],
    [keys.filter(({ signs }) => signs !== null).length > 1, "has more than one key with use: 'sign': use 'verify' for the others"],
    [keys.filter(({ withoutKid }) => withoutKid).length > 1, 'has more than one key with withoutKid: only one key can verify tokens without kid']
  ]
  for (const [wrong, sentence] of refused) {
    if (wrong) throw new TypeError(`option "${option}" ${sentence}`)
  }
  return createKeyRing(keys)
}

/** The URL at which another service publishes its public keys. A wrong one is not printed: it may hold a password. */
export const jwksUrl: Check<string> = (value, option) => {
  if (typeof value === 'string' && URL.canParse(value) && isConfidential(new URL(value))) return value
  throw new TypeError(`option "${option}" must be a URL such as 'https://login.example/auth/jwks': https, or http to this machine`)
}

function isConfidential ({ protocol, hostname, username, password }: URL): boolean {
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  return (protocol === 'https:' || (protocol === 'http:' && isLoopback)) && username === '' && password === ''
}

// The id is not printed: it may be a secret in the wrong place.
const keyId: Check<string> = (value, option) => {
  if (typeof value === 'string' && /^[\w-]{1,8}$/.test(value)) return value
  throw new TypeError(`option "${option}": the id of a key must be 1 to 8 letters, digits, "-" or "_"`)
}

const pepperKeys: Check<Readonly<Record<string, Secret>>> = (value, option) => {
  if (typeof value !== 'object' || value === null) throw new TypeError(`option "${option}" must be an object`)
  return hideFromLogs(Object.fromEntries(Object.entries(value).map(([id, key]) => [keyId(id, option), secret(key, `${option}.${id}`)])))
}

/** Freezes an object, and hides its members from logs: from util.inspect and JSON. */
function hideFromLogs<T extends object> (object: T): T {
  const value = (): string => '[secret]'
  return Object.freeze(Object.defineProperties(object, { toJSON: { value }, [inspect.custom]: { value } }))
}

/** A path of a URL, such as '/auth'. */
export const urlPath: Check<string> = (value, option) =>
  typeof value === 'string' && /^(\/[\w.~-]+)+$/.test(value)
    ? value
    : refuse(option, value, "it must be a path such as '/auth', without a trailing slash")

/** The path of a route; false switches it off. */
export const route: Check<string | false> = orFalse(urlPath)

/** An origin as browsers send it (RFC 6454 section 6.2). */
export const origin: Check<string> = (value, option) =>
  typeof value === 'string' && (isOrigin(value) || /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+$/.test(value))
    ? value
    : refuse(option, value, "it must be an origin as browsers send it, such as 'https://app.example.com': no path, no wildcard, no trailing slash")

const cookieName: Check<string> = (value, option) =>
  typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value)
    ? value
    : refuse(option, value, "it must be a cookie name (RFC 6265 section 4.1.1), such as '__Host-Http-shop'")

const cookiePath: Check<string> = (value, option) =>
  typeof value === 'string' && /^\/[\w./~-]*$/.test(value) ? value : refuse(option, value, "it must be a path such as '/' or '/auth'")

const domain: Check<string> = (value, option) =>
  typeof value === 'string' && /^([a-z0-9-]+\.)+[a-z][a-z0-9-]*$/.test(value)
    ? value
    : refuse(option, value, "it must be a domain such as 'example.com': in lower case, without a leading dot, scheme or port, and no IP address")

/** Fields of our routes and of their forms. */
const RESERVED_FIELDS = ['password', 'remember', 'redirect', 'failure', 'grant_type']

/** The name of a field in a body. */
export const field: Check<string> = (value, option) =>
  typeof value === 'string' && /^[a-z]\w{0,31}$/i.test(value) && !RESERVED_FIELDS.includes(value)
    ? value
    : refuse(option, value, "it must be the name of a field such as 'email'")

/** A session store with the required methods. Optional methods are checked where they are needed. */
export const store: Check<SessionStore> = (value, option) => {
  if (typeof value === 'function') throw new TypeError(`option "${option}" is a function: call it, as in store: memoryStore()`)
  const missing = ['create', 'get', 'advance', 'revoke', 'revokeAll'].filter(name => !hasFunction(value, name))
  const isClient = ['query', 'connect', 'prepare'].some(name => hasFunction(value, name))
  if (missing.length > 0 && isClient) throw new TypeError(`option "${option}" is a database: wrap it, as in store: postgresStore(pool), mysqlStore(pool), redisStore(client) or sqliteStore(db)`)
  if (missing.length > 0) throw new TypeError(`option "${option}" is no session store: it lacks ${missing.join(', ')}`)
  return value as SessionStore // parameters of functions cannot be checked
}

const USER_FUNCTIONS = ['findByUsername', 'findById', 'create', 'updatePasswordHash']

/** The app's user table; any of its functions may be left out. */
export const users: Check<Users> = (value, option) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Map || value instanceof Promise) throw new TypeError(`option "${option}" must be an object with the functions ${USER_FUNCTIONS.join(', ')}, or some of them`)
  const wrong = USER_FUNCTIONS.filter(name => name in value && !hasFunction(value, name))
  if (wrong.length > 0) throw new TypeError(`option "${option}": ${wrong.join(', ')} must be a function`)
  // A misspelt function would only show as a missing route. Other names are the app's own functions.
  const missing = USER_FUNCTIONS.filter(name => !(name in value))
  for (const name of Object.keys(value)) {
    const meant = USER_FUNCTIONS.includes(name) ? undefined : nearestOf(name, missing, 1)
    if (meant !== undefined && hasFunction(value, name)) throw new TypeError(`option "${option}" has an unknown function "${name}"; did you mean "${meant}"?`)
  }
  const unknown = Object.keys(value).filter(name => hasFunction(value, name))
  if (missing.length === USER_FUNCTIONS.length && unknown.length > 0) throw new TypeError(`option "${option}" has ${unknown.join(', ')}, but none of the functions that the plugin calls: ${USER_FUNCTIONS.join(', ')}`)
  return value as Users // parameters of functions cannot be checked
}

const passwordOptions = group({
  // 128 KiB: 8 KiB for each of 16 lanes (RFC 9106 section 3.1).
  memoryCost: defaultTo(MINIMA[0].memoryCost, integer(128, MAX_COST.memoryCost)),
  timeCost: defaultTo(MINIMA[0].timeCost, integer(1, MAX_COST.timeCost)),
  parallelism: defaultTo(1, integer(1, MAX_COST.parallelism)),
  // NIST SP 800-63B section 3.1.1.2: a minimum of at least 8, and passwords of 64 must be accepted.
  minLength: defaultTo(8, integer(8, 64)),
  check: optional(callback<PasswordCheck>()),
  verifyLegacy: optional(callback<VerifyLegacy>()),
  pepper: optional(group({ current: keyId, keys: pepperKeys })),
  queue: group({
    concurrency: defaultTo(2, integer(1, 128)),
    waiting: defaultTo(50, integer(0, 10_000)),
    maxWait: defaultTo('5s', duration(1, 60))
  })
})

export const passwords: typeof passwordOptions = Object.assign((value: unknown, option: string) => {
  const read = passwordOptions(value, option)
  assertStrong(read, Reflect.get(Object(value), allowWeakHashing) === true)
  return read
}, { checks: passwordOptions.checks })

const limit = group({ max: integer(1, 1_000_000), per: duration(1, 86_400) })

const limits: Check<readonly Limit[]> = (value, option) => Object.freeze(value === false ? [] : [oneOrMore(limit)(value, option)].flat())

const redis: Check<CounterClient> = (value, option) => {
  if (hasFunction(value, 'eval')) return value as CounterClient // parameters of functions cannot be checked
  throw new TypeError(`option "${option}" must be a client of ioredis or of redis`)
}

const rateLimitOptions = group({
  perAddress: defaultTo({ max: 100, per: '15m' }, limits),
  perAddressTotal: defaultTo({ max: 1000, per: '15m' }, limits),
  perAccount: defaultTo([{ max: 10, per: '15m' }, { max: 100, per: '1d' }], limits),
  perSession: defaultTo({ max: 60, per: '1m' }, limits),
  redis: optional(redis),
  keyPrefix: optional(text)
})

/** Rate limits; false switches all of them off. */
export const rateLimit: typeof rateLimitOptions = Object.assign((value: unknown, option: string) =>
  rateLimitOptions(value === false ? { perAddress: false, perAddressTotal: false, perAccount: false, perSession: false } : value, option),
{ checks: rateLimitOptions.checks })

function hasFunction (value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, name) === 'function'
}

/** The options of the refresh cookie. */
export const cookie = group({
  name: optional(cookieName),
  path: defaultTo('/', cookiePath),
  domain: optional(domain),
  sameSite: defaultTo('strict', oneOf('strict', 'lax', 'none')),
  secure: defaultTo(true, flag),
  partitioned: defaultTo(false, flag),
  former: defaultTo([], listOf(group({
    name: optional(cookieName),
    path: defaultTo('/', cookiePath),
    domain: optional(domain),
    partitioned: defaultTo(false, flag)
  })))
})

type Cookie = Checked<typeof cookie>

/** The cookie and its former ones, all with their names. */
export type NamedCookie = Omit<Cookie, 'name' | 'former'> & CookieIdentity & { readonly former: readonly CookieIdentity[] }

/**
 * Gives the cookie and its former ones their default names. Throws if clearing a former one would clear the current one, or
 * nothing.
 */
export function nameCookies ({ name, former, ...where }: Cookie): NamedCookie {
  const named = { ...where, name: name ?? defaultCookieName(where) }
  const places = former.map((place, index) => {
    const known = { ...place, name: place.name ?? name ?? defaultCookieName({ ...place, secure: where.secure }) }
    const option = `option "cookie.former[${index}]"`
    if (isSameCookie(known, named)) throw new TypeError(`${option} equals the current cookie, which each login would then clear: leave it out, or give the former settings`)
    if (/^__Host-/i.test(known.name) && !isHostOnly(known)) {
      throw new TypeError(`${option} has the name '${known.name}', which browsers reject with a path or a domain: give its former name`)
    }
    return known
  })
  return Object.freeze({ ...named, former: Object.freeze(places) })
}

/** The strongest prefix that the other settings allow (RFC 6265bis section 4.1.3; "__Host-Http-" also requires HttpOnly). */
export function defaultCookieName ({ path, domain, secure }: { path: string, domain: string | undefined, secure: boolean }): string {
  if (!secure) return 'refresh'
  return isHostOnly({ path, domain }) ? '__Host-Http-refresh' : '__Secure-refresh'
}
