import { type FastifyRequest, type HookHandlerDoneFunction } from 'fastify'
import { AuthError } from '../errors.js'
import { parseDuration, type Duration } from '../time.js'
import { type Authentication } from './authentication.js'
import { type RequestAuth } from './request-verbs.js'

/** A request that a hook takes: of any server (http, https, http2), logger and type provider. */
export interface ProtectedRequest {
  readonly auth: RequestAuth
}

/** A hook for onRequest or preHandler, or for @fastify/auth. It waits for nothing, so it costs no promise. */
export type AuthenticateHook = (request: ProtectedRequest, reply: object, done: HookHandlerDoneFunction) => void

/**
 * The hooks that protect routes. Where one refuses, the request ends with a 401 (RFC 6750 section 3), or with the code that
 * it names. Those of a whole app refuse nobody on the plugin's own routes, which say themselves who may call them.
 */
export interface AuthenticateHooks {
  /** Lets a request pass with a valid access token; `request.auth.claims` are its claims. */
  readonly authenticate: AuthenticateHook
  /** Lets a request without a token pass too: `request.auth.claimsOrNull` is null then. A bad token is refused all the same. */
  readonly authenticateOptional: AuthenticateHook
  /** As `authenticate`, and the session must not have ended: asks the store. Needs a store that keeps sessions. */
  readonly authenticateStrict: AuthenticateHook
  /**
   * Makes a hook that demands a login, or a reauthentication, not longer ago than `age`, else FST_AUTH_FRESH_LOGIN_REQUIRED. It
   * authenticates too, so it stands alone. Throws a TypeError for a wrong duration.
   */
  readonly requireFreshLogin: (age: Duration) => AuthenticateHook
}

// Symbols of both builds (ES module and CommonJS), which one process may load side by side.
/** Where a registration keeps the authentication of a request. */
export const AUTHENTICATION = Symbol.for('fastify-refresh-cookie.authentication')
const DEMANDING = Symbol.for('fastify-refresh-cookie.demanding')
const STRICT = Symbol.for('fastify-refresh-cookie.strict')

/** Whether a hook is one of ours that lets nobody pass without an access token. */
export function demandsAccessToken (hook: object): boolean {
  return DEMANDING in hook
}

/** Whether a hook is one of ours that asks the store. */
export function asksStore (hook: object): boolean {
  return STRICT in hook
}

type AuthenticationOf = (request: FastifyRequest) => Authentication

/** Builds the hooks; `authenticationOf` finds the authentication of a request, or throws. */
export function createHooks (authenticationOf: AuthenticationOf): AuthenticateHooks {
  return {
    authenticate: marked(hook(auth => auth.authenticateRequest(), authenticationOf), DEMANDING),
    authenticateOptional: hook(auth => auth.hasAccessToken ? auth.authenticateRequest() : undefined, authenticationOf),
    authenticateStrict: marked(hook(auth => auth.authenticateStrict(), authenticationOf), DEMANDING, STRICT),

    requireFreshLogin (age) {
      const maxAge = parseDuration(age)
      if (maxAge === null) throw new TypeError("requireFreshLogin takes a duration: whole seconds, or a number with a unit such as '5m'")
      return marked(hook(auth => {
        const pending = auth.authenticateRequest()
        return pending === undefined ? auth.assertFresh(maxAge) : pending.then(() => auth.assertFresh(maxAge))
      }, authenticationOf), DEMANDING)
    }
  }
}

/** The hooks that an app imports: each request is authenticated by the registration that covers its route, the nearest one. */
export const { authenticate, authenticateOptional, authenticateStrict, requireFreshLogin } = createHooks(registeredAuthentication)

function registeredAuthentication (request: FastifyRequest): Authentication {
  const registered: unknown = Reflect.get(request, AUTHENTICATION)
  if (registered === undefined) throw new AuthError('FST_AUTH_NOT_REGISTERED')
  return registered as Authentication // nobody else knows the symbol
}

function ofFastify (request: ProtectedRequest): FastifyRequest {
  return request as FastifyRequest // nothing else has request.auth; what differs between servers is not looked at
}

/** The hook of the plugin's own routes, which no request passes without a token. */
export function createOwnHook (authenticationOf: AuthenticationOf): AuthenticateHook {
  return hook(auth => auth.authenticateRequest(), authenticationOf, false)
}

/** A hook from a check that throws or rejects. With `exempts` what it refuses passes on the plugin's own routes. */
function hook (check: (auth: Authentication) => Promise<void> | void, authenticationOf: AuthenticationOf, exempts = true): AuthenticateHook {
  return (protectedRequest, _reply, done) => {
    assertCallback(done)
    const request = ofFastify(protectedRequest)
    let auth: Authentication | undefined
    let pending: Promise<void> | void
    try {
      auth = authenticationOf(request)
      pending = check(auth)
    } catch (error) {
      return refuse(error, auth)
    }
    // Not in the `try`: what a later handler throws is no refusal of ours.
    if (pending === undefined) return done()
    pending.then(() => done(), error => refuse(error, auth))

    /** Whether the route is exempt is asked only here, since that costs more than all the rest. */
    function refuse (error: unknown, auth: Authentication | undefined): void {
      if (exempts && auth?.isExempt) return done()
      auth?.refused(error)
      done(error as Error) // nothing here throws anything else
    }
  }
}

function marked (hook: AuthenticateHook, ...marks: readonly symbol[]): AuthenticateHook {
  for (const mark of marks) Object.defineProperty(hook, mark, { value: true })
  return hook
}

/** In the way that other plugins' hooks are called, nobody would hear of a refusal. */
function assertCallback (done: HookHandlerDoneFunction | undefined): void {
  if (typeof done === 'function') return
  throw new TypeError('this hook of fastify-refresh-cookie takes a callback: write { onRequest: authenticate }, or in your own code await request.auth.authenticate()')
}
