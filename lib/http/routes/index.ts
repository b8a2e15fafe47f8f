import { type FastifyInstance, type RouteHandlerMethod, type RouteOptions } from 'fastify'
import { useOwnCompilers } from '../schema-compilers.js'
import { BODY_LIMIT, registerContentTypes } from '../content-types.js'
import { type CookieSetup, warnAtRequests } from '../setup-warnings.js'
import { createErrorHandler, explainRefusals } from '../error-handler.js'
import { isObserved, observe } from '../../diagnostics.js'
import { describeRoute } from '../openapi.js'
import { OWN_ROUTE } from '../request-auth.js'
import { accessTokenScheme } from '../schemas.js'
import { jwksRoute } from './jwks.js'
import { loginRoute } from './login.js'
import { logoutRoute } from './logout.js'
import { passwordRoute } from './password.js'
import { reauthenticateRoute } from './reauthenticate.js'
import { refreshRoute } from './refresh.js'
import { type RegisterRoute, type RouteDependencies, type RouteName, type RouteSchema } from './route.js'
import { sessionRoute, sessionsRoutes } from './sessions.js'
import { signupRoute } from './signup.js'
import { verifyRoute } from './verify.js'

export interface RoutesOptions extends RouteDependencies {
  /** False turns a route off. */
  readonly urls: Readonly<Record<RouteName, string | false>>
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
    if (route.method !== 'HEAD') route.handler = observedHandler(route)
    // A new object: the host's own hooks may give one config to all routes, and the mark would exempt them too.
    route.config = Object.assign({}, route.config, { swaggerTransform, [OWN_ROUTE]: true })
  })

  for (const [name, url] of Object.entries(urls)) {
    if (url !== false) ROUTES[name as RouteName](scope, url, options) // Object.entries is typed string
  }
  return any
}

/** Publishes the calls of a handler to subscribers of our diagnostics channels. */
function observedHandler ({ handler, schema }: RouteOptions): RouteHandlerMethod {
  const { operationId } = schema as RouteSchema // each of our routes has one
  return function (request, reply) {
    return isObserved() ? observe('route', operationId, () => handler.call(this, request, reply)) : handler.call(this, request, reply)
  }
}
