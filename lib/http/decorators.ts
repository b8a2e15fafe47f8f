import { type FastifyInstance, type FastifyRequest, type RouteOptions } from 'fastify'
import { emitRefusal, type RequestContext } from '../events.js'
import { AuthError } from '../errors.js'
import { type Authenticate } from '../sessions/authenticate.js'
import { type AccessClaims } from '../tokens/claims.js'
import { logWarning } from '../warnings.js'
import { isSafe } from './csrf.js'
import { isByCookie, isStrict, isUncalled, type AuthenticateHooks, AUTHENTICATION, createHooks } from './hooks.js'
import { type UnusableHooks, REPLY, type TokenAuth } from './request-auth.js'

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

/** Throws if the app or another plugin has one of the names. */
export function decorateInstance (fastify: FastifyInstance, decorators: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(decorators)) decorateOrExplain(`app.${name}`, () => fastify.decorate(name, value))
}

/**
 * Decorates an instance with its hooks, `app.authenticate` and the others. Skips a name that the app or another plugin
 * has, with a warning, since the hooks can be imported. Routes registered from now on must fit their hooks.
 */
export function decorateHooks (fastify: FastifyInstance, authenticationOf: (request: FastifyRequest) => TokenAuth, unusableHooks: UnusableHooks): void {
  const hooks = createHooks(authenticationOf)
  for (const [name, hook] of Object.entries(hooks)) {
    if (Object.hasOwn(fastify, name)) logWarning(fastify.log, { code: 'FST_AUTH_WARN_NAME_TAKEN', decorator: name })
    else fastify.decorate(name, hook)
  }
  fastify.addHook('onRoute', route => assertHooksFit(route, unusableHooks))
}

function assertHooksFit ({ method, onRequest, preParsing, preValidation, preHandler }: RouteOptions, { strict, byCookie }: UnusableHooks): void {
  const hooks = [onRequest, preParsing, preValidation, preHandler].flat().filter(hook => hook !== undefined)
  if (hooks.some(isUncalled)) throw new TypeError("requireFreshLogin is no hook itself: write requireFreshLogin('5m')")
  if (strict !== undefined && hooks.some(isStrict)) throw new TypeError(strict)
  if (!hooks.some(isByCookie)) return
  if (byCookie !== undefined) throw new TypeError(byCookie)
  if (![method].flat().every(isSafe)) throw new TypeError('authenticateByCookie protects GET and HEAD only, since a browser sends the cookie with requests of other sites too: use authenticate')
}

export function verifyAccessTokenWith (authenticate: Authenticate, context: RequestContext): AuthenticationDecorators['verifyAccessToken'] {
  return token => recordingRefusals(context, async () => {
    if (typeof token !== 'string') throw new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
    return await authenticate(token, context)
  })
}

/** Emits an event for a refusal outside a request, and rethrows it. */
export async function recordingRefusals<T> (context: RequestContext, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    emitRefusal(error, context)
    throw error
  }
}

/** Decorates requests with `auth`, created on first use. Returns the function that finds it. */
export function decorateRequest<P, T extends TokenAuth> (fastify: FastifyInstance, Auth: new (parts: P, request: FastifyRequest) => T, parts: P): (request: FastifyRequest) => T {
  // A symbol per registration, so that one in an inner context has its own `request.auth`.
  const made = Symbol('auth')
  type Decorated = FastifyRequest & { [made]: T | null } // decorated below

  function authenticationOf (request: FastifyRequest): T {
    const decorated = request as Decorated
    decorated[made] ??= new Auth(parts, request)
    return decorated[made]
  }

  fastify.decorateRequest(made, null)
  if (!fastify.hasRequestDecorator(REPLY)) keepReply(fastify)
  const getter = function (this: FastifyRequest): TokenAuth { return authenticationOf(this) }
  decorateOrExplain('request.auth', () => fastify.decorateRequest<unknown, string>('auth', { getter })) // RequestAuth declares only a part of it
  fastify.decorateRequest<unknown, symbol>(AUTHENTICATION, { getter })
  return authenticationOf
}

/** The registration of an outer context keeps the reply for those of inner ones. */
function keepReply (fastify: FastifyInstance): void {
  fastify.decorateRequest(REPLY, null)
  fastify.addHook('onRequest', (request, reply, done) => {
    Reflect.set(request, REPLY, reply)
    done()
  })
}

function decorateOrExplain (name: string, decorate: () => unknown): void {
  try {
    decorate()
  } catch (cause) {
    throw new Error(`fastify-refresh-cookie decorates ${name}, which the app or another plugin has decorated already: register one of the two inside app.register(async scope => { … })`, { cause })
  }
}
