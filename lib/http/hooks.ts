import { type FastifyRequest, type HookHandlerDoneFunction } from 'fastify'
import { parseDuration, type Clock, type Duration } from '../time.js'
import { AuthError } from '../errors.js'
import { bearerToken } from './headers.js'
import { type HttpRequestAuth, type RequestAuth } from './request-auth.js'

/** A request that a hook takes: of any server (http, https, http2), logger and type provider. */
export interface ProtectedRequest {
  readonly auth: RequestAuth
}

/** A hook for onRequest or preHandler, or for @fastify/auth. It waits for nothing, so it costs no promise. */
export type AuthenticateHook = (request: ProtectedRequest, reply: object, done: HookHandlerDoneFunction) => void

/** As `AuthenticateHook`, with a promise, since it asks the store. */
export type AsyncAuthenticateHook = (request: ProtectedRequest, reply: object) => Promise<void>

/** The hooks that protect routes. Those of a whole app refuse nobody on our own routes, which say themselves who may call them. */
export interface AuthenticateHooks {
  /** Only with a valid access token; `request.auth.claims` are its claims. */
  readonly authenticate: AuthenticateHook
  /** Without a token `request.auth.claims` is null; a bad token is refused all the same. */
  readonly authenticateOptional: AuthenticateHook
  /**
   * Makes a hook that demands a login, or a re-authentication, not longer ago than `age`. It authenticates too, so it
   * stands alone. Throws a TypeError for a wrong duration.
   */
  readonly requireFreshLogin: (age: Duration) => AuthenticateHook
  /** As `authenticate`, and the session must not have ended: asks the store. */
  readonly authenticateStrict: AsyncAuthenticateHook
}

const demanding = new WeakSet<object>()

/** Whether a hook is one of ours that lets nobody pass without an access token. */
export function demandsAccessToken (hook: object): boolean {
  return demanding.has(hook)
}

/** What the routes of the plugin itself do about these hooks. */
export interface OwnRoutes {
  /** As `AuthenticateHooks.authenticate`, for a route of ours that needs it. */
  readonly authenticate: AuthenticateHook
  /** What the config of a route holds that says itself who may call it: a hook of the whole app refuses nobody there. */
  readonly exempt: object
}

/** Builds the hooks; `authOf` gives the `request.auth` of a request. */
export function createAuthenticateHooks (authOf: (request: FastifyRequest) => HttpRequestAuth, clock: Clock): { hooks: AuthenticateHooks, ownRoutes: OwnRoutes } {
  const exempt = Symbol('a route of this registration')
  // Asked only about a refusal: to ask costs more than all the rest of a request that is let through.
  const refusalOf: RefusalOf = (error, request) => {
    if (exempt in request.routeOptions.config) return null
    authOf(request).refused(error)
    return error as Error // nothing here throws anything else
  }
  const authenticateNow = (request: FastifyRequest): Promise<void> | void => authOf(request).authenticateNow()
  const authenticate = hook(authenticateNow, refusalOf)

  const authenticateStrict: AsyncAuthenticateHook = async request => {
    try {
      await authOf(ofFastify(request)).authenticateStrict()
    } catch (error) {
      const refusal = refusalOf(error, ofFastify(request))
      if (refusal !== null) throw refusal
    }
  }
  demanding.add(authenticateStrict)

  const hooks: AuthenticateHooks = {
    authenticate,

    authenticateOptional (request, reply, done) {
      assertCallback(done)
      if (bearerToken(ofFastify(request).headers) === null) done()
      else authenticate(request, reply, done)
    },

    requireFreshLogin (age) {
      const maxAge = parseDuration(age)
      if (maxAge === null) throw new TypeError("requireFreshLogin takes a duration: whole seconds, or a number with a unit such as '5m'")
      return hook(request => {
        const auth = authOf(request)
        const assertFresh = (): void => {
          if (clock() - auth.authTime > maxAge) throw new AuthError('FST_AUTH_FRESH_LOGIN_REQUIRED')
        }
        const pending = auth.authenticateNow()
        return pending === undefined ? assertFresh() : pending.then(assertFresh)
      }, refusalOf)
    },

    authenticateStrict
  }
  // The error handler of our routes takes care of the refusal.
  const authenticateOwn = hook(authenticateNow, error => error as Error)
  return { hooks, ownRoutes: { authenticate: authenticateOwn, exempt: { [exempt]: true } } }
}

function ofFastify (request: ProtectedRequest): FastifyRequest {
  return request as FastifyRequest // nothing else has request.auth; what differs between servers is not looked at
}

/** The refusal that a failed check causes; null where the request passes all the same. */
type RefusalOf = (error: unknown, request: FastifyRequest) => Error | null

/** A hook from a check that throws or rejects. */
function hook (check: (request: FastifyRequest) => Promise<void> | void, refusalOf: RefusalOf): AuthenticateHook {
  const authenticating: AuthenticateHook = (request, _reply, done) => {
    assertCallback(done)
    let pending: Promise<void> | void
    try {
      pending = check(ofFastify(request))
    } catch (error) {
      return refuse(error, ofFastify(request), done)
    }
    // Not in the `try`: what a later handler throws is no refusal of ours.
    if (pending === undefined) return done()
    pending.then(() => done(), error => refuse(error, ofFastify(request), done))
  }
  demanding.add(authenticating)
  return authenticating

  function refuse (error: unknown, request: FastifyRequest, done: HookHandlerDoneFunction): void {
    const refusal = refusalOf(error, request)
    if (refusal === null) done()
    else done(refusal)
  }
}

/** In the way that other plugins' hooks are called, nobody would hear of a refusal. */
function assertCallback (done: HookHandlerDoneFunction | undefined): void {
  if (done !== undefined) return
  throw new TypeError('this hook of fastify-refresh-cookie takes a callback: write { onRequest: [app.authenticate] }, or in your own code await request.auth.authenticate()')
}
