import { type FastifyReply, type FastifyRequest } from 'fastify'
import { type AuthError } from '../errors.js'

/** `private="a-field"` keeps nothing but that field from shared caches (RFC 9111 section 5.2.2.7). */
const IS_PRIVATE = /(?:^|[\s,])(?:private|no-store)(?![\w="-])/i

const CACHE_CONTROL = ['cache-control']

/** `Cache-Control`, and the headers that one kind of cache prefers (RFC 9213, Akamai, nginx). */
const CACHE_CONTROLS: ReadonlySet<string> = new Set([...CACHE_CONTROL, 'cdn-cache-control', 'surrogate-control', 'cloudflare-cdn-cache-control', 'netlify-cdn-cache-control',
  'vercel-cdn-cache-control', 'edge-control', 'x-accel-expires'])

/** The value of such a header for a private reply: its own if that is private. */
function privateValue (name: string, value: unknown): unknown {
  if (name === 'x-accel-expires') return '0' // seconds
  return IS_PRIVATE.test(String(value)) ? value : 'no-store'
}

const kept = new WeakSet<FastifyReply>()

/**
 * Keeps a reply of a route of the app out of shared caches: one with a refresh cookie, with a page of its user, or a refusal.
 * `Cache-Control` becomes no-store unless it is private, also where @fastify/static or a hook sets or removes it later. An `onSend` hook
 * would cost every other request of the app 5 %.
 */
export function keepFromCaches (reply: FastifyReply): void {
  if (kept.has(reply)) return
  kept.add(reply)
  const { header, removeHeader } = reply
  reply.header = (name, value) => header.call(reply, name, CACHE_CONTROLS.has(name.toLowerCase()) ? privateValue(name.toLowerCase(), value) : value)
  reply.removeHeader = name => name.toLowerCase() === 'cache-control' ? reply.header(name, 'no-store') : removeHeader.call(reply, name)
  for (const name of CACHE_CONTROLS) if (reply.hasHeader(name)) reply.header(name, reply.getHeader(name))
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
}

/** The same for the plugin's own routes, as a hook `onSend` that follows those of the host: it costs a tenth of the above. */
export function keepOwnFromCaches ({ method }: FastifyRequest, reply: FastifyReply, payload: unknown, done: (error: null, payload: unknown) => void): void {
  // No cache stores the reply to a POST (RFC 9110 section 9.3.3), but RFC 6749 section 5.1 demands the header.
  for (const name of method === 'GET' ? CACHE_CONTROLS : CACHE_CONTROL) {
    const value = reply.getHeader(name)
    if (value !== undefined && !IS_PRIVATE.test(String(value))) reply.header(name, privateValue(name, value))
  }
  done(null, payload)
}

type Refusal = Pick<AuthError, 'statusCode' | 'headers'>

/** The last refusal of each reply. */
const refusals = new WeakMap<FastifyReply, Refusal>()

/**
 * Sets the headers of a refusal, `WWW-Authenticate` and `Retry-After`, which the app's own error handler may leave out. They are removed
 * if the app catches the error and replies with another status: in a redirect Retry-After would delay it (RFC 9110 section
 * 10.2.3). An error or a redirect is kept out of shared caches, since other visitors must not get it.
 */
export function setRefusalHeaders (reply: FastifyReply, refusal: Refusal): void {
  if (reply.sent) return
  const former = refusals.get(reply)
  refusals.set(reply, refusal)
  if (former === undefined) settleWhenSent(reply)
  else removeHeaders(reply, former)
  reply.headers(refusal.headers)
}

/** Keeps errors and redirects out of shared caches, such as the redirect of a visitor to the login. */
export function keepErrorsFromCaches (reply: FastifyReply): void {
  if (!refusals.has(reply)) setRefusalHeaders(reply, { statusCode: 401, headers: {} })
}

function settleWhenSent (reply: FastifyReply): void {
  const { send } = reply
  reply.send = payload => {
    const refusal = refusals.get(reply) as Refusal // set before
    const status = statusOf(payload, reply)
    if (status !== refusal.statusCode) removeHeaders(reply, refusal)
    if (status >= 300 && status !== 304) keepFromCaches(reply) // a 304 confirms a cached page, which stays as public as it is
    return send.call(reply, payload)
  }
}

/** The status that Fastify gives to a reply: that of a `Response`, and that of an error unless the app has set one. */
export function statusOf (payload: unknown, { statusCode }: FastifyReply): number {
  if (payload instanceof Response) return payload.status
  return payload instanceof Error && statusCode < 400 ? Number(Reflect.get(payload, 'statusCode') ?? Reflect.get(payload, 'status') ?? 500) : statusCode
}

/** A value that the app has set since stays. */
function removeHeaders (reply: FastifyReply, { headers }: Refusal): void {
  for (const [name, value] of Object.entries(headers)) if (reply.getHeader(name) === value) reply.removeHeader(name)
}
