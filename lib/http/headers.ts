import { type IncomingHttpHeaders } from 'node:http'

const SCHEME = 'bearer '

/**
 * The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1), or null where there is none.
 * Another scheme is no token; nothing else, no cookie, query or body, is ever looked at.
 */
export function bearerToken ({ authorization }: IncomingHttpHeaders): string | null {
  if (authorization === undefined || lowerCaseAscii(authorization.slice(0, SCHEME.length)) !== SCHEME) return null
  return authorization.slice(SCHEME.length)
}

/**
 * A header's text without the optional whitespace around it: spaces and tabs (RFC 9110 section 5.6.3), nothing else.
 * `trim` also removes U+00A0, which Node makes of the byte 0xA0, so a cookie that begins with it would pass for ours.
 */
export function withoutWhitespace (text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isWhitespace(text[start])) start++
  while (end > start && isWhitespace(text[end - 1])) end--
  return text.slice(start, end)
}

/** A name whose case does not matter, in lower case. `toLowerCase` also makes a "k" of U+212A, the Kelvin sign. */
export function lowerCaseAscii (text: string): string {
  return text.replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

function isWhitespace (character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}
