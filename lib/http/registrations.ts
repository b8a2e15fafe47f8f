import { type FastifyInstance } from 'fastify'
import { type CookieIdentity, isSameCookie } from '../browser-rules.js'
import { logWarning, type WarningCode } from '../warnings.js'

/** Marks the contexts of a registration, to distinguish a second one from another plugin's decorator. */
const ours = Symbol('fastify-refresh-cookie')

/** Marks the context. Throws if it has a registration already. */
export function markContext (fastify: FastifyInstance): void {
  if (Object.hasOwn(fastify, ours)) {
    throw new Error('fastify-refresh-cookie is registered twice in one context: register the second one inside app.register(async scope => { … }), with another prefix')
  }
  fastify.decorate(ours, true)
}

/** The parts of a registration that it may share with another. */
export interface Registration {
  /** The ids of its refresh keys. */
  readonly keyIds: readonly string[]
  /** The option `users` as the app gave it. */
  readonly users: object | undefined
  readonly issuer: readonly string[] | string | undefined
  readonly audience: readonly string[] | string | undefined
  readonly store: object
  /** True if `routes.login` is not switched off. */
  readonly hasLogin: boolean
  /** Null without a refresh cookie. */
  readonly cookie: CookieIdentity | null
}

/** All registrations of a server, across contexts. */
const registrations = new WeakMap<object, Registration[]>()

/** Parts that two registrations of one server must not share. */
const MISTAKES: ReadonlyArray<readonly [code: WarningCode, isFound: (one: Registration, other: Registration) => boolean]> = [
  ['FST_AUTH_WARN_SHARED_KEY', (one, other) => sharesKey(one, other) && !hasSameUsers(one, other)],
  ['FST_AUTH_WARN_SHARED_STORE', (one, other) => one.store === other.store && hasOtherUsers(one, other)],
  ['FST_AUTH_WARN_SHARED_USERS', (one, other) => one.users !== undefined && one.users === other.users && one.hasLogin !== other.hasLogin],
  ['FST_AUTH_WARN_SHARED_COOKIE', (one, other) => !sharesKey(one, other) && one.cookie !== null && other.cookie !== null && isSameCookie(one.cookie, other.cookie)]
]

/** Warns if another registration of the server shares a part that only one may have. */
export function noteRegistration ({ server, log }: Pick<FastifyInstance, 'server' | 'log'>, registration: Registration): void {
  const others = registrations.get(server) ?? []
  registrations.set(server, [...others, registration])
  for (const [code, isFound] of MISTAKES) if (others.some(other => isFound(other, registration))) logWarning(log, { code })
}

function sharesKey (one: Registration, other: Registration): boolean {
  return one.keyIds.some(id => other.keyIds.includes(id))
}

function hasOtherUsers (one: Registration, other: Registration): boolean {
  return one.users !== undefined && other.users !== undefined && one.users !== other.users
}

function hasSameUsers (one: Registration, other: Registration): boolean {
  return one.users === other.users && isSame(one.issuer, other.issuer) && isSame(one.audience, other.audience)
}

function isSame (one: Registration['issuer'], other: Registration['issuer']): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
