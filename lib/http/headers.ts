import { type IncomingHttpHeaders } from 'node:http'

const SCHEME = 'bearer '

/**
 * The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1), or null. An access token is read from nowhere else: no
 * cookie, query or body.
 */
export function bearerToken ({ authorization }: IncomingHttpHeaders): string | null {
  if (authorization === undefined || lowerCaseAscii(authorization.slice(0, SCHEME.length)) !== SCHEME) return null
  return authorization.slice(SCHEME.length)
}

/**
 * Removes optional whitespace around a header value: spaces and tabs (RFC 9110 section 5.6.3). `trim` also removes U+00A0, to
 * which Node decodes the byte 0xA0, so a cookie name that begins with that byte would equal ours.
 */
export function withoutWhitespace (text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isWhitespace(text[start])) start++
  while (end > start && isWhitespace(text[end - 1])) end--
  return text.slice(start, end)
}

/** ASCII letters only: `toLowerCase` also maps U+212A, the Kelvin sign, to "k". */
export function lowerCaseAscii (text: string): string {
  return text.replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

function isWhitespace (character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}
