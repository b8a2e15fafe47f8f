import { type FastifyInstance } from 'fastify'
import { judgeAccessClaims, type AccessPolicy } from '../tokens/claims.js'
import { unavailable } from '../deadline.js'
import { type RequestContext } from '../audit/events.js'
import { type KeyRing } from '../keys/ring.js'
import { type SessionService } from '../sessions/service.js'
import { type Clock } from '../time.js'
import { createAuthenticateHooks } from './hooks.js'
import { decorateInstance, decorateRequest, verifyingTokens, type InstanceDecorators } from './decorators.js'
import { type RequestAuthDependencies } from './request-auth.js'
import { createAccessVerifier } from '../tokens/jwt.js'

/** What a service needs that verifies access tokens of another one. */
export interface VerifyOnlyOptions extends Pick<RequestAuthDependencies, 'audit' | 'seekKey' | 'timeouts'>, Pick<InstanceDecorators, 'reloadKeys'>, Pick<RequestContext, 'emit'> {
  ring (): KeyRing
  readonly access: AccessPolicy
  readonly clock: Clock
}

/** Decorates a service that verifies and nothing else: no session, no cookie, no password, no route. */
export function decorateVerifyOnly (fastify: FastifyInstance, { ring, access, clock, seekKey, reloadKeys, emit, ...rest }: VerifyOnlyOptions): void {
  const verify = createAccessVerifier(ring)
  const sessions: SessionService = {
    ...NO_SESSIONS,

    authenticate (token) {
      // Whether a token is good is not known as long as no key was ever read: that is no 401.
      if (ring().byKid.size === 0) throw unavailable(undefined)
      return judgeAccessClaims(verify(token)?.payload, access, Math.floor(clock()))
    },

    isCertain: () => true
  }
  const authOf = decorateRequest(fastify, { sessions, transport: NO_DELIVERY, renewWithAccessToken: false, seekKey, ...rest })
  const { hooks: { authenticate, authenticateOptional, requireFreshLogin } } = createAuthenticateHooks(authOf, clock)
  decorateInstance(fastify, {
    authenticate,
    authenticateOptional,
    requireFreshLogin,
    verifyAccessToken: verifyingTokens(sessions.authenticate, { emit }),
    reloadKeys,
    get authenticateStrict () { return refuse() },
    get sessions () { return refuse() },
    get passwords () { return refuse() }
  })
}

function refuse (): never {
  throw new TypeError('this service only verifies access tokens: whatever needs sessions, cookies or passwords belongs to the one that signs them')
}

const NO_DELIVERY = { read: refuse, give: refuse, forget: refuse }

const NO_SESSIONS: Omit<SessionService, 'authenticate' | 'isCertain'> = {
  login: refuse,
  endReplaced: refuse,
  refresh: refuse,
  renew: refuse,
  confirm: refuse,
  confirmStrictly: refuse,
  reauthenticate: refuse,
  changePassword: refuse,
  logout: refuse,
  holder: refuse,
  isHeldLive: refuse,
  choose: refuse,
  list: refuse,
  revoke: refuse,
  revokeAll: refuse,
  purgeExpired: refuse
}
