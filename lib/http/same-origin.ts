import { type FastifyRequest, type onRequestHookHandler } from 'fastify'
import { isTrustedSource, type OriginPolicy } from '../core/origin.js'
import { AuthError } from '../errors.js'
import { type HttpRequestAuth } from './request-auth.js'

/** A hook that refuses requests of other sites' pages, before any other work and with the cookie untouched. */
export function refuseCrossSite (policy: OriginPolicy, authOf: (request: FastifyRequest) => HttpRequestAuth): onRequestHookHandler {
  return (request, _reply, done) => {
    const { 'sec-fetch-site': site, origin } = request.headers
    if (request.method === 'GET' || isTrustedSource({ site, origin, host: request.host }, policy)) return done()
    authOf(request).emit({ type: 'cross_site_refused' })
    done(new AuthError('FST_AUTH_CROSS_SITE'))
  }
}
