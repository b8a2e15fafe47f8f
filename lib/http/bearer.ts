import { type IncomingHttpHeaders } from 'node:http'
import { lowerCaseAscii } from './header-text.js'

const SCHEME = 'bearer '

/**
 * The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1), or null where there is none.
 * Another scheme is no token; nothing else, no cookie, query or body, is ever looked at.
 */
export function bearerToken ({ authorization }: IncomingHttpHeaders): string | null {
  if (authorization === undefined || lowerCaseAscii(authorization.slice(0, SCHEME.length)) !== SCHEME) return null
  return authorization.slice(SCHEME.length)
}
