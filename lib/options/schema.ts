import { type CounterClient } from '../accounts/attempt-counters.js'
import { type allowWeakHashing } from '../accounts/hash-format.js'
import { type PasswordCheck } from '../accounts/password-policy.js'
import { type PepperOptions, type VerifyLegacy } from '../accounts/hashing.js'
import { type SignupListener } from '../accounts/signup.js'
import { type AppClaims } from '../tokens/claims.js'
import { type EventListener } from '../events.js'
import { type KeyOptions } from '../keys/import.js'
import { type HmacAlgorithm, type Secret } from '../keys/ring.js'
import { keepsSessions, type SessionStore } from '../sessions/store.js'
import { systemClock, type Clock, type Duration } from '../time.js'
import { type User, type Users } from '../accounts/user.js'
import { cookie, type NamedCookie, audience, cacheBytes, field, keyRing, origin, passwords, rateLimit, route, secrets, store, urlPath, users } from './values.js'
import { type FormatTokenResponse } from '../http/token-response.js'
import { type RouteName } from '../http/routes/route.js'
import { callback, clock, DAY, defaultTo, duration, flag, group, integer, listOf, oneOf, optional, orFalse, REGISTER_OPTIONS, source, text, type Checked } from './validators.js'

/** The type of a method, so that options for users with more fields fit `register` too. */
type ClaimsOf<U> = { claims (user: U): Promise<AppClaims> | AppClaims }['claims']

/**
 * The options of `app.register(refreshCookie, options)`. Durations are whole seconds, or a number with a unit: '30s', '15m',
 * '12h', '7d', '2w'. All defaults are in docs/options.md.
 */
export interface RefreshCookieOptions<U extends User = User> {
  /**
   * At least 32 random bytes, as text or bytes; of a list the first signs and all verify. The keys of both kinds of token are
   * derived from it.
   */
  secret?: Secrets | Reloadable<Secrets> | undefined
  /**
   * The keys of access tokens, used as given, so that other services can verify them. Those of refresh tokens are still
   * derived from a secret. One key must sign: a service that only verifies registers `fastify-refresh-cookie/verifier`.
   */
  keys?: readonly KeyOptions[] | Reloadable<readonly KeyOptions[]> | undefined
  /** The interval at which secrets and keys that come from a function are read again. */
  reloadKeysEvery?: Duration | undefined
  /** The `iss` of access tokens. */
  issuer?: string | undefined
  /** The `aud` of access tokens; of a list a token must have one. Without it a token that has an `aud` is refused. */
  audience?: string | readonly string[] | undefined
  /**
   * A name of the app that never changes: a store that holds its sessions refuses any other app. Without it the keys of
   * refresh tokens identify the app.
   */
  appName?: string | undefined
  /** The path of the routes, below the prefix of the context that the plugin is registered in. */
  prefix?: string
  /** Paths of single routes, below `prefix`; false switches one off. */
  routes?: { [name in RouteName]?: string | false | undefined } | undefined
  /** The session store; `memoryStore()` by default. */
  store?: SessionStore | undefined
  /** The app's user table. */
  users?: Users<U> | undefined
  accounts?: {
    /** The name of the username in bodies, e.g. 'email'. */
    usernameField?: string | undefined
    /**
     * 'open' answers a signup with 201 and a session, or with 409 for a taken username, which reveals who has an account
     * (user enumeration). 'silent' answers 202 in both cases; the mail that `onSignup` sends contains the result.
     */
    signup?: 'open' | 'silent' | undefined
    /**
     * Called for every silent signup, whose reply does not wait for it; `user` is null if the username was taken. Send the link that
     * confirms the address, or a notice that somebody tried to sign up. Let `users.create` set `disabled` until the user
     * confirms: otherwise a login with that password reveals who has an account (user enumeration).
     */
    onSignup?: SignupListener | undefined
  } | undefined
  /** Origins besides the server's own whose pages may log in, refresh and log out (CSRF policy), e.g. 'https://app.example.com'. */
  trustedOrigins?: readonly string[] | undefined
  accessToken?: {
    /** The lifetime of an access token. */
    expiresIn?: Duration | undefined
    /** The algorithm of access tokens that are signed with `secret`. Each of `keys` states its own. */
    algorithm?: HmacAlgorithm | undefined
    /**
     * Returns the app's own claims, at most 4 KiB of JSON. Called at every login and refresh. They never override registered
     * claims.
     */
    claims?: ClaimsOf<U> | undefined
    /** The tolerance for `iat` and `nbf` in the future; `exp` is exact. */
    leeway?: Duration | undefined
    /**
     * The memory of the verification cache in bytes; 150,000,000 by default, for 100,000 tokens in use without claims of the
     * app. A token that is not in it is verified again. 0 verifies every token at every request.
     */
    cacheBytes?: number | undefined
  } | undefined
  refreshToken?: {
    /** The secrets of refresh tokens only; `secret` by default. */
    secret?: Secrets | Reloadable<Secrets> | undefined
    /** The longest time that a session lasts without a refresh; with `rotation: 'never'` the time it lasts from the login. */
    idle?: Duration | undefined
    /** The longest time that a session lasts from the login. */
    absolute?: Duration | undefined
    /**
     * 'always': each refresh replaces the refresh token. 'never': neither the token nor its expiry changes, and reuse is not
     * detected.
     */
    rotation?: 'always' | 'never' | undefined
    /**
     * The grace period, in which a replaced refresh token still gets its successor: for tabs, reloads and retries. 0 is
     * strict single use.
     */
    grace?: Duration | undefined
    /** True lets a replaced token work until its successor is replaced too, three times at most, for clients that lost the reply. */
    recoverLostReply?: boolean | undefined
    /**
     * 'body' is for native apps, which have no cookies: the token response holds the refresh token, and refresh and logout
     * take it in their body or as "Authorization: Bearer". Register the plugin twice to serve browsers too.
     */
    transport?: 'cookie' | 'body' | undefined
    /**
     * True lets a valid access token renew a session whose cookie expired or is missing. It turns a stolen access token into
     * a session, which reuse detection does not notice. It needs a store that keeps sessions.
     */
    renewWithAccessToken?: boolean | undefined
  } | undefined
  cookie?: {
    /** By default `__Host-Http-refresh`; `__Secure-refresh` with a domain or a path; `refresh` without `secure`. */
    name?: string | undefined
    /** '/' by default. It must cover the paths of refresh and logout. */
    path?: string | undefined
    /** Sends the cookie to the sub-domains of this domain too. By default it is sent to the server's own host only. */
    domain?: string | undefined
    /** 'strict' by default. 'none' is for pages of other sites, and needs `trustedOrigins`. */
    sameSite?: 'strict' | 'lax' | 'none' | undefined
    /** True by default. False is only for development over plain http, and refused in production. */
    secure?: boolean | undefined
    /** True partitions the cookie by the embedding site (CHIPS), for an app inside other sites' pages. False by default. */
    partitioned?: boolean | undefined
    /**
     * The settings of the cookie before they changed. Login, refresh and logout clear cookies with these settings, which
     * browsers still have. The name is `cookie.name` if that is given, else the default for the path and domain. Remove
     * the entry once `refreshToken.idle` has passed since the change.
     */
    former?: ReadonlyArray<{
      name?: string | undefined
      path?: string | undefined
      domain?: string | undefined
      partitioned?: boolean | undefined
    }> | undefined
  } | undefined
  /** Password policy and hashing (argon2id). */
  passwords?: {
    /** Memory for one hash, in KiB; 19456 by default. */
    memoryCost?: number | undefined
    /** Passes over the memory; 2 by default. */
    timeCost?: number | undefined
    /** Lanes; 1 by default. */
    parallelism?: number | undefined
    /** The minimum length of a new password in characters (Unicode code points), 8 to 64; 8 by default. */
    minLength?: number | undefined
    /** The app's own rule for new passwords, e.g. a look-up among breached ones. */
    check?: PasswordCheck | undefined
    /** Verifies hashes of other systems (bcrypt, scrypt, …); each is replaced at the next login of its owner. */
    verifyLegacy?: VerifyLegacy | undefined
    /**
     * A secret that is hashed with every password and kept outside the database: at least 32 random bytes, in a ring so that
     * it can change.
     */
    pepper?: PepperOptions | undefined
    /** The limits of the password queue. Work beyond them is answered 503. */
    queue?: {
      /** Hashes at once; 2 by default. libuv has 4 threads by default, and files and DNS need some of them. */
      concurrency?: number | undefined
      /** Hashes that may wait; 50 by default. */
      waiting?: number | undefined
      /** The longest wait; '5s' by default. */
      maxWait?: Duration | undefined
    } | undefined
    /** True allows hashing below the minimum, for tests; refused in production. */
    [allowWeakHashing]?: boolean | undefined
  } | undefined
  /**
   * Rate limits; false switches all of them off. A limit is `{ max, per }`, a list of limits that all apply, or false.
   * Failures count against the client address (`request.ip`: see Fastify's `trustProxy`) and the account.
   */
  rateLimit?: false | {
    /** Failed logins, and signups, of one IPv4 address or IPv6 /64. `{ max: 100, per: '15m' }` by default. */
    perAddress?: RateLimit | readonly RateLimit[] | false | undefined
    /** All attempts of one address, the successful ones too, since each costs a hash. `{ max: 1000, per: '15m' }` by default. */
    perAddressTotal?: RateLimit | readonly RateLimit[] | false | undefined
    /** Consecutive failed logins to one account. `[{ max: 10, per: '15m' }, { max: 100, per: '1d' }]` by default. */
    perAccount?: RateLimit | readonly RateLimit[] | false | undefined
    /** Refreshes of one session. `{ max: 60, per: '1m' }` by default. */
    perSession?: RateLimit | readonly RateLimit[] | false | undefined
    /** A client of ioredis or redis, so that all instances count together. By default each process counts in its memory. */
    redis?: CounterClient | undefined
    /**
     * The prefix of the keys in Redis. By default `auth:`, then `appName` or else the `kid` of the refresh key that signs at
     * the start, then `:`, so that two apps do not share counters.
     */
    keyPrefix?: string | undefined
  } | undefined
  /**
   * 'refresh': access tokens of an ended session work until they expire. 'immediate': they stop working on every
   * instance within milliseconds, or the interval at which the store polls; it needs a store with `subscribe`.
   */
  revocation?: 'refresh' | 'immediate' | undefined
  /**
   * With `revocation: 'immediate'`: the treatment of access tokens while it is unknown whether their sessions have ended,
   * because revocations do not arrive or the store does not answer in time. 'accept' accepts them until they expire.
   * 'refuse' asks the store at each request, and answers 503 FST_AUTH_STORE_UNAVAILABLE if the store does not answer.
   */
  revocationUnknown?: 'accept' | 'refuse' | undefined
  sessions?: {
    /**
     * The most live sessions of a user: 100 by default if the store can list them, else no limit. False is no limit: then
     * an attacker who knows a password can fill the store.
     */
    maxPerUser?: number | false | undefined
    /** A login beyond `maxPerUser` ends the oldest session, or is refused. */
    whenFull?: 'endOldest' | 'refuseLogin' | undefined
    /**
     * True: only the browser family of the login may use a replaced token in the grace period, recover a lost reply, or renew
     * with an access token.
     */
    bindUserAgent?: boolean | undefined
    /** The interval at which each instance deletes expired rows, from a random time on. False: run `app.sessions.purgeExpired()` yourself. */
    purgeEvery?: Duration | false | undefined
  } | undefined
  /** Time limits of calls to the store and to the app's functions. Beyond them the reply is 503. */
  timeouts?: {
    /** For one call. */
    call?: Duration | undefined
    /** For all calls of one request together. */
    request?: Duration | undefined
  } | undefined
  /**
   * Returns the response bodies of signup, login, refresh, password and reauthenticate. If it fails, or JSON cannot hold the
   * body, the reply is 503 and the cookie is still set.
   */
  formatTokenResponse?: FormatTokenResponse | undefined
  /** Called for every audit event: login, refresh, logout, reuse, refusal and others. Its errors are logged and change nothing. */
  onEvent?: EventListener | undefined
  /** Returns the time in seconds since the epoch, for tests. */
  clock?: Clock | undefined
}

/** One secret, or several: the first signs, all verify. */
type Secrets = Secret | readonly Secret[]

/** A function that is called at the start, every `reloadKeysEvery`, and by `app.reloadKeys()`. */
type Reloadable<T> = () => Promise<T> | T

/** At most `max` in a window of `per`, which starts with the first attempt. */
export interface RateLimit {
  max: number
  per: Duration
}

/** More than the devices of one person, and few enough for one list. */
export const MAX_PER_USER = 100

/** The validator and the default of each option. */
export const optionTable = group({
  secret: optional(source(secrets)),
  keys: optional(source(keyRing)),
  reloadKeysEvery: defaultTo('5m', duration(1, DAY)),
  issuer: optional(text),
  audience: optional(audience),
  appName: optional(text),
  prefix: defaultTo('/auth', urlPath),
  routes: group({
    signup: defaultTo('/signup', route),
    login: defaultTo('/login', route),
    refresh: defaultTo('/refresh', route),
    logout: defaultTo('/logout', route),
    session: defaultTo(false, route),
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
    leeway: defaultTo('5s', duration(0, 60)),
    cacheBytes
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
    bindUserAgent: defaultTo(false, flag),
    purgeEvery: defaultTo('1h', orFalse(duration(60, DAY)))
  }),
  timeouts: group({
    call: defaultTo('2s', duration(1, 60)),
    request: defaultTo('3s', duration(1, 60))
  }),
  formatTokenResponse: optional(callback<FormatTokenResponse>()),
  onEvent: optional(callback<EventListener>()),
  clock: defaultTo(systemClock, clock)
}, REGISTER_OPTIONS)

/** All options after validation: complete, frozen, durations in seconds. */
export type Settings = Omit<Checked<typeof optionTable>, 'cookie'> & {
  readonly cookie: NamedCookie
  readonly sessions: { readonly maxPerUser: number | false }
}

/** As `keepsSessions`, of the option: the default store does. */
export function storeKeepsSessions (store: SessionStore | undefined): boolean {
  return store === undefined || keepsSessions(store)
}
