import { type FastifyInstance, type FastifyRequest } from 'fastify'
import { nameHosts } from './csrf.js'
import { type AuthErrorCode } from '../errors.js'

const CROSS_SITE = 'No refresh token was sent: log in. If a login has just succeeded, the page is of another site than the API, as http://127.0.0.1 is of another than http://localhost, ' +
  "and browsers send the cookie there only with cookie: { sameSite: 'none', partitioned: true }. See \"Another origin\" in docs/cookies.md of fastify-refresh-cookie"

const DROPPED = 'No refresh token was sent: log in. If a login has just succeeded, the client rejected the cookie: it is Secure, but was sent over plain http. See "Plain http" in docs/cookies.md of fastify-refresh-cookie'

/** The settings of the refresh cookie that the hints depend on. */
export interface CookieHints {
  /** False for `refreshToken.transport: 'body'`. */
  readonly isUsed: boolean
  readonly isSecure: boolean
}

/**
 * Explains two refusals in the reply, outside production. The text is not in the error, which is logged: it may contain hosts
 * from the request.
 */
export function explainRefusals (scope: FastifyInstance, cookie: CookieHints): void {
  const explanations: { readonly [code in AuthErrorCode]?: (request: FastifyRequest) => string | null } = {
    FST_AUTH_CROSS_SITE: crossSite,
    FST_AUTH_REFRESH_TOKEN_MISSING ({ headers, protocol }) {
      if (cookie.isUsed && headers['sec-fetch-site'] === 'cross-site') return CROSS_SITE
      return cookie.isUsed && cookie.isSecure && protocol === 'http' ? DROPPED : null
    }
  }
  scope.addHook<unknown>('onSend', (request, reply, payload, done) => {
    const { code } = reply.statusCode === 401 || reply.statusCode === 403 ? parse(payload) : {}
    const message = explanations[code as AuthErrorCode]?.(request) ?? null // undefined for any other code
    done(null, message === null ? payload : JSON.stringify({ ...parse(payload), message }))
  })
}

/** Null without Origin, or where a host is not spelled as browsers spell it. */
function crossSite ({ headers: { origin }, host }: FastifyRequest): string | null {
  const named = nameHosts(origin, host)
  if (named === null) return null
  return `This request comes from a page of ${named.origin}, but its Host is ${named.host}. ` +
    'Behind a proxy, forward the Host header of the page (Vite: { target, changeOrigin: false } instead of a string); if the page has another origin, add it to trustedOrigins'
}

/** An empty object for anything but JSON: the host's own error handler may send any body. */
function parse (payload: unknown): { readonly code?: unknown } {
  try {
    return Object(JSON.parse(String(payload)))
  } catch {
    return {}
  }
}
