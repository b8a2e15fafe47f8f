import fastifyCookie from '@fastify/cookie'
import { type FastifyInstance } from 'fastify'
import { type OpenedKeys } from '../keys/rotation.js'
import { createTokens, type Tokens, type VerificationPolicy } from '../tokens/jwt.js'
import { type SerializeCookie } from './cookie.js'

/**
 * Registers @fastify/jwt and, unless the host has it, @fastify/cookie. Both are in a separate context, so that the host can
 * register them too, before or after this plugin.
 */
export async function registerJwtAndCookie (fastify: FastifyInstance, keys: OpenedKeys, access: VerificationPolicy): Promise<{ tokens: Tokens, serializeCookie: SerializeCookie }> {
  let registered!: { tokens: Tokens, serializeCookie: SerializeCookie } // assigned below: `register` loads the context or rejects
  await fastify.register(async scope => {
    if (!scope.hasPlugin('@fastify/cookie')) await scope.register(fastifyCookie)
    registered = { tokens: await createTokens(scope, keys, access), serializeCookie: scope.serializeCookie }
  })
  return registered
}
