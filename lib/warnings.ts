import { type FastifyBaseLogger } from 'fastify'

/** Settings and surroundings that are legal but cause trouble later: the sentence names the trouble and the way out. */
const WARNINGS = {
  FST_AUTH_WARN_ACCESS_LIFETIME: 'option "accessToken.expiresIn" is over an hour: an access token works until it expires, even after a logout; set 10m, the default, or revocation: \'immediate\'',
  FST_AUTH_WARN_CLOCK: 'the clock of this process differs from that of the session store by `seconds`: synchronise all machines with NTP, since instances may differ by no more than a third of refreshToken.grace and accessToken.leeway',
  FST_AUTH_WARN_COOKIE_DOMAIN: 'option "cookie.domain" does not cover the host of a request, so browsers reject the cookie and log the user out at a reload: leave it out, or set it to the host or a parent of it; behind a proxy forward the Host of the browser',
  FST_AUTH_WARN_COOKIE_NAME: 'option "cookie.name" has no prefix, so other sub-domains can set the cookie: use the name in `suggestion`',
  FST_AUTH_WARN_COOKIE_PATH: 'option "cookie.path" does not cover the route in `refresh`, so browsers do not send the cookie to it: that is right only behind a proxy that rewrites paths; else leave the option out',
  FST_AUTH_WARN_CORS: 'the app\'s CORS headers allow credentials for any origin, or for one that is not in trustedOrigins, where this plugin refuses the request: give @fastify/cors a list of exact origins, and trustedOrigins the same list',
  FST_AUTH_WARN_CORS_MISSING: 'a page of a trusted origin called a route, whose reply has no Access-Control-Allow-Credentials, so its browser gives it no reply: register @fastify/cors before this plugin, with credentials: true; ignore this if a proxy adds the headers',
  FST_AUTH_WARN_HTTP_ORIGIN: 'option "trustedOrigins" has a page over plain http, which anybody on the network can forge: list origins with https only',
  FST_AUTH_WARN_KEYS_UNREAD: 'the key set cannot be read at start: requests with access tokens get 503 until it can; check the URL of the option "jwks", the network, and that the login service has the option "keys", since from a "secret" it publishes none',
  FST_AUTH_WARN_LEGACY_HASHES: 'option "passwords.verifyLegacy" is set without "users.updatePasswordHash": old hashes are verified and never replaced; give the function',
  FST_AUTH_WARN_MEMORY_STORE: 'sessions are in the memory of this process, end with it, and no other process sees them: set the option "store" to one in a database',
  FST_AUTH_WARN_NAME_TAKEN: 'app has a decorator with the name in `decorator` already, which is left unchanged: import the hook of that name instead',
  FST_AUTH_WARN_NO_FIND_BY_ID: '"users.findByUsername" is set without "users.findById": a refresh cannot see that a user was deleted or disabled, and no password can be changed; give it',
  FST_AUTH_WARN_OTHER_SITE: 'a page of a trusted origin is of another site than this API, and browsers keep no cookie of it there, so its users are logged out at a reload: serve both from one site, or set cookie: { sameSite: \'none\', partitioned: true }',
  FST_AUTH_WARN_PLAIN_HTTP: 'a page over plain http uses the routes, and browsers keep no Secure cookie of it, so its users are logged out at a reload: serve it over https, or open it at localhost; in development cookie: { secure: false } works too',
  FST_AUTH_WARN_PLUGIN_LATE: 'register the plugin in `plugin` before this one: it does not see routes that exist already',
  FST_AUTH_WARN_SHARED_COOKIE: 'another registration of this server has the same cookie, but no refresh key in common: each login replaces the cookie of the other; give each its own "cookie.name" or "cookie.path"',
  FST_AUTH_WARN_SHARED_KEY: 'another registration of this server has the same refresh key, but other "users", another "issuer" or another "audience": ' +
    'each accepts the tokens of the other\'s users; give each its own "secret", and its own cookie name or path',
  FST_AUTH_WARN_SHARED_STORE: 'another registration of this server has the same "store", but other "users": users with the same id see and end each other\'s sessions; give each its own store, or table or prefix',
  FST_AUTH_WARN_SHARED_USERS: 'another registration of this server has the same "users", and only one of the two has POST /login: if logins ask for a second factor, the password alone is enough at the other; set the same "routes" in both',
  FST_AUTH_WARN_SHORT_GRACE: 'option "refreshToken.grace" is under 15 seconds, the time that the browser client waits for a reply: a retry and a late reply can then end the session of an honest user; set 30s, the default',
  FST_AUTH_WARN_STORE_CLAIM: 'the session store could not be claimed for this app: its next call tries again; check that it is reachable',
  FST_AUTH_WARN_STORE_REFUSED: 'the session store refuses this app, so logins and refreshes answer 503: `err` says why and how to mend it',
  FST_AUTH_WARN_STORE_UNAVAILABLE: 'the session store is unavailable at start: logins and refreshes answer 503 until it is reachable',
  FST_AUTH_WARN_TEST_OPTIONS: 'the clock is that of testOptions(), so tokens never expire and any code of the process can log in as anybody: use it in tests only',
  FST_AUTH_WARN_TRUST_PROXY: 'X-Forwarded-For of a request is ignored, since trustProxy of Fastify is off: behind a proxy all users share its address, so failed logins of one lock out all; set trustProxy to the address of the proxy',
  FST_AUTH_WARN_UNCOVERED_ROUTES: 'the routes in `routes` answer 500 FST_AUTH_NOT_REGISTERED, since no registration of this plugin covers them: register it in their context or in one around it; a plugin of your own that registers it must be wrapped in fastify-plugin'
} as const satisfies Record<string, string>

/** The code of a warning, stable across releases. docs/operations.md has the table. */
export type WarningCode = keyof typeof WARNINGS

/** All codes, in the order of the table. */
export const warningCodes = Object.keys(WARNINGS) as readonly WarningCode[] // Object.keys is typed string[]

/** A warning as it is logged. The details are values of the app, never of a client. */
export interface Warning {
  readonly code: WarningCode
  readonly [detail: string]: unknown
}

export function logWarning (log: Pick<FastifyBaseLogger, 'warn'>, warning: Warning): void {
  log.warn(warning, `auth: ${WARNINGS[warning.code]}`)
}

/** Logs beside a request that goes on. A logger that throws, as by a serializer of the app, must not fail a login, nor end the process. */
export function logSafely (log: FastifyBaseLogger, level: 'debug' | 'info' | 'warn' | 'error', details: object, message: string): void {
  try {
    log[level](details, message)
  } catch {} // nothing else can report it
}
