import { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify'
import { type RequestContext } from '../audit/events.js'
import { emitRefusal } from '../audit/refusals.js'
import { AuthError } from '../errors.js'
import { type Authenticate } from '../sessions/authenticate.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type Authentication } from './authentication.js'
import { isSafe } from './csrf.js'
import { isByCookie, isStrict, type AuthenticateHooks, AUTHENTICATION, createHooks } from './hooks.js'

import './request-auth-api.js'

/** The decorators of an app, with or without sessions: the hooks, `verifyAccessToken` and `reloadKeys`. */
export interface AuthenticationDecorators extends AuthenticateHooks {
  /**
   * The claims of an access token that did not come in an Authorization header, e.g. over a WebSocket. It verifies exactly as
   * `authenticate` does and rejects with the same AuthError.
   */
  readonly verifyAccessToken: (token: string) => Promise<AccessClaims>
  /** Reads the keys of a function or a JWKS URL again. If that fails it rejects, and the old keys stay in use. */
  readonly reloadKeys: () => Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance extends AuthenticationDecorators {}
}

/** Marks the contexts of a registration, to distinguish a second one from another plugin's decorator. */
const ours = Symbol('fastify-refresh-cookie')

/** Throws if the context has a registration already. */
export function claimContext (fastify: FastifyInstance): void {
  if (Object.hasOwn(fastify, ours)) {
    throw new Error('fastify-refresh-cookie is registered twice in one context: register the second one inside app.register(async scope => { … }), with another prefix')
  }
  fastify.decorate(ours, true)
}

/** Throws if the app or another plugin has one of the names. */
export function decorateInstance (fastify: FastifyInstance, decorators: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(decorators)) decorateOrExplain(`app.${name}`, () => fastify.decorate(name, value))
}

/**
 * Decorates an instance with its hooks, `app.authenticate` and the others. Skips a name that the app or another plugin
 * has, with a warning, since the hooks can be imported. Routes registered from now on must fit their hooks.
 */
export function decorateHooks (fastify: FastifyInstance, authenticationOf: (request: FastifyRequest) => Authentication, refusals: HookRefusals): void {
  const hooks = createHooks(authenticationOf)
  for (const [name, hook] of Object.entries(hooks)) {
    if (Object.hasOwn(fastify, name)) fastify.log.warn(`auth: app.${name} is already decorated by the app or another plugin and left unchanged: import ${name} instead`)
    else fastify.decorate(name, hook)
  }
  fastify.addHook('onRoute', route => assertHooksFit(route, refusals))
}

/** The error messages of hooks that cannot work in an app. */
export interface HookRefusals {
  readonly strictRefusal?: string | undefined
  readonly cookieRefusal?: string | undefined
}

function assertHooksFit ({ method, onRequest, preParsing, preValidation, preHandler }: RouteOptions, { strictRefusal, cookieRefusal }: HookRefusals): void {
  const hooks = [onRequest, preParsing, preValidation, preHandler].flat().filter(hook => hook !== undefined)
  if (strictRefusal !== undefined && hooks.some(isStrict)) throw new TypeError(strictRefusal)
  if (!hooks.some(isByCookie)) return
  if (cookieRefusal !== undefined) throw new TypeError(cookieRefusal)
  if (![method].flat().every(isSafe)) throw new TypeError('authenticateByCookie protects GET and HEAD only, since a browser sends the cookie with requests of other sites too: use authenticate')
}

export function verifyAccessTokenWith (authenticate: Authenticate, context: RequestContext): AuthenticationDecorators['verifyAccessToken'] {
  return token => refusing(context, async () => {
    if (typeof token !== 'string') throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return await authenticate(token, context)
  })
}

/** Emits an event for a refusal outside a request, and rethrows it. */
export async function refusing<T> (context: RequestContext, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    emitRefusal(error, context)
    throw error
  }
}

/**
 * Decorates requests with `auth`, created on first use. `prepare` receives a function that finds the reply of a request (null
 * before our first hook). Returns the function that finds the authentication of a request.
 */
export function decorateRequest<T extends Authentication> (fastify: FastifyInstance, prepare: (replyOf: (request: FastifyRequest) => FastifyReply | null) => (request: FastifyRequest) => T): (request: FastifyRequest) => T {
  // Symbols per registration, so that one in an inner context has its own `request.auth`.
  const reply = Symbol('reply')
  const made = Symbol('auth')
  type Decorated = FastifyRequest & { [reply]: FastifyReply | null, [made]: T | null } // decorated below
  const create = prepare(request => (request as Decorated)[reply])

  function authenticationOf (request: FastifyRequest): T {
    const decorated = request as Decorated
    decorated[made] ??= create(request)
    return decorated[made]
  }

  fastify.decorateRequest(reply, null)
  fastify.decorateRequest(made, null)
  fastify.addHook('onRequest', (request, itsReply, done) => {
    (request as Decorated)[reply] = itsReply
    done()
  })
  const getter = function (this: FastifyRequest): Authentication { return authenticationOf(this) }
  decorateOrExplain('request.auth', () => fastify.decorateRequest<unknown, string>('auth', { getter })) // RequestAuth declares only a part of it
  fastify.decorateRequest<unknown, symbol>(AUTHENTICATION, { getter })
  return authenticationOf
}

function decorateOrExplain (name: string, decorate: () => unknown): void {
  try {
    decorate()
  } catch (cause) {
    throw new Error(`fastify-refresh-cookie decorates ${name}, which the app or another plugin has decorated already: register one of the two inside app.register(async scope => { … })`, { cause })
  }
}

/** The parts of a registration that decide which tokens it accepts. */
export interface Registration {
  /** The ids of its refresh keys. */
  readonly keyIds: readonly string[]
  /** The option `users` as the app gave it. */
  readonly users: object | undefined
  readonly issuer: readonly string[] | string | undefined
  readonly audience: readonly string[] | string | undefined
}

/** All registrations of a server, across contexts. */
const registrations = new WeakMap<object, Registration[]>()

const MIXED = 'auth: another registration of this server has the same refresh key, but other "users", another "issuer" or another "audience": ' +
  'each accepts the tokens of the other\'s users; give each its own "secret", and its own cookie name or path'

/** Returns a warning if another registration of the server shares a refresh key but has other users, another issuer or audience. */
export function noteRegistration ({ server }: Pick<FastifyInstance, 'server'>, registration: Registration): string | null {
  const others = registrations.get(server) ?? []
  registrations.set(server, [...others, registration])
  return others.some(other => sharesKey(other, registration) && !hasSameUsers(other, registration)) ? MIXED : null
}

function sharesKey (one: Registration, other: Registration): boolean {
  return one.keyIds.some(id => other.keyIds.includes(id))
}

function hasSameUsers (one: Registration, other: Registration): boolean {
  return one.users === other.users && isSame(one.issuer, other.issuer) && isSame(one.audience, other.audience)
}

function isSame (one: Registration['issuer'], other: Registration['issuer']): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
