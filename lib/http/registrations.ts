import { type FastifyInstance } from 'fastify'

/** A registration, by what decides whose tokens it accepts. */
export interface Registration {
  /** The ids of the keys of its refresh tokens. */
  readonly keyIds: readonly string[]
  /** The option `users` as the app gave it. */
  readonly users: object | undefined
  readonly issuer: readonly string[] | string | undefined
  readonly audience: readonly string[] | string | undefined
}

/** The registrations of each server, in whatever contexts they are. */
const registrations = new WeakMap<object, Registration[]>()

const MIXED = 'auth: another registration of this server has the same refresh key, but other "users", another "issuer" or another "audience": ' +
  'each accepts the tokens of the other\'s people; give each its own "secret", and its own cookie name or path'

/** Notes a registration. Gives a warning where another one of the server has a key in common and is for other people. */
export function noteRegistration ({ server }: Pick<FastifyInstance, 'server'>, registration: Registration): string | null {
  const others = registrations.get(server) ?? []
  registrations.set(server, [...others, registration])
  return others.some(other => sharesKey(other, registration) && !isForSamePeople(other, registration)) ? MIXED : null
}

function sharesKey (one: Registration, other: Registration): boolean {
  return one.keyIds.some(id => other.keyIds.includes(id))
}

function isForSamePeople (one: Registration, other: Registration): boolean {
  return one.users === other.users && isSame(one.issuer, other.issuer) && isSame(one.audience, other.audience)
}

function isSame (one: Registration['issuer'], other: Registration['issuer']): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
