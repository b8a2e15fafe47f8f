import { type FastifyRequest, type onRequestHookHandler } from 'fastify'
import { isTrustedSource, type OriginPolicy } from '../core/origin.js'
import { AuthError } from '../errors.js'
import { type HttpRequestAuth } from './request-auth.js'

/** Methods that change nothing (RFC 9110 section 9.2.1); what they answer, no other site can read. */
const SAFE = new Set(['GET', 'HEAD'])

/** For whoever calls without a browser, a test say: browsers always send Origin with what changes something. */
const UNSAID = 'This request does not say where it comes from: where the cookie is SameSite=None it must send Origin'

/** A hook that refuses requests of other sites' pages, before any other work and with the cookie untouched. */
export function refuseCrossSite (policy: OriginPolicy, authOf: (request: FastifyRequest) => HttpRequestAuth): onRequestHookHandler {
  return (request, _reply, done) => {
    const { 'sec-fetch-site': site, origin } = request.headers
    if (SAFE.has(request.method) || isTrustedSource({ site, origin, host: request.host }, policy)) return done()
    authOf(request).emit({ type: 'cross_site_refused' })
    done(new AuthError('FST_AUTH_CROSS_SITE', site === undefined && origin === undefined ? { message: UNSAID } : {}))
  }
}
