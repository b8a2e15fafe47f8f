import fastifyCookie from '@fastify/cookie'
import { type FastifyInstance } from 'fastify'
import { type OpenedKeys } from '../keys/load.js'
import { createTokens, type Tokens } from '../tokens/jwt.js'
import { type SerializeCookie } from './cookie.js'

export interface Packages {
  readonly tokens: Tokens
  readonly serializeCookie: SerializeCookie
}

/**
 * Registers @fastify/jwt and, unless the host has it, @fastify/cookie. Both are in a separate context, so that the host can
 * register them too, before or after this plugin.
 */
export async function registerPackages (fastify: FastifyInstance, keys: OpenedKeys): Promise<Packages> {
  let packages!: Packages // assigned below: `register` loads the context or rejects
  await fastify.register(async scope => {
    if (!scope.hasPlugin('@fastify/cookie')) await scope.register(fastifyCookie)
    packages = { tokens: await createTokens(scope, keys), serializeCookie: scope.serializeCookie }
  })
  return packages
}
