import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type RequestContext } from '../audit/events.js'
import { emitRefusal } from '../audit/refusals.js'
import { AuthError } from '../errors.js'
import { type Authenticate } from '../sessions/authenticate.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type Authentication } from './authentication.js'
import { asksStore, type AuthenticateHooks, AUTHENTICATION, createHooks } from './hooks.js'

import './request-verbs.js'

/** What every registration decorates its instance with. */
export interface AuthenticationDecorators extends AuthenticateHooks {
  /**
   * The claims of an access token that came another way, e.g. over a WebSocket, judged as the hooks judge it. Rejects with
   * the code that they would refuse it with.
   */
  readonly verifyAccessToken: (token: string) => Promise<AccessClaims>
  /** Reads keys again that come from a function or a key set. Rejects where that fails; the old ones then stay in use. */
  readonly reloadKeys: () => Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance extends AuthenticationDecorators {}
}

/** Marks the contexts that are ours, to tell a second registration from another plugin's decorator. */
const ours = Symbol('fastify-refresh-cookie')

/** Takes a context for this registration. Throws where another one has it. */
export function claimContext (fastify: FastifyInstance): void {
  if (Object.hasOwn(fastify, ours)) {
    throw new Error('fastify-refresh-cookie is registered twice in one context: register the second one inside app.register(async scope => { … }), with another prefix')
  }
  fastify.decorate(ours, true)
}

/** Decorates an instance. Throws where another plugin or the app has one of the names. */
export function decorateInstance (fastify: FastifyInstance, decorators: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(decorators)) explainingClashes(`app.${name}`, () => fastify.decorate(name, value))
}

/**
 * Decorates an instance with the hooks of this registration, `app.authenticate` and the others. A name that the app or
 * another plugin has is left to them, with a warning: the hooks can be imported.
 */
export function decorateHooks (fastify: FastifyInstance, authenticationOf: (request: FastifyRequest) => Authentication, strictRefusal: string | undefined): void {
  const hooks = createHooks(authenticationOf)
  for (const [name, hook] of Object.entries(hooks)) {
    if (Object.hasOwn(fastify, name)) fastify.log.warn(`auth: app.${name} is another plugin's or the app's own and stays so: import ${name} instead`)
    else fastify.decorate(name, hook)
  }
  if (strictRefusal === undefined) return
  fastify.addHook('onRoute', ({ onRequest, preParsing, preValidation, preHandler }) => {
    if ([onRequest, preParsing, preValidation, preHandler].flat().some(hook => hook !== undefined && asksStore(hook))) throw new TypeError(strictRefusal)
  })
}

/** `app.verifyAccessToken`: a refusal is an event too. */
export function verifyAccessTokenWith (authenticate: Authenticate, context: RequestContext): AuthenticationDecorators['verifyAccessToken'] {
  return token => refusing(context, async () => {
    if (typeof token !== 'string') throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return await authenticate(token, context)
  })
}

/** Runs an act that no request is behind: a refusal is an event too. */
export async function refusing<T> (context: RequestContext, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    emitRefusal(error, context)
    throw error
  }
}

/**
 * Decorates requests with `auth`, which is made when it is first asked for. `prepare` is given what finds the reply of a
 * request (null before our first hook). Gives what finds the authentication of a request.
 */
export function decorateRequest<T extends Authentication> (fastify: FastifyInstance, prepare: (replyOf: (request: FastifyRequest) => FastifyReply | null) => (request: FastifyRequest) => T): (request: FastifyRequest) => T {
  // Symbols of this registration, so that another one in an inner context has its own `request.auth`.
  const reply = Symbol('reply')
  const made = Symbol('auth')
  type Decorated = FastifyRequest & { [reply]: FastifyReply | null, [made]: T | null } // by the lines below
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
  explainingClashes('request.auth', () => fastify.decorateRequest<unknown, string>('auth', { getter })) // the app sees less of it than its type here
  fastify.decorateRequest<unknown, symbol>(AUTHENTICATION, { getter })
  return authenticationOf
}

function explainingClashes (name: string, decorate: () => unknown): void {
  try {
    decorate()
  } catch (cause) {
    throw new Error(`fastify-refresh-cookie decorates ${name}, which another plugin or the app has taken: register one of the two inside app.register(async scope => { … })`, { cause })
  }
}

/** A registration, by what decides whose tokens it accepts. */
export interface Registration {
  /** The ids of the keys of its refresh tokens. */
  readonly keyIds: readonly string[]
  /** The option `users` as the app gave it. */
  readonly users: object | undefined
  readonly issuer: readonly string[] | string | undefined
  readonly audience: readonly string[] | string | undefined
}

/** The registrations of each server, in whatever contexts they are. */
const registrations = new WeakMap<object, Registration[]>()

const MIXED = 'auth: another registration of this server has the same refresh key, but other "users", another "issuer" or another "audience": ' +
  'each accepts the tokens of the other\'s people; give each its own "secret", and its own cookie name or path'

/** Notes a registration. Gives a warning where another one of the server has a key in common and is for other people. */
export function noteRegistration ({ server }: Pick<FastifyInstance, 'server'>, registration: Registration): string | null {
  const others = registrations.get(server) ?? []
  registrations.set(server, [...others, registration])
  return others.some(other => sharesKey(other, registration) && !isForSamePeople(other, registration)) ? MIXED : null
}

function sharesKey (one: Registration, other: Registration): boolean {
  return one.keyIds.some(id => other.keyIds.includes(id))
}

function isForSamePeople (one: Registration, other: Registration): boolean {
  return one.users === other.users && isSame(one.issuer, other.issuer) && isSame(one.audience, other.audience)
}

function isSame (one: Registration['issuer'], other: Registration['issuer']): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
