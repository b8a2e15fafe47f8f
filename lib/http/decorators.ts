import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { type Passwords } from '../accounts/hashing.js'
import { type AccessClaims } from '../tokens/claims.js'
import { type RequestContext } from '../audit/events.js'
import { emitRefusal } from '../audit/refusals.js'
import { type Session } from '../sessions/session.js'
import { type UserId } from '../accounts/user.js'
import { type SessionListOptions } from '../sessions/list.js'
import { createAfterReply } from './after-response.js'
import { type AuthenticateHooks } from './hooks.js'
import { HttpRequestAuth, type RequestAuth, type RequestAuthDependencies } from './request-auth.js'

/** `app.sessions`: what an administrator can do to anybody's sessions. */
export interface SessionAdministration {
  /**
   * The subject's live sessions, oldest first, 100 by default; the next part is `after` the last of this one. Needs a store
   * that keeps sessions.
   */
  list (subject: UserId, part?: SessionListOptions): Promise<Session[]>
  /** Ends a session; false where there was none to end. */
  revoke (id: string): Promise<boolean>
  /**
   * Ends all sessions of a subject, e.g. after a password reset, however many there are. Resolves to how many. Where it
   * rejects some may have ended; the next call goes on with the others.
   */
  revokeAll (subject: UserId): Promise<number>
  /** Deletes rows that nobody needs any more, in batches; run it now and then. Resolves to how many; to 0 where the store forgets by itself, as Redis does. */
  purgeExpired (): Promise<number>
}

/** What an instance is decorated with. */
export interface InstanceDecorators extends AuthenticateHooks {
  /** The claims of an access token that came another way, e.g. over a WebSocket. Throws as `authenticate` refuses. */
  readonly verifyAccessToken: (token: string) => AccessClaims
  /** Reads keys again that come from a function or a key set. Rejects where that fails; the old ones then stay in use. */
  readonly reloadKeys: () => Promise<void>
  readonly sessions: SessionAdministration
  /** For apps with their own signup or password reset. */
  readonly passwords: Passwords
}

declare module 'fastify' {
  interface FastifyInstance extends InstanceDecorators {}
  interface FastifyRequest {
    /** Who sends the request, and the verbs of a login. */
    auth: RequestAuth
  }
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

/** Decorates the instance. A getter that throws tells at start-up that a decorator cannot work with this store. */
export function decorateInstance (fastify: FastifyInstance, decorators: InstanceDecorators): void {
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(decorators))) {
    const value: unknown = descriptor.get === undefined ? descriptor.value : { getter: descriptor.get }
    explainingClashes(`app.${name}`, () => fastify.decorate(name, value))
  }
}

/** `app.verifyAccessToken`: a refusal is an event too. */
export function verifyingTokens (verify: (token: string) => AccessClaims, context: Pick<RequestContext, 'emit'>): InstanceDecorators['verifyAccessToken'] {
  return token => {
    try {
      return verify(token)
    } catch (error) {
      emitRefusal(error, context)
      throw error
    }
  }
}

/**
 * Decorates requests with `auth`, made when it is first asked for. Gives a function that reads it.
 */
export function decorateRequest (fastify: FastifyInstance, dependencies: Omit<RequestAuthDependencies, 'replyOf' | 'afterReply'>): (request: FastifyRequest) => HttpRequestAuth {
  // Symbols of this registration, so that another one in an inner context has its own `request.auth`.
  const reply = Symbol('reply')
  const made = Symbol('auth')
  type Decorated = FastifyRequest & { [reply]: FastifyReply | null, [made]: HttpRequestAuth | null } // by the lines below

  const replyOf = (request: FastifyRequest): FastifyReply | null => (request as Decorated)[reply]
  const plugin = { ...dependencies, replyOf, afterReply: createAfterReply(fastify) }

  function authOf (request: FastifyRequest): HttpRequestAuth {
    const decorated = request as Decorated
    decorated[made] ??= new HttpRequestAuth(plugin, request)
    return decorated[made]
  }

  fastify.decorateRequest(reply, null)
  fastify.decorateRequest(made, null)
  fastify.addHook('onRequest', (request, itsReply, done) => {
    (request as Decorated)[reply] = itsReply
    done()
  })
  explainingClashes('request.auth', () => fastify.decorateRequest('auth', {
    getter () {
      return authOf(this) as RequestAuth // which promises its claims, as its documentation says
    }
  }))
  return authOf
}

function explainingClashes (name: string, decorate: () => unknown): void {
  try {
    decorate()
  } catch (cause) {
    throw new Error(`fastify-refresh-cookie decorates ${name}, which another plugin or the app has taken: register one of the two inside app.register(async scope => { … })`, { cause })
  }
}
