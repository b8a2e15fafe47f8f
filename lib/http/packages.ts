import fastifyCookie from '@fastify/cookie'
import { type FastifyInstance } from 'fastify'
import { type OpenedKeys } from '../keys/load.js'
import { createTokens, type Tokens } from '../tokens/jwt.js'
import { type SerializeCookie } from './cookie.js'

/** What we use of other plugins. */
export interface Packages {
  readonly tokens: Tokens
  readonly serializeCookie: SerializeCookie
}

/**
 * Registers @fastify/jwt and, unless the host has it, @fastify/cookie: in a context of our own, so that the host can
 * register either for itself, before us or after.
 */
export async function registerPackages (fastify: FastifyInstance, keys: OpenedKeys): Promise<Packages> {
  let packages!: Packages // assigned below: `register` waits for the context, or rejects
  await fastify.register(async scope => {
    if (!scope.hasPlugin('@fastify/cookie')) await scope.register(fastifyCookie)
    packages = { tokens: await createTokens(scope, keys), serializeCookie: scope.serializeCookie }
  })
  return packages
}
