import { type FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { unavailable } from './deadline.js'
import { createAppContext, createAudit } from './http/audit-log.js'
import { decorateHooks, decorateInstance, decorateRequest, verifyAccessTokenWith } from './http/decorators.js'
import { followKeys } from './http/lifecycle.js'
import { markContext } from './http/registrations.js'
import { TokenAuth } from './http/request-auth.js'
import { openKeys } from './keys/reload.js'
import { readVerifierOptions, type VerifierOptions } from './options/verifier-schema.js'
import { createAuthenticate } from './sessions/authenticate.js'
import { createAccessVerifier } from './tokens/jwt.js'

const UNUSABLE_HOOKS = {
  strict: 'authenticateStrict needs the session store, which a service that only verifies does not have: use authenticate',
  byCookie: 'authenticateByCookie needs the sessions, which a service that only verifies does not have: use authenticate'
}

const plugin: FastifyPluginAsync<VerifierOptions> = async (fastify, options) => {
  markContext(fastify)
  const settings = readVerifierOptions(options)
  const { clock, timeouts, issuer, audience, accessToken } = settings
  const audit = createAudit(clock, settings.onEvent, fastify.log)
  const context = createAppContext(audit, timeouts, fastify.log)
  fastify.addHook('onClose', async () => audit.close())

  const keys = await openKeys({ ...settings, accessToken: undefined }, context.emit, fastify.log)
  if (keys.rings.access.signing !== null) throw new TypeError('option "keys" has a key with use: \'sign\', which a verifier must not have: give its public half with use: \'verify\'')
  if (keys.changing.size > 0) followKeys(fastify, keys, settings.reloadKeysEvery)

  const access = { ...accessToken, issuer, audience }
  const tokens = createAccessVerifier(keys, access)
  const authenticate = createAuthenticate({
    tokens: {
      ...tokens,
      verifyAccess (token) {
        // Before the first successful load of a key a token can be neither accepted nor refused: 503, no 401.
        if (keys.rings.access.byKid.size === 0) throw unavailable(undefined)
        return tokens.verifyAccess(token)
      }
    },
    access,
    clock
  })

  const parts = { authenticate, clock, timeouts, audit, unusableHooks: UNUSABLE_HOOKS }
  decorateHooks(fastify, decorateRequest(fastify, TokenAuth, parts), UNUSABLE_HOOKS)
  decorateInstance(fastify, { verifyAccessToken: verifyAccessTokenWith(authenticate, context), reloadKeys: keys.reload })
}

/**
 * The plugin of a service that only verifies access tokens, which another service signs: `app.register(verifier, { jwks })`.
 * It has the hooks, `request.auth.claims`, `app.verifyAccessToken` and `app.reloadKeys`, but no sessions, cookies, passwords or
 * routes. It does not know of logouts: a token is valid until it expires. Until a key was loaded, tokens are answered with 503
 * FST_AUTH_STORE_UNAVAILABLE. Registration rejects with a TypeError for invalid options.
 */
export const verifier = fp(plugin, { fastify: '5.x', name: 'fastify-refresh-cookie' })
export default verifier
export { authenticate, authenticateOptional, requireFreshLogin, type AuthenticateHook, type ProtectedRequest } from './http/hooks.js'
export { AuthError, authErrorCodes, type AuthErrorCode } from './errors.js'
export type { AuthenticationDecorators } from './http/decorators.js'
export type { RequestAuth } from './http/request-auth.js'
export type { VerifierOptions } from './options/verifier-schema.js'
export type { KeyMaterial, KeyOptions } from './keys/import.js'
export type { AuditEvent, AuthEvent } from './events.js'
export type { AccessClaims, CustomClaims } from './tokens/claims.js'
export type { Clock, Duration, EpochSeconds, Seconds } from './time.js'
