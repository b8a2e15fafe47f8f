import { inspect } from 'node:util'
import { allowWeakHashing, assertStrong, MINIMA } from './accounts/hashing-strength.js'
import { MAX_COST } from './accounts/password-hash.js'
import { type PasswordCheck } from './accounts/password-policy.js'
import { type VerifyLegacy } from './accounts/passwords.js'
import { type PepperOptions } from './accounts/pepper.js'
import { isOrigin } from './core/origin.js'
import { secretWeakness, type HmacAlgorithm } from './core/keys.js'
import { type AppClaims } from './core/claims.js'
import { type AuditEvent, type EventListener } from './core/events.js'
import { type SessionStore } from './core/session.js'
import { systemClock, type Clock, type Duration } from './core/time.js'
import { type User, type Users } from './core/user.js'
import { callback, defaultTo, duration, flag, group, integer, listOf, oneOf, oneOrMore, optional, refuse, text, type Check, type Checked } from './option-checks.js'

/** What `app.register(refreshCookie, options)` takes. */
export interface RefreshCookieOptions {
  /** At least 32 random bytes; from a list the first signs and all verify. The keys of both kinds of token are derived from it. */
  secret?: string | readonly string[] | undefined
  /** The `iss` of access tokens. */
  issuer?: string | undefined
  /** The `aud` of access tokens; one of them must be in a token. */
  audience?: string | readonly string[] | undefined
  /** Where the routes are, below the prefix of the context that the plugin is registered in. */
  prefix?: string
  /** Other paths for single routes; false switches one off. */
  routes?: { [name in RouteName]?: string | false | undefined } | undefined
  /** Where sessions live. */
  store?: SessionStore | undefined
  /** The app's user table. */
  users?: Users | undefined
  accounts?: {
    /** What the username is called in bodies, e.g. 'email'. */
    usernameField?: string | undefined
  } | undefined
  /** Other origins whose pages may log in, refresh and log out, e.g. 'https://app.example.com'. */
  trustedOrigins?: readonly string[] | undefined
  accessToken?: {
    expiresIn?: Duration | undefined
    algorithm?: HmacAlgorithm | undefined
    /** The app's own claims, made anew at every login and refresh; they never override the registered ones. */
    claims? (user: User): Promise<AppClaims> | AppClaims
    /** For `iat` and `nbf` in the future only; `exp` is exact. */
    leeway?: Duration | undefined
  } | undefined
  refreshToken?: {
    /** The secrets of refresh tokens alone; `secret` by default. */
    secret?: string | readonly string[] | undefined
    /** How long a session lasts without a refresh. */
    idle?: Duration | undefined
    /** How long a session lasts at most. */
    absolute?: Duration | undefined
    /** Whether a refresh replaces the refresh token. */
    rotation?: 'always' | 'never' | undefined
    /** How long tabs, reloads and retries converge on one successor. 0: strict single use. */
    grace?: Duration | undefined
    /** Whether a replaced token is good until its successor was used, for the reply that got lost. */
    recoverLostReply?: boolean | undefined
  } | undefined
  cookie?: {
    /** By default `__Host-Http-refresh`; `__Secure-refresh` with a domain or a path; `refresh` without `secure`. */
    name?: string | undefined
    path?: string | undefined
    domain?: string | undefined
    sameSite?: 'strict' | 'lax' | 'none' | undefined
    /** False only for development over plain http; refused in production. */
    secure?: boolean | undefined
    /** Cookies having independent partitioned state (CHIPS), for an app inside other sites' pages. */
    partitioned?: boolean | undefined
  } | undefined
  /** How passwords are judged and hashed (argon2id). */
  passwords?: {
    /** Memory for one hash, in KiB. */
    memoryCost?: number | undefined
    /** Passes over the memory. */
    timeCost?: number | undefined
    /** Lanes. */
    parallelism?: number | undefined
    /** The fewest characters (Unicode code points) of a new password, 8 to 64. */
    minLength?: number | undefined
    /** The app's own rule for new passwords, e.g. a look-up among breached ones. */
    check?: PasswordCheck | undefined
    /** Verifies hashes of other systems (bcrypt, scrypt, …); each is replaced at the next login of its owner. */
    verifyLegacy?: VerifyLegacy | undefined
    /** A secret in every hash, kept away from the database: at least 32 random bytes, in a ring so that it can change. */
    pepper?: PepperOptions | undefined
    /** How much password work may be under way and waiting; what goes beyond is answered 503. */
    queue?: {
      /** Hashes at once. libuv has 4 threads by default, and files and DNS need some of them. */
      concurrency?: number | undefined
      /** Those that may wait for their turn. */
      waiting?: number | undefined
      /** The longest wait for a turn. */
      maxWait?: Duration | undefined
    } | undefined
    /** Lets hashing be weaker than the minimum, for tests; refused in production. */
    [allowWeakHashing]?: boolean | undefined
  } | undefined
  /** When an access token of an ended session stops working: at its expiry, or at once on every instance. */
  revocation?: 'refresh' | 'immediate' | undefined
  sessions?: {
    /** How many live sessions a user may have: a login beyond ends the oldest. Unlimited by default. */
    maxPerUser?: number | undefined
    /** Whether only the browser that logged in may use a replaced token within grace, or recover a lost reply. */
    bindUserAgent?: boolean | undefined
  } | undefined
  /** How long calls to the store and to the app's callbacks may take. */
  timeouts?: {
    /** One call. */
    call?: Duration | undefined
    /** All calls of one request. */
    request?: Duration | undefined
  } | undefined
  /** Told of every login, refresh, logout, reuse and refusal. What it throws changes nothing. */
  onEvent? (event: AuditEvent): Promise<void> | void
  /** The time in seconds since the epoch, for tests. */
  clock?: Clock | undefined
}

/** The routes that exist when what they need is there. */
export type RouteName = 'signup' | 'login' | 'refresh' | 'logout' | 'sessions' | 'password' | 'reauthenticate'

const DAY = 86_400

// Strings only: a Buffer or KeyObject here is a key of another kind, and its text would be a weaker secret.
const secret: Check<string> = (value, option) => {
  const weakness = typeof value === 'string' ? secretWeakness(value) : 'is not a string'
  if (typeof value === 'string' && weakness === null) return value
  throw new TypeError(`option "${option}" ${weakness}: use at least 32 random bytes, for example from "openssl rand -base64 48"`)
}

const secrets: Check<readonly string[]> = (value, option) => {
  const checked = [oneOrMore(secret)(value, option)].flat()
  if (checked.length === 0) throw new TypeError(`option "${option}" is an empty list: give at least one secret`)
  if (new Set(checked).size < checked.length) throw new TypeError(`option "${option}" holds the same secret twice: leave one out`)
  return unprintable(checked)
}

// Neither it nor the keys' names are printed: a secret may have been put in their place.
const keyId: Check<string> = (value, option) => {
  if (typeof value === 'string' && /^[\w-]{1,8}$/.test(value)) return value
  throw new TypeError(`option "${option}": the id of a key must be 1 to 8 letters, digits, "-" or "_"`)
}

const pepperKeys: Check<Readonly<Record<string, string>>> = (value, option) => {
  if (typeof value !== 'object' || value === null) throw new TypeError(`option "${option}" must be an object`)
  return unprintable(Object.fromEntries(Object.entries(value).map(([id, key]) => [keyId(id, option), secret(key, `${option}.${id}`)])))
}

/** Freezes an object, and shows none of its members to a log, be it by util.inspect or as JSON. */
function unprintable<T extends object> (object: T): T {
  const value = (): string => '[secret]'
  return Object.freeze(Object.defineProperties(object, { toJSON: { value }, [inspect.custom]: { value } }))
}

const urlPath: Check<string> = (value, option) =>
  typeof value === 'string' && /^(\/[\w.~-]+)+$/.test(value)
    ? value
    : refuse(option, value, "it must be a path such as '/auth', without a slash at its end")

const route: Check<string | false> = (value, option) => value === false ? false : urlPath(value, option)

const origin: Check<string> = (value, option) =>
  typeof value === 'string' && (isOrigin(value) || /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+$/.test(value))
    ? value
    : refuse(option, value, "it must be an origin as browsers send it, such as 'https://app.example.com': no path, no wildcard, no slash at its end")

const cookieName: Check<string> = (value, option) =>
  typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value)
    ? value
    : refuse(option, value, 'it must be a cookie name (RFC 6265 section 4.1.1): letters, digits, "-" and "_"')

const cookiePath: Check<string> = (value, option) =>
  typeof value === 'string' && /^\/[\w./~-]*$/.test(value) ? value : refuse(option, value, "it must be a path such as '/' or '/auth'")

const domain: Check<string> = (value, option) =>
  typeof value === 'string' && /^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(value)
    ? value
    : refuse(option, value, "it must be a domain such as 'example.com', without a dot before it")

const field: Check<string> = (value, option) =>
  typeof value === 'string' && /^[a-z]\w{0,31}$/i.test(value) && !['password', 'remember'].includes(value)
    ? value
    : refuse(option, value, "it must be the name of a field such as 'email'")

const store: Check<SessionStore> = (value, option) => {
  const missing = ['create', 'get', 'advance', 'revoke', 'revokeAll'].filter(name => !hasFunction(value, name))
  if (missing.length > 0) throw new TypeError(`option "${option}" is no session store: it lacks ${missing.join(', ')}`)
  return value as SessionStore // its functions' parameters cannot be checked
}

const USER_FUNCTIONS = ['findByUsername', 'findById', 'create', 'updatePasswordHash']

const users: Check<Users> = (value, option) => {
  if (typeof value !== 'object' || value === null) throw new TypeError(`option "${option}" must be an object with functions`)
  const wrong = USER_FUNCTIONS.filter(name => name in value && !hasFunction(value, name))
  if (wrong.length > 0) throw new TypeError(`option "${option}": ${wrong.join(', ')} must be a function`)
  return value as Users // its functions' parameters cannot be checked
}

const passwordGroup = group({
  // 128 KiB: 8 for each of the most lanes (RFC 9106 section 3.1).
  memoryCost: defaultTo(MINIMA[0].memoryCost, integer(128, MAX_COST.memoryCost)),
  timeCost: defaultTo(MINIMA[0].timeCost, integer(1, MAX_COST.timeCost)),
  parallelism: defaultTo(1, integer(1, MAX_COST.parallelism)),
  // NIST SP 800-63B section 3.1.1.2: 8 at the very least, and 64 must be welcome.
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

const passwords: typeof passwordGroup = Object.assign((value: unknown, option: string) => {
  const read = passwordGroup(value, option)
  assertStrong(read, Reflect.get(Object(value), allowWeakHashing) === true)
  return read
}, { checks: passwordGroup.checks })

const clock: Check<Clock> = (value, option) => {
  const tell = callback<Clock>()(value, option)
  const now = tell()
  if (Number.isFinite(now) && now >= 0 && now < 1e11) return tell
  return refuse(option, value, 'it must tell the time in seconds since the epoch; for milliseconds use () => Date.now() / 1000')
}

/** The table of all options: what each may be, and what it is when left out. */
export const optionTable = group({
  secret: optional(secrets),
  issuer: optional(text),
  audience: optional(oneOrMore(text)),
  prefix: defaultTo('/auth', urlPath),
  routes: group({
    signup: defaultTo('/signup', route),
    login: defaultTo('/login', route),
    refresh: defaultTo('/refresh', route),
    logout: defaultTo('/logout', route),
    sessions: defaultTo('/sessions', route),
    password: defaultTo('/password', route),
    reauthenticate: defaultTo('/reauthenticate', route)
  }),
  store: optional(store),
  users: optional(users),
  accounts: group({
    usernameField: defaultTo('username', field)
  }),
  trustedOrigins: defaultTo([], listOf(origin)),
  accessToken: group({
    expiresIn: defaultTo('10m', duration(1, DAY)),
    algorithm: defaultTo('HS256', oneOf('HS256', 'HS384', 'HS512')),
    claims: optional(callback<(user: User) => Promise<AppClaims> | AppClaims>()),
    leeway: defaultTo('5s', duration(0, 60))
  }),
  refreshToken: group({
    secret: optional(secrets),
    idle: defaultTo('7d', duration(1, 400 * DAY)),
    absolute: defaultTo('30d', duration(1, 400 * DAY)),
    rotation: defaultTo('always', oneOf('always', 'never')),
    grace: defaultTo('30s', duration(0, 300)),
    recoverLostReply: defaultTo(true, flag)
  }),
  cookie: group({
    name: optional(cookieName),
    path: defaultTo('/', cookiePath),
    domain: optional(domain),
    sameSite: defaultTo('strict', oneOf('strict', 'lax', 'none')),
    secure: defaultTo(true, flag),
    partitioned: defaultTo(false, flag)
  }),
  passwords,
  revocation: defaultTo('refresh', oneOf('refresh', 'immediate')),
  sessions: group({
    maxPerUser: optional(integer(1, 10_000)),
    bindUserAgent: defaultTo(false, flag)
  }),
  timeouts: group({
    call: defaultTo('2s', duration(1, 60)),
    request: defaultTo('3s', duration(1, 60))
  }),
  onEvent: optional(callback<EventListener>()),
  clock: defaultTo(systemClock, clock)
})

/** All options as the code uses them: checked, complete, frozen, durations in seconds. */
export type Settings = Checked<typeof optionTable> & { readonly cookie: { readonly name: string } }

/**
 * Reads the options in one pass. Nothing is repaired silently: an unknown name, a wrong value or a dangerous
 * combination is a TypeError that names the option, the value (never a secret) and the way out.
 */
export function readOptions (options: RefreshCookieOptions, production: boolean): Settings {
  const read = optionTable(options, '')
  const settings: Settings = Object.freeze({ ...read, cookie: Object.freeze({ ...read.cookie, name: read.cookie.name ?? defaultCookieName(read.cookie) }) })
  for (const [wrong, sentence] of combinations(settings, production)) {
    if (wrong) throw new TypeError(sentence)
  }
  return settings
}

/** Every combination that is refused, and what to do instead. */
function combinations (settings: Settings, production: boolean): ReadonlyArray<readonly [refused: boolean, sentence: string]> {
  const { accessToken, refreshToken, cookie, users } = settings
  return [
    [settings.secret === undefined,
      'option "secret" is missing: give at least 32 random bytes, for example from "openssl rand -base64 48", kept outside the code'],
    [accessToken.expiresIn >= refreshToken.idle,
      'option "accessToken.expiresIn" must be shorter than "refreshToken.idle": an access token should not outlive its session'],
    [refreshToken.idle > refreshToken.absolute,
      'option "refreshToken.idle" must not be longer than "refreshToken.absolute", the end that nothing moves'],
    [refreshToken.grace >= refreshToken.idle,
      'option "refreshToken.grace" must be shorter than "refreshToken.idle"'],
    [refreshToken.grace === 0 && refreshToken.recoverLostReply,
      'option "refreshToken.grace" is 0 while "recoverLostReply" is true: for strict single use set recoverLostReply: false too'],
    [accessToken.claims !== undefined && users?.findById === undefined,
      'option "accessToken.claims" needs "users.findById", since claims are made anew at every refresh'],
    [settings.sessions.maxPerUser !== undefined && settings.store !== undefined && settings.store.list === undefined,
      'option "sessions.maxPerUser" needs a store that can list a user\'s sessions: use another store, or leave it out'],
    [settings.revocation === 'immediate' && settings.store !== undefined && settings.store.subscribe === undefined,
      'option "revocation" is \'immediate\', which needs a store that tells what other instances end (subscribe): use another store, or \'refresh\''],
    [!cookie.secure && production,
      'option "cookie.secure" is false in production: serve the app over https and leave it true'],
    [!cookie.secure && cookie.sameSite === 'none',
      'option "cookie.sameSite" is \'none\' without "secure": browsers refuse such a cookie'],
    [cookie.sameSite === 'none' && settings.trustedOrigins.length === 0,
      'option "cookie.sameSite" is \'none\' without "trustedOrigins": any site could use the cookie; list the origins of your pages'],
    [cookie.partitioned && (cookie.sameSite !== 'none' || !cookie.secure),
      'option "cookie.partitioned" is for a cookie inside other sites\' pages: it needs sameSite: \'none\' and secure: true'],
    [/^__Host-/i.test(cookie.name) && (cookie.path !== '/' || cookie.domain !== undefined || !cookie.secure),
      'option "cookie.name" starts with "__Host-": browsers then demand path \'/\', no domain and secure: true; leave the name out to get the right prefix'],
    [/^__(Secure|Http)-/i.test(cookie.name) && !cookie.secure,
      'option "cookie.name" starts with "__Secure-" or "__Http-": browsers then demand secure: true; leave the name out to get the right prefix']
  ]
}

/** What is allowed and yet worth a line in the log at start. */
export function warningsOf (settings: Settings, production: boolean): string[] {
  const { accessToken, cookie, store } = settings
  const warnings: ReadonlyArray<readonly [applies: boolean, sentence: string]> = [
    [accessToken.expiresIn > 3600,
      'option "accessToken.expiresIn" is over an hour: an access token works until it expires, even after a logout'],
    [cookie.secure && !cookie.name.startsWith('__'),
      `option "cookie.name" has no prefix: "${defaultCookieName(cookie)}" would keep other sub-domains from setting it`],
    [production && store === undefined,
      'option "store" is left out: sessions are in the memory of this process, end with it, and no other process sees them']
  ]
  return warnings.filter(([applies]) => applies).map(([, sentence]) => sentence)
}

/** The strongest prefix that the other settings allow (RFC 6265bis section 4.1.3; "__Host-Http-" also says httpOnly). */
function defaultCookieName ({ path, domain, secure }: { path: string, domain: string | undefined, secure: boolean }): string {
  if (!secure) return 'refresh'
  return path === '/' && domain === undefined ? '__Host-Http-refresh' : '__Secure-refresh'
}

function hasFunction (value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, name) === 'function'
}
