import { type FastifyInstance } from 'fastify'
import { type OriginPolicy } from '../../core/origin.js'
import { useOwnCompilers } from '../compilers.js'
import { BODY_LIMIT, registerContentTypes } from '../content-types.js'
import { handleError } from '../error-handler.js'
import { describeRoute } from '../openapi.js'
import { refuseCrossSite } from '../same-origin.js'
import { accessTokenScheme } from '../security-schemes.js'
import { jwksRoute, type PublicKeys } from './jwks.js'
import { loginRoute } from './login.js'
import { logoutRoute } from './logout.js'
import { passwordRoute } from './password.js'
import { reauthenticateRoute } from './reauthenticate.js'
import { refreshRoute } from './refresh.js'
import { type RouteDependencies } from './route.js'
import { sessionsRoutes } from './sessions.js'
import { signupRoute } from './signup.js'
import { verifyRoute } from './verify.js'

/** Where the routes are, and whose requests they serve. */
export interface RoutesOptions extends RouteDependencies {
  readonly urls: Readonly<Record<'signup' | 'login' | 'refresh' | 'logout' | 'sessions' | 'password' | 'reauthenticate' | 'verify' | 'jwks', string | false>>
  readonly origins: OriginPolicy
  /** Whether the store can list a subject's sessions. */
  readonly listable: boolean
  /** What others may verify access tokens with. */
  readonly publicKeys: PublicKeys | undefined
}

/**
 * Registers our routes. They bring their own compilers, parsers and error handling, so that nothing a host sets
 * for itself (zod compilers, coercing Ajv, text/plain) changes how they behave. Gives whether there are any.
 */
export function registerRoutes (scope: FastifyInstance, options: RoutesOptions): boolean {
  const { urls, accounts, origins } = options
  useOwnCompilers(scope)
  registerContentTypes(scope)
  scope.setErrorHandler(handleError)
  scope.addHook('onRequest', (_request, reply, done) => {
    reply.headers({ 'cache-control': 'no-store', pragma: 'no-cache', 'x-content-type-options': 'nosniff' })
    done()
  })
  scope.addHook('onRequest', refuseCrossSite(origins, options.authOf))

  const tokenUrl = urls.login !== false && accounts.login !== undefined && options.grantBody.standard ? scope.prefix + urls.login : null
  const swaggerTransform = describeRoute([accessTokenScheme(tokenUrl), options.delivery.scheme])
  let any = false
  scope.addHook('onRoute', route => {
    any = true
    route.bodyLimit = BODY_LIMIT
    route.config = Object.assign(route.config ?? {}, { swaggerTransform }, options.exempt)
  })

  if (urls.signup !== false && accounts.signup !== undefined) signupRoute(scope, urls.signup, accounts.signup, options)
  if (urls.login !== false && accounts.login !== undefined) loginRoute(scope, urls.login, accounts.login, options)
  if (urls.refresh !== false) refreshRoute(scope, urls.refresh, options)
  if (urls.logout !== false) logoutRoute(scope, urls.logout, options)
  if (urls.sessions !== false && options.listable) sessionsRoutes(scope, urls.sessions, options)
  if (urls.password !== false) passwordRoute(scope, urls.password, options)
  if (urls.reauthenticate !== false && options.listable) reauthenticateRoute(scope, urls.reauthenticate, options)
  if (urls.verify !== false) verifyRoute(scope, urls.verify, options)
  if (urls.jwks !== false && options.publicKeys !== undefined) jwksRoute(scope, urls.jwks, options.publicKeys)
  return any
}
