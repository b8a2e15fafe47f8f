import { type FastifyInstance, type FastifyRequest } from 'fastify'
import { nameHosts } from './csrf.js'
import { type AuthErrorCode } from '../errors.js'

const DROPPED = 'No refresh token was sent: log in. If a login has just succeeded, the client dropped the cookie, which is Secure, since it came over plain http: see "Plain http" and "Testing your app" in the README of fastify-refresh-cookie'

/**
 * Outside production the replies of our routes explain two refusals that developers meet. The sentence is only in the
 * reply, never in the error, which is logged: it may name hosts that a caller chose.
 */
export function explainRefusals (scope: FastifyInstance, { secureCookie }: { readonly secureCookie: boolean }): void {
  const explanations: { readonly [code in AuthErrorCode]?: (request: FastifyRequest) => string | null } = {
    FST_AUTH_CROSS_SITE: crossSite,
    FST_AUTH_REFRESH_TOKEN_MISSING: ({ protocol }) => secureCookie && protocol === 'http' ? DROPPED : null
  }
  scope.addHook<unknown>('onSend', (request, reply, payload, done) => {
    const { code } = reply.statusCode === 401 || reply.statusCode === 403 ? parse(payload) : {}
    const message = explanations[code as AuthErrorCode]?.(request) ?? null // any other code has no explanation
    done(null, message === null ? payload : JSON.stringify({ ...parse(payload), message }))
  })
}

/** Names both hosts, where each is spelled as a browser spells it; null where one is not, or there is no Origin. */
function crossSite ({ headers: { origin }, host }: FastifyRequest): string | null {
  const named = nameHosts(origin, host)
  if (named === null) return null
  return `This request comes from a page of ${named.origin}, and the server took it for one to ${named.host}. ` +
    'If a proxy lies between, let it pass on the Host of the page (Vite: { target, changeOrigin: false } in place of a text); if the page has an origin of its own, add it to trustedOrigins'
}

/** The fields of a JSON object, and none of anything else: a host's own error handler may answer in its own way. */
function parse (payload: unknown): { readonly code?: unknown } {
  try {
    return Object(JSON.parse(String(payload)))
  } catch {
    return {}
  }
}
