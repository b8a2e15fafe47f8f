import { type CounterClient } from '../accounts/counters.js'
import { type allowWeakHashing } from '../accounts/hashing-strength.js'
import { type PasswordCheck } from '../accounts/policy.js'
import { type VerifyLegacy } from '../accounts/hashing.js'
import { type PepperOptions } from '../accounts/pepper.js'
import { type SignupListener } from '../accounts/silent-signup.js'
import { type AppClaims } from '../tokens/claims.js'
import { type AuditEvent, type EventListener } from '../audit/events.js'
import { type KeyOptions } from '../keys/import.js'
import { type HmacAlgorithm, type Secret } from '../keys/ring.js'
import { type SessionStore } from '../sessions/session.js'
import { systemClock, type Clock, type Duration } from '../time.js'
import { type User, type Users } from '../accounts/user.js'
import { cookie, type NamedCookie } from './cookie.js'
import { type FormatTokenResponse, type TokenResponse, type TokenResponseContext } from '../http/token-response.js'
import { type RouteName } from '../http/routes/route.js'
import { callback, clock, DAY, defaultTo, duration, flag, group, integer, listOf, oneOf, oneOrMore, optional, orFalse, REGISTER_OPTIONS, source, text, type Checked } from './validators.js'
import { field, keyRing, origin, passwords, rateLimit, route, secrets, store, urlPath, users } from './values.js'

/** What `app.register(refreshCookie, options)` takes. */
export interface RefreshCookieOptions<U extends User = User> {
  /** At least 32 random bytes; from a list the first signs and all verify. The keys of both kinds of token are derived from it. */
  secret?: Secrets | Asked<Secrets> | undefined
  /**
   * The keys of access tokens, used as given, so that others can verify them; those of refresh tokens are still derived
   * from a secret. One of them must sign: a service that only verifies registers `fastify-refresh-cookie/verifier`.
   */
  keys?: readonly KeyOptions[] | Asked<readonly KeyOptions[]> | undefined
  /** How often keys are read again that come from a function. */
  reloadKeysEvery?: Duration | undefined
  /** The `iss` of access tokens. */
  issuer?: string | undefined
  /** The `aud` of access tokens; one of them must be in a token. */
  audience?: string | readonly string[] | undefined
  /**
   * The app's name, which stays: another app is refused by a store that holds its sessions. Without it an app is known by
   * the keys of its refresh tokens.
   */
  appName?: string | undefined
  /** Where the routes are, below the prefix of the context that the plugin is registered in. */
  prefix?: string
  /** Other paths for single routes; false switches one off. */
  routes?: { [name in RouteName]?: string | false | undefined } | undefined
  /** Where sessions live. */
  store?: SessionStore | undefined
  /** The app's user table. */
  users?: Users<U> | undefined
  accounts?: {
    /** What the username is called in bodies, e.g. 'email'. */
    usernameField?: string | undefined
    /**
     * 'open' answers a signup with 201 and a session, or with 409 for a taken name, which reveals who has an
     * account. 'silent' answers 202 and nothing else either way: the rest is in a mail that `onSignup` sends.
     */
    signup?: 'open' | 'silent' | undefined
    /**
     * Called for every silent signup, after its response: `user` is null where the name was taken. Send the link that
     * confirms the address, or the news that somebody tried. Let `users.create` make people `disabled` until they
     * confirm: else a login with that password reveals who has an account (user enumeration).
     */
    onSignup?: SignupListener | undefined
  } | undefined
  /** Other origins whose pages may log in, refresh and log out, e.g. 'https://app.example.com'. */
  trustedOrigins?: readonly string[] | undefined
  accessToken?: {
    expiresIn?: Duration | undefined
    algorithm?: HmacAlgorithm | undefined
    /** The app's own claims, made anew at every login and refresh; they never override the registered ones. */
    claims? (user: U): Promise<AppClaims> | AppClaims
    /** For `iat` and `nbf` in the future only; `exp` is exact. */
    leeway?: Duration | undefined
  } | undefined
  refreshToken?: {
    /** The secrets of refresh tokens alone; `secret` by default. */
    secret?: Secrets | Asked<Secrets> | undefined
    /** How long a session lasts without a refresh; with `rotation: 'never'` how long it lasts at all. */
    idle?: Duration | undefined
    /** How long a session lasts at most. */
    absolute?: Duration | undefined
    /** Whether a refresh replaces the refresh token. With `never` neither the token nor its end changes. */
    rotation?: 'always' | 'never' | undefined
    /** How long tabs, reloads and retries converge on one successor. 0: strict single use. */
    grace?: Duration | undefined
    /** Whether a replaced token is good until its successor was used, for the reply that got lost: three times at most. */
    recoverLostReply?: boolean | undefined
    /**
     * 'body' is for native apps, which have no cookies: the grant holds the refresh token, and refresh and logout take
     * it in their body or as "Authorization: Bearer". Register the plugin twice to serve browsers too.
     */
    transport?: 'cookie' | 'body' | undefined
    /**
     * Whether a refresh whose cookie expired or is missing goes on by a valid access token. It turns a stolen access token
     * into a session, and reuse detection does not see that. Needs a store that keeps sessions.
     */
    renewWithAccessToken?: boolean | undefined
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
    /**
     * What the cookie's settings were before they changed, so that browsers forget the cookies that they still have with
     * them: login, refresh and logout clear those. The name is `cookie.name` if that is given, else the default for the
     * path and domain. Leave it out again after `refreshToken.idle`.
     */
    former?: ReadonlyArray<{
      name?: string | undefined
      path?: string | undefined
      domain?: string | undefined
      partitioned?: boolean | undefined
    }> | undefined
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
  /**
   * Rate limits; false switches them off. A limit is `{ max, per }`, a list of limits that all apply, or
   * false. Failures count against the caller's address (`request.ip`, so see Fastify's `trustProxy`) and the account.
   */
  rateLimit?: false | {
    /** Failed logins, and signups, of one address or IPv6 /64. */
    perAddress?: RateLimit | readonly RateLimit[] | false | undefined
    /** All attempts of one address, the successful ones too: each costs a hash. */
    perAddressTotal?: RateLimit | readonly RateLimit[] | false | undefined
    /** Failed logins to one account, in a row. */
    perAccount?: RateLimit | readonly RateLimit[] | false | undefined
    /** Refreshes of one session. */
    perSession?: RateLimit | readonly RateLimit[] | false | undefined
    /** A client of ioredis or of redis: then all instances count together. In the memory of the process by default. */
    redis?: CounterClient | undefined
    /** What the keys in Redis begin with. By default `auth:`, `appName` or else the name of the refresh key that signs at start, and `:`, so that two apps do not count together. */
    keyPrefix?: string | undefined
  } | undefined
  /** When an access token of an ended session stops working: at its expiry, or at once on every instance. */
  revocation?: 'refresh' | 'immediate' | undefined
  /**
   * With `revocation: 'immediate'`, what becomes of an access token while nobody can tell whether its session has ended:
   * messages of ended sessions do not arrive, or the store does not answer in time. 'accept' lets it pass until it
   * expires; 'refuse' asks the store each time, and answers 503 FST_AUTH_STORE_UNAVAILABLE where that cannot tell.
   */
  revocationUnknown?: 'accept' | 'refuse' | undefined
  sessions?: {
    /**
     * How many live sessions a user may have: 100 by default, where the store can list them. False: any number, so that
     * who knows a password can fill the store.
     */
    maxPerUser?: number | false | undefined
    /** What a login beyond that does: ends the oldest session, or is refused. */
    whenFull?: 'endOldest' | 'refuseLogin' | undefined
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
  /**
   * Shapes the bodies of signup, login, refresh, password and reauthenticate. Where it fails the answer is 503, and the
   * cookie is set all the same.
   */
  formatTokenResponse? (grant: TokenResponse, context: TokenResponseContext): Promise<object> | object
  /** Called for every login, refresh, logout, reuse and refusal. What it throws changes nothing. */
  onEvent? (event: AuditEvent): Promise<void> | void
  /** The time in seconds since the epoch, for tests. */
  clock?: Clock | undefined
}

/** One secret, or several: the first signs, all verify. */
type Secrets = Secret | readonly Secret[]

/** A function that is asked at the start, every `reloadKeysEvery`, and by `app.reloadKeys()`. */
type Asked<T> = () => Promise<T> | T

/** At most `max` within `per`. */
export interface RateLimit {
  max: number
  per: Duration
}

/** More than one person has devices, and few enough for one list. */
export const MAX_PER_USER = 100

/** The table of all options: what each may be, and what it is when left out. */
export const optionTable = group({
  secret: optional(source(secrets)),
  keys: optional(source(keyRing)),
  reloadKeysEvery: defaultTo('5m', duration(1, DAY)),
  issuer: optional(text),
  audience: optional(oneOrMore(text)),
  appName: optional(text),
  prefix: defaultTo('/auth', urlPath),
  routes: group({
    signup: defaultTo('/signup', route),
    login: defaultTo('/login', route),
    refresh: defaultTo('/refresh', route),
    logout: defaultTo('/logout', route),
    sessions: defaultTo('/sessions', route),
    password: defaultTo('/password', route),
    reauthenticate: defaultTo('/reauthenticate', route),
    verify: defaultTo(false, route),
    jwks: defaultTo('/jwks', route)
  }),
  store: optional(store),
  users: optional(users),
  accounts: group({
    usernameField: defaultTo('username', field),
    signup: defaultTo('open', oneOf('open', 'silent')),
    onSignup: optional(callback<SignupListener>())
  }),
  trustedOrigins: defaultTo([], listOf(origin)),
  accessToken: group({
    expiresIn: defaultTo('10m', duration(1, DAY)),
    algorithm: defaultTo('HS256', oneOf('HS256', 'HS384', 'HS512')),
    claims: optional(callback<(user: User) => Promise<AppClaims> | AppClaims>()),
    leeway: defaultTo('5s', duration(0, 60))
  }),
  refreshToken: group({
    secret: optional(source(secrets)),
    idle: defaultTo('7d', duration(1, 400 * DAY)),
    absolute: defaultTo('30d', duration(1, 400 * DAY)),
    rotation: defaultTo('always', oneOf('always', 'never')),
    grace: defaultTo('30s', duration(0, 300)),
    recoverLostReply: defaultTo(true, flag),
    transport: defaultTo('cookie', oneOf('cookie', 'body')),
    renewWithAccessToken: defaultTo(false, flag)
  }),
  cookie,
  passwords,
  rateLimit,
  revocation: defaultTo('refresh', oneOf('refresh', 'immediate')),
  revocationUnknown: defaultTo('accept', oneOf('accept', 'refuse')),
  sessions: group({
    maxPerUser: optional(orFalse(integer(1, 10_000))),
    whenFull: defaultTo('endOldest', oneOf('endOldest', 'refuseLogin')),
    bindUserAgent: defaultTo(false, flag)
  }),
  timeouts: group({
    call: defaultTo('2s', duration(1, 60)),
    request: defaultTo('3s', duration(1, 60))
  }),
  formatTokenResponse: optional(callback<FormatTokenResponse>()),
  onEvent: optional(callback<EventListener>()),
  clock: defaultTo(systemClock, clock)
}, REGISTER_OPTIONS)

/** All options as the code uses them: checked, complete, frozen, durations in seconds. */
export type Settings = Omit<Checked<typeof optionTable>, 'cookie'> & {
  readonly cookie: NamedCookie
  readonly sessions: { readonly maxPerUser: number | false }
}

/** Whether a store can list a user's sessions; the one that is there by default can. */
export function canList (store: SessionStore | undefined): boolean {
  return store === undefined || store.list !== undefined
}
