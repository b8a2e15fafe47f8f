import { type FastifyReply } from 'fastify'

const IS_PRIVATE = /\b(?:private|no-store)\b/i

const kept = new WeakSet<FastifyReply>()

/**
 * Keeps a reply out of shared caches: one with a refresh cookie, or with a page of its user. `Cache-Control` becomes no-store unless it
 * is private, also where @fastify/static or a hook sets it later. An `onSend` hook would cost every other request 5 %.
 */
export function keepFromCaches (reply: FastifyReply): void {
  if (kept.has(reply)) return
  kept.add(reply)
  const { header } = reply
  reply.header = (name, value) => header.call(reply, name, name.toLowerCase() === 'cache-control' && !IS_PRIVATE.test(String(value)) ? 'no-store' : value)
  reply.header('cache-control', reply.getHeader('cache-control') ?? 'no-store')
}
