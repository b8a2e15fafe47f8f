import { type FastifyBaseLogger, type FastifyInstance, type RouteHandlerMethod, type RouteOptions } from 'fastify'
import { type Users } from '../../accounts/user.js'
import { keepsSessions, type SessionStore } from '../../sessions/store.js'
import { useOwnCompilers } from '../schema-compilers.js'
import { BODY_LIMIT, registerContentTypes } from '../content-types.js'
import { type CookieSetup, warnAtRequests } from '../setup-warnings.js'
import { createErrorHandler, explainRefusals } from '../error-handler.js'
import { isObserved, observe } from '../../diagnostics-channels.js'
import { describeRoute } from '../openapi.js'
import { keepOwnFromCaches } from '../reply-headers.js'
import { OWN_ROUTE } from '../request-auth.js'
import { accessTokenScheme } from '../schemas.js'
import { jwksRoute } from './jwks.js'
import { loginRoute } from './login.js'
import { logoutRoute } from './logout.js'
import { passwordRoute } from './password.js'
import { reauthenticateRoute } from './reauthenticate.js'
import { refreshRoute } from './refresh.js'
import { NEEDED_FUNCTIONS, type RegisterRoute, type RouteDependencies, type RouteName, type RouteSchema } from './route.js'
import { sessionRoute, sessionsRoutes } from './sessions.js'
import { signupRoute } from './signup.js'
import { verifyRoute } from './verify.js'

/** The URL of each route; false turns it off. */
type RouteUrls = Readonly<Record<RouteName, string | false>>

export interface RoutesOptions extends RouteDependencies {
  readonly urls: RouteUrls
  readonly setup: CookieSetup
  /** True outside production: refusals carry development hints. */
  readonly explains: boolean
}

const ROUTES: Readonly<Record<RouteName, RegisterRoute>> = {
  signup: signupRoute,
  login: loginRoute,
  refresh: refreshRoute,
  logout: logoutRoute,
  session: sessionRoute,
  sessions: sessionsRoutes,
  password: passwordRoute,
  reauthenticate: reauthenticateRoute,
  verify: verifyRoute,
  jwks: jwksRoute
}

/** The routes that need a store that keeps sessions. */
const OF_KEPT_SESSIONS: readonly RouteName[] = ['sessions', 'password', 'reauthenticate']

/**
 * The URLs of the routes, false also for those that need a function which `users` lacks, or a store that keeps sessions. A function
 * that is missing, or has another name, would else show only as a 404, so the log names it.
 */
export function servedRoutes (urls: RouteUrls, users: Users | undefined, store: SessionStore, log: Pick<FastifyBaseLogger, 'info'>): RouteUrls {
  const served = { ...urls }
  const missing: Partial<Record<RouteName, ReadonlyArray<keyof Users>>> = {}
  for (const name of Object.keys(urls) as RouteName[]) { // Object.keys is typed string[]
    if (OF_KEPT_SESSIONS.includes(name) && !keepsSessions(store)) served[name] = false
    const lacking = (NEEDED_FUNCTIONS[name] ?? []).filter(needed => users?.[needed] === undefined)
    if (served[name] === false || lacking.length === 0) continue
    served[name] = false
    missing[name] = lacking
  }
  if (users !== undefined && Object.keys(missing).length > 0) log.info({ missing, given: Object.keys(users) }, 'auth: the routes in `missing` are not served, since "users" lacks the functions named there (it has those in `given`): give them, or set the route to false')
  return served
}

/** Users without a password are verified against a dummy hash of argon2. */
export function verifiesPasswords ({ signup, login, password, reauthenticate }: RouteUrls): boolean {
  return [signup, login, password, reauthenticate].some(url => url !== false)
}

/**
 * Registers our routes with their own compilers, parsers and error handler, so that the host's (zod compilers, coercing Ajv,
 * text/plain) do not change their behaviour. Returns false if there is no route.
 */
export function registerRoutes (scope: FastifyInstance, options: RoutesOptions): boolean {
  const { urls, setup, hooks, transport } = options
  useOwnCompilers(scope)
  registerContentTypes(scope)
  scope.setErrorHandler(createErrorHandler(options.authOf))
  scope.addHook('onRequest', (_request, reply, done) => {
    reply.headers({ 'cache-control': 'no-store', pragma: 'no-cache', 'x-content-type-options': 'nosniff' })
    done()
  })
  warnAtRequests(scope, setup)
  scope.addHook('onRequest', hooks.refuseCrossSite)
  if (options.explains) explainRefusals(scope, setup)

  const tokenUrl = urls.login !== false && options.tokenResponse.standard ? scope.prefix + urls.login : null
  const swaggerTransform = describeRoute([accessTokenScheme(tokenUrl), transport.scheme])
  let any = false
  scope.addHook('onRoute', route => {
    any = true
    route.bodyLimit = BODY_LIMIT
    route.handler = observedHandler(route)
    if (operationIdOf(route) !== 'jwks') route.onSend = [route.onSend ?? []].flat().concat(keepOwnFromCaches)
    // A new object: the host's own hooks may give one config to all routes, and the mark would exempt them too.
    route.config = Object.assign({}, route.config, { swaggerTransform, [OWN_ROUTE]: true })
  })

  for (const [name, url] of Object.entries(urls)) {
    if (url !== false) ROUTES[name as RouteName](scope, url, options) // Object.entries is typed string
  }
  return any
}

/** Publishes the calls of a handler to subscribers of our diagnostics channels. */
function observedHandler (route: RouteOptions): RouteHandlerMethod {
  const { handler } = route
  const operationId = operationIdOf(route)
  return function (request, reply) {
    return isObserved() ? observe('route', operationId, () => handler.call(this, request, reply)) : handler.call(this, request, reply)
  }
}

function operationIdOf ({ schema }: RouteOptions): string {
  return (schema as RouteSchema).operationId // each of our routes has one
}
