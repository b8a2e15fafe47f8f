import { type FastifyInstance } from 'fastify'
import { logWarning } from '../warnings.js'

/** Marks the contexts of a registration, to distinguish a second one from another plugin's decorator. */
const ours = Symbol('fastify-refresh-cookie')

/** Marks the context. Throws if it has a registration already. */
export function markContext (fastify: FastifyInstance): void {
  if (Object.hasOwn(fastify, ours)) {
    throw new Error('fastify-refresh-cookie is registered twice in one context: register the second one inside app.register(async scope => { … }), with another prefix')
  }
  fastify.decorate(ours, true)
}

/** The parts of a registration that decide which tokens it accepts. */
export interface Registration {
  /** The ids of its refresh keys. */
  readonly keyIds: readonly string[]
  /** The option `users` as the app gave it. */
  readonly users: object | undefined
  readonly issuer: readonly string[] | string | undefined
  readonly audience: readonly string[] | string | undefined
}

/** All registrations of a server, across contexts. */
const registrations = new WeakMap<object, Registration[]>()

/** Warns if another registration of the server shares a refresh key but has other users, another issuer or audience. */
export function noteRegistration ({ server, log }: Pick<FastifyInstance, 'server' | 'log'>, registration: Registration): void {
  const others = registrations.get(server) ?? []
  registrations.set(server, [...others, registration])
  if (others.some(other => sharesKey(other, registration) && !hasSameUsers(other, registration))) logWarning(log, { code: 'FST_AUTH_WARN_SHARED_KEY' })
}

function sharesKey (one: Registration, other: Registration): boolean {
  return one.keyIds.some(id => other.keyIds.includes(id))
}

function hasSameUsers (one: Registration, other: Registration): boolean {
  return one.users === other.users && isSame(one.issuer, other.issuer) && isSame(one.audience, other.audience)
}

function isSame (one: Registration['issuer'], other: Registration['issuer']): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
