import { type FastifyReply } from 'fastify'
import { type AuthError } from '../errors.js'

/** `private="a-field"` keeps nothing but that field from shared caches (RFC 9111 section 5.2.2.7). */
const IS_PRIVATE = /(?:^|[\s,])(?:private|no-store)(?![\w="-])/i

/** `Cache-Control`, and the headers for one kind of cache (RFC 9213), such as `CDN-Cache-Control` and `Surrogate-Control`. */
const IS_CACHE_CONTROL = /(?:^|-)(?:cache|surrogate)-control$/i

const kept = new WeakSet<FastifyReply>()

/**
 * Keeps a reply out of shared caches: one with a refresh cookie, with a page of its user, or a refusal. `Cache-Control` becomes
 * no-store unless it is private, also where @fastify/static or a hook sets it later. An `onSend` hook would cost every other request 5 %.
 */
export function keepFromCaches (reply: FastifyReply): void {
  if (kept.has(reply)) return
  kept.add(reply)
  const { header, removeHeader } = reply
  reply.removeHeader = name => IS_CACHE_CONTROL.test(name) ? reply.header(name, 'no-store') : removeHeader.call(reply, name)
  reply.header = (name, value) => header.call(reply, name, IS_CACHE_CONTROL.test(name) && !IS_PRIVATE.test(String(value)) ? 'no-store' : value)
  for (const [name, value] of Object.entries(reply.getHeaders())) if (IS_CACHE_CONTROL.test(name)) reply.header(name, value)
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
}

/**
 * Sets the headers of a refusal, `WWW-Authenticate` and `Retry-After`, which the app's own error handler may leave out. They are removed
 * if the app catches the error and replies with another status: in a redirect Retry-After would delay it (RFC 9110 section
 * 10.2.3). An error or a redirect is kept out of shared caches, since other visitors must not get it.
 */
export function setRefusalHeaders (reply: FastifyReply, { statusCode, headers }: AuthError): void {
  reply.headers(headers)
  const { send } = reply
  reply.send = payload => {
    const isError = payload instanceof Error // Fastify's error handling follows, and sets the status
    if (!isError && reply.statusCode !== statusCode) removeHeaders(reply, headers)
    if (isError || reply.statusCode >= 300) keepFromCaches(reply)
    return send.call(reply, payload)
  }
}

/** A value that the app has set since stays. */
function removeHeaders (reply: FastifyReply, headers: AuthError['headers']): void {
  for (const [name, value] of Object.entries(headers)) if (reply.getHeader(name) === value) reply.removeHeader(name)
}
