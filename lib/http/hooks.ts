import { type FastifyRequest, type HookHandlerDoneFunction } from 'fastify'
import { AuthError } from '../errors.js'
import { parseDuration, type Duration } from '../time.js'
import { type RequestAuth, type TokenAuth } from './request-auth.js'
import { IMPORTED, warnOfUncoveredRoutes } from './setup-warnings.js'

/** The request of a hook. It fits every server (http, https, http2), logger and type provider. */
export interface ProtectedRequest {
  readonly auth: RequestAuth
}

/** A hook with a callback, for `onRequest` or `preHandler`, or for @fastify/auth. On refusal it calls `done` with the error, else without one. */
export type AuthenticateHook = (request: ProtectedRequest, reply: object, done: HookHandlerDoneFunction) => void

/**
 * The hooks that protect routes. A refusal is an AuthError: 401 (RFC 6750 section 3), 403 for a login that is too old,
 * 503 FST_AUTH_STORE_UNAVAILABLE where the store must be asked and fails. A hook of a whole app exempts the plugin's
 * own routes, such as login and refresh, which authenticate by themselves.
 */
export interface AuthenticateHooks {
  /** Requires a valid access token and sets `request.auth.claims`. */
  readonly authenticate: AuthenticateHook
  /** Accepts a request without a token too; `request.auth.claimsOrNull` is then null. An invalid token is refused. */
  readonly authenticateOptional: AuthenticateHook
  /**
   * Authenticates a page, a download or a WebSocket upgrade by the refresh cookie, and sets `request.auth.identity`: see
   * `request.auth.identify`. It rotates nothing and sets no cookie. For GET and HEAD only: a route of another method is refused with a
   * TypeError once the plugin is loaded, else and below a hook of a whole app with 401 FST_AUTH_ACCESS_TOKEN_MISSING. Requests of other
   * sites are refused with 403 FST_AUTH_CROSS_SITE, except navigations of a whole tab.
   */
  readonly authenticateByCookie: AuthenticateHook
  /** As `authenticate`, and asks the store on every request whether the session has ended. Needs a store that keeps sessions. */
  readonly authenticateStrict: AuthenticateHook
  /**
   * Makes a hook that authenticates and also requires a login or reauthentication at most `age` ago (whole seconds, or a text
   * such as '5m'). An older one is refused with FST_AUTH_FRESH_LOGIN_REQUIRED. It asks the store as `authenticateStrict` does, if the
   * store keeps sessions: a session that has ended must not add a way to log in. Throws a TypeError for an invalid duration.
   */
  readonly requireFreshLogin: (age: Duration) => AuthenticateHook
}

// Global symbols, since one process may load two copies of this package.
/** The property of a request that holds its authentication. */
export const AUTHENTICATION = Symbol.for('fastify-refresh-cookie.authentication')
const REQUIRES_TOKEN = Symbol.for('fastify-refresh-cookie.requiresToken')
const STRICT = Symbol.for('fastify-refresh-cookie.strict')
const BY_COOKIE = Symbol.for('fastify-refresh-cookie.byCookie')
const UNCALLED = Symbol.for('fastify-refresh-cookie.uncalled')

export function requiresAccessToken (hook: object): boolean {
  return REQUIRES_TOKEN in hook
}

export function isStrict (hook: object): boolean {
  return STRICT in hook
}

/** True for `requireFreshLogin` itself, in place of a hook that it returns. */
export function isUncalled (hook: object): boolean {
  return UNCALLED in hook
}

export function isByCookie (hook: object): boolean {
  return BY_COOKIE in hook
}

const NO_CALLBACK = 'this hook of fastify-refresh-cookie takes a callback: write { onRequest: authenticate }, or in your own code await request.auth.authenticate()'

type AuthenticationOf = (request: FastifyRequest) => TokenAuth

export function createHooks (authenticationOf: AuthenticationOf): AuthenticateHooks {
  const hooks: AuthenticateHooks = {
    authenticate: marked(hook(auth => auth.authenticateRequest(), authenticationOf), REQUIRES_TOKEN),
    authenticateOptional: hook(auth => auth.hasAccessToken ? auth.authenticateRequest() : undefined, authenticationOf),
    authenticateByCookie: marked(hook(auth => auth.authenticateByCookie(), authenticationOf), BY_COOKIE),
    authenticateStrict: marked(hook(auth => auth.authenticateStrict(), authenticationOf), REQUIRES_TOKEN, STRICT),

    requireFreshLogin (age) {
      const maxAge = parseDuration(age)
      if (maxAge === null) throw new TypeError("requireFreshLogin takes a duration, whole seconds or a number with a unit such as '5m', and is no hook itself: write requireFreshLogin('5m')")
      return marked(hook(auth => auth.authenticateFresh(maxAge), authenticationOf), REQUIRES_TOKEN)
    }
  }
  Object.defineProperty(hooks.requireFreshLogin, UNCALLED, { value: true })
  return hooks
}

/**
 * The hooks that an app imports. The nearest registration that covers the route authenticates the request. Without one the
 * request is refused with 500 FST_AUTH_NOT_REGISTERED.
 */
export const { authenticate, authenticateByCookie, authenticateOptional, authenticateStrict, requireFreshLogin } = createHooks(registeredAuthentication)

/**
 * The CSRF check of the plugin's own routes, for routes of the app that change something: a request of another site's page is
 * refused with 403 FST_AUTH_CROSS_SITE, by `Sec-Fetch-Site` and `Origin`. GET, HEAD and OPTIONS pass, so it may protect a whole
 * app; so do routes with `config: { crossSite: true }`. A route that calls `request.auth.login`, `verifyPassword`, `refresh` or
 * `logout` is checked without it. Without a registration that covers the route it answers 500 FST_AUTH_NOT_REGISTERED.
 */
export const refuseCrossSite: AuthenticateHook = hook(refuseUnsafe, registeredAuthentication)

function registeredAuthentication (request: FastifyRequest): TokenAuth {
  const registered: unknown = Reflect.get(request, AUTHENTICATION)
  if (registered === undefined) throw new AuthError('FST_AUTH_NOT_REGISTERED')
  return registered as TokenAuth // only decorateRequest sets it
}

warnOfUncoveredRoutes(AUTHENTICATION)

/** The hooks of the plugin's own routes. */
export interface OwnHooks {
  readonly authenticate: AuthenticateHook
  /** The CSRF policy, for all of them. */
  readonly refuseCrossSite: AuthenticateHook
}

function refuseUnsafe (auth: TokenAuth): void {
  auth.refuseCrossSite('unless safe')
}

/** Unlike the hooks of an app they do not exempt these routes. */
export function createOwnHooks (authenticationOf: AuthenticationOf): OwnHooks {
  return {
    authenticate: hook(auth => auth.authenticateRequest(), authenticationOf, false),
    refuseCrossSite: hook(refuseUnsafe, authenticationOf, false)
  }
}

/** A hook from a check that throws or rejects. With `exempts` the plugin's own routes ignore the refusal. */
function hook (check: (auth: TokenAuth) => Promise<void> | void, authenticationOf: AuthenticationOf, exempts = true): AuthenticateHook {
  const marks = authenticationOf === registeredAuthentication ? [IMPORTED] : []
  return marked((request, _reply, done) => {
    // If another plugin calls the hook without a callback, a refusal would be lost and the request accepted.
    if (typeof done !== 'function') throw new TypeError(NO_CALLBACK)
    let auth: TokenAuth | undefined
    let pending: Promise<void> | void
    try {
      auth = authenticationOf(request as FastifyRequest) // the hooks use no property that differs between server types
      pending = check(auth)
    } catch (error) {
      return refuse(error, auth)
    }
    // Outside the `try`: an error that a later handler throws is no refusal.
    if (pending === undefined) return done()
    pending.then(() => done(), error => refuse(error, auth))

    /** Checks the exemption only on refusal: the check costs more than the rest of the hook. */
    function refuse (error: unknown, auth: TokenAuth | undefined): void {
      if (exempts && auth?.isOwnRoute) return done()
      auth?.recordRefusal(error)
      done(error as Error) // the checks throw only errors
    }
  }, ...marks)
}

function marked (hook: AuthenticateHook, ...marks: readonly symbol[]): AuthenticateHook {
  for (const mark of marks) Object.defineProperty(hook, mark, { value: true })
  return hook
}
