import { type IncomingHttpHeaders } from 'node:http'

const SCHEME = /^bearer /i

/**
 * The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1), or null. An access token is read from nowhere else: no
 * cookie, query or body.
 */
export function bearerToken ({ authorization }: IncomingHttpHeaders): string | null {
  return authorization !== undefined && SCHEME.test(authorization) ? authorization.slice('bearer '.length) : null
}

/** The longest user agent that is kept, in characters. */
const MAX_USER_AGENT = 256

/** Removes control characters, which Node accepts but which can inject into logs and pages. */
export function readUserAgent (header: string | undefined): string | null {
  return header === undefined ? null : header.replace(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_USER_AGENT)
}

const WHITESPACE = ' \t'

/**
 * Removes optional whitespace around a header value: spaces and tabs (RFC 9110 section 5.6.3). `trim` also removes U+00A0, to
 * which Node decodes the byte 0xA0, so a cookie name that begins with that byte would equal ours.
 */
export function withoutWhitespace (text: string): string {
  let start = 0
  let end = text.length
  while (start < end && WHITESPACE.includes(text.charAt(start))) start++
  while (end > start && WHITESPACE.includes(text.charAt(end - 1))) end--
  return text.slice(start, end)
}
