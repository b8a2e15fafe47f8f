import { type FastifyReply, type FastifyRequest, type HookHandlerDoneFunction, type onRequestAsyncHookHandler } from 'fastify'
import { AuthError } from '../errors.js'
import { bearerToken } from './bearer.js'
import { type HttpRequestAuth } from './request-auth.js'

/** A hook for onRequest or preHandler, or for @fastify/auth. It waits for nothing, so it costs no promise. */
export type AuthenticateHook = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void

/** The hooks that protect routes. */
export interface AuthenticateHooks {
  /** Only with a valid access token; `request.auth.claims` are its claims. */
  readonly authenticate: AuthenticateHook
  /** Without a token `request.auth.claims` is null; a bad token is refused all the same. */
  readonly authenticateOptional: AuthenticateHook
  /** As `authenticate`, and the session must not have ended: asks the store. */
  readonly authenticateStrict: onRequestAsyncHookHandler
}

/** Builds the hooks; `authOf` gives the `request.auth` of a request. */
export function createAuthenticateHooks (authOf: (request: FastifyRequest) => HttpRequestAuth): AuthenticateHooks {
  const authenticate: AuthenticateHook = (request, reply, done) => {
    let refused: Error | undefined
    try {
      authOf(request).authenticateNow()
    } catch (error) {
      refused = challenge(error, reply)
    }
    done(refused)
  }

  return {
    authenticate,

    authenticateOptional (request, reply, done) {
      if (bearerToken(request.headers) === null) done()
      else authenticate(request, reply, done)
    },

    async authenticateStrict (request, reply) {
      try {
        await authOf(request).authenticateStrict()
      } catch (error) {
        throw challenge(error, reply)
      }
    }
  }
}

/** Puts the headers of a refusal on the reply itself: those of an error get lost in a host's own error handler. */
function challenge (error: unknown, reply: FastifyReply): Error {
  if (error instanceof AuthError) reply.headers(error.headers)
  return error as Error // nothing here throws anything else
}
