import { type User } from '../accounts/user.js'
import { INSECURE_ORIGIN, isHostOnly } from '../browser-rules.js'
import { NEEDED_FUNCTIONS, type RouteName } from '../http/routes/route.js'
import { defaultCookieName, nameCookies } from './values.js'
import { storeKeepsSessions, MAX_PER_USER, optionTable, type RefreshCookieOptions, type Settings } from './schema.js'
import { refuseFirst } from './validators.js'
import { isMemoryStore } from '../stores/memory.js'
import { type Seconds } from '../time.js'
import { MAX_ISSUER_AND_AUDIENCE } from '../tokens/claims.js'
import { type Warning } from '../warnings.js'

/**
 * Validates the options and adds the defaults. An unknown name, a wrong value or a dangerous combination is a TypeError that
 * names the option, the value (never a secret) and the way out.
 */
export function readOptions (options: RefreshCookieOptions, production: boolean): Settings {
  const read = optionTable(options, '')
  const settings: Settings = Object.freeze({
    ...read,
    cookie: nameCookies(read.cookie),
    sessions: Object.freeze({ ...read.sessions, maxPerUser: read.sessions.maxPerUser ?? (storeKeepsSessions(read.store) && MAX_PER_USER) })
  })
  refuseFirst([...refusedCombinations(settings, options, production), ...routesWithoutUsers(options)])
  return settings
}

/**
 * Returns the options unchanged, typed by the app's own users: the parameter of `accessToken.claims` has the type that the
 * functions of `users` return. For TypeScript: `app.register(refreshCookie, refreshCookieOptions({ … }))`.
 */
export function refreshCookieOptions<U extends User> (options: RefreshCookieOptions<U>): RefreshCookieOptions {
  return options as object // the plugin calls `claims` only with users that `users` returned
}

/** Combinations of options that are refused, and the way out. */
function refusedCombinations (settings: Settings, given: RefreshCookieOptions, production: boolean): ReadonlyArray<readonly [refused: boolean, sentence: string]> {
  const { accessToken, refreshToken, cookie, users } = settings
  return [
    [settings.secret === undefined && settings.keys === undefined,
      'option "secret" is missing: give at least 32 random bytes, for example from "openssl rand -base64 48", kept outside the code'],
    [settings.keys !== undefined && settings.secret === undefined && refreshToken.secret === undefined,
      'option "refreshToken.secret" is missing: "keys" are for access tokens only; give at least 32 random bytes for refresh tokens'],
    [settings.keys !== undefined && settings.secret !== undefined && refreshToken.secret !== undefined,
      'option "secret" does nothing beside "keys" and "refreshToken.secret": leave it out'],
    [settings.keys !== undefined && given.accessToken?.algorithm !== undefined,
      'option "accessToken.algorithm" does nothing beside "keys", which name their own: leave it out'],
    [Buffer.byteLength(JSON.stringify([settings.issuer, settings.audience])) > MAX_ISSUER_AND_AUDIENCE,
      `options "issuer" and "audience" may have ${MAX_ISSUER_AND_AUDIENCE} bytes of JSON together: give shorter or fewer ones, or a token with many claims would be too long to be accepted`],
    [accessToken.expiresIn >= refreshToken.idle,
      'option "accessToken.expiresIn" must be shorter than "refreshToken.idle": an access token should not outlive its session'],
    [refreshToken.idle > refreshToken.absolute,
      'option "refreshToken.idle" must not be longer than "refreshToken.absolute", the longest lifetime of a session'],
    [refreshToken.grace >= refreshToken.idle,
      'option "refreshToken.grace" must be shorter than "refreshToken.idle"'],
    [refreshToken.grace === 0 && refreshToken.recoverLostReply,
      'option "refreshToken.grace" is 0 while "recoverLostReply" is true: for strict single use set recoverLostReply: false too'],
    [refreshToken.transport === 'body' && given.cookie !== undefined,
      'option "cookie" does nothing while "refreshToken.transport" is \'body\': leave one of the two out'],
    [refreshToken.renewWithAccessToken && refreshToken.transport === 'body',
      'option "refreshToken.renewWithAccessToken" is for cookies that a browser lost: leave it out where "refreshToken.transport" is \'body\''],
    [refreshToken.renewWithAccessToken && !storeKeepsSessions(settings.store),
      'option "refreshToken.renewWithAccessToken" needs a store that keeps sessions and can list them: use another store, or leave it out'],
    [accessToken.claims !== undefined && users?.findById === undefined,
      'option "accessToken.claims" needs "users.findById", since claims are computed again at every refresh'],
    [settings.accounts.signup === 'silent' && settings.accounts.onSignup === undefined,
      'option "accounts.signup" is \'silent\' without "accounts.onSignup": users would not learn the result of their signup; send them an e-mail there'],
    [settings.accounts.signup === 'open' && settings.accounts.onSignup !== undefined,
      'option "accounts.onSignup" is never called while "accounts.signup" is \'open\': set "accounts.signup" to \'silent\', or use onEvent'],
    [settings.accounts.onSignup !== undefined && users?.create === undefined,
      'option "accounts.onSignup" is never called without "users.create": give the function, or leave "accounts" out'],
    [settings.timeouts.call > settings.timeouts.request,
      'option "timeouts.call" must not be longer than "timeouts.request", the time of all calls together'],
    [settings.sessions.maxPerUser !== false && !storeKeepsSessions(settings.store),
      'option "sessions.maxPerUser" needs a store that can list a user\'s sessions: use another store, or leave it out, which then means no limit'],
    [given.sessions?.whenFull !== undefined && settings.sessions.maxPerUser === false,
      'option "sessions.whenFull" does nothing without a limit: set "sessions.maxPerUser", or leave "sessions.whenFull" out'],
    [settings.revocation === 'immediate' && settings.store !== undefined && settings.store.subscribe === undefined,
      'option "revocation" is \'immediate\', which needs a store that notifies this instance of revocations by others (subscribe): use another store, or \'refresh\''],
    [settings.revocationUnknown === 'refuse' && settings.revocation !== 'immediate',
      'option "revocationUnknown" is \'refuse\', which does nothing while "revocation" is \'refresh\': set "revocation" to \'immediate\', or leave "revocationUnknown" out'],
    [!cookie.secure && production,
      'option "cookie.secure" is false in production: serve the app over https and leave it true'],
    [!cookie.secure && cookie.sameSite === 'none',
      'option "cookie.sameSite" is \'none\' without "secure": browsers refuse such a cookie'],
    [cookie.sameSite === 'none' && settings.trustedOrigins.length === 0,
      'option "cookie.sameSite" is \'none\' without "trustedOrigins": any site could use the cookie; list the origins of your pages'],
    [cookie.partitioned && (cookie.sameSite !== 'none' || !cookie.secure),
      'option "cookie.partitioned" is for a cookie inside other sites\' pages: it needs sameSite: \'none\' and secure: true'],
    [/^__Host-/i.test(cookie.name) && (!isHostOnly(cookie) || !cookie.secure),
      'option "cookie.name" starts with "__Host-": browsers then require path \'/\', no domain and secure: true; leave the name out to get the right prefix'],
    [/^__(Secure|Http)-/i.test(cookie.name) && !cookie.secure,
      'option "cookie.name" starts with "__Secure-" or "__Http-": browsers then require secure: true; leave the name out to get the right prefix']
  ]
}

/** Routes that the app sets, but that do not exist without a function of `users`. */
function routesWithoutUsers ({ routes, users }: RefreshCookieOptions): ReadonlyArray<readonly [refused: boolean, sentence: string]> {
  return Object.entries(NEEDED_FUNCTIONS).flatMap(([route, functions]) => functions.map(name => [
    typeof routes?.[route as RouteName] === 'string' && users?.[name] === undefined, // Object.entries is typed string
    `option "routes.${route}" needs "users.${name}": give the function, or leave the route out`
  ] as const))
}

/** The time that the browser client waits for a reply. */
const CLIENT_TIMEOUT: Seconds = 15

/** Warnings about risky options. `worker` is true in a worker of node:cluster. */
export function warningsOf (settings: Settings, { production, worker }: { readonly production: boolean, readonly worker: boolean }): Warning[] {
  const { accessToken, cookie, refreshToken: { grace, rotation }, store, users } = settings
  const warnings: ReadonlyArray<readonly [applies: boolean, warning: Warning]> = [
    [accessToken.expiresIn > 3600,
      { code: 'FST_AUTH_WARN_ACCESS_LIFETIME' }],
    [cookie.secure && !cookie.name.startsWith('__'),
      { code: 'FST_AUTH_WARN_COOKIE_NAME', suggestion: defaultCookieName(cookie) }],
    [users?.findByUsername !== undefined && users.findById === undefined,
      { code: 'FST_AUTH_WARN_NO_FIND_BY_ID' }],
    [settings.passwords.verifyLegacy !== undefined && users?.updatePasswordHash === undefined,
      { code: 'FST_AUTH_WARN_LEGACY_HASHES' }],
    // Nobody sets a grace of 0 by mistake: it is refused unless recoverLostReply is false too.
    [rotation === 'always' && grace > 0 && grace < CLIENT_TIMEOUT,
      { code: 'FST_AUTH_WARN_SHORT_GRACE' }],
    [production && settings.trustedOrigins.some(origin => INSECURE_ORIGIN.test(origin)),
      { code: 'FST_AUTH_WARN_HTTP_ORIGIN' }],
    // An app that chose memory may have one process.
    [store === undefined ? production || worker : worker && isMemoryStore(store),
      { code: 'FST_AUTH_WARN_MEMORY_STORE' }]
  ]
  return warnings.filter(([applies]) => applies).map(([, warning]) => warning)
}
