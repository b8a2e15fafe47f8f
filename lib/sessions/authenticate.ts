import { type RequestContext } from '../audit/events.js'
import { AuthError } from '../errors.js'
import { isUnavailable } from '../deadline.js'
import { type Clock } from '../time.js'
import { judgeAccessClaims, type AccessClaims, type AccessPolicy } from '../tokens/claims.js'
import { type Tokens } from '../tokens/jwt.js'
import { type Revocations } from './revocations.js'

/**
 * The claims of an access token; a promise of them only where the store, or for its key the app, has to be asked. With
 * `strict` the store is always asked. Throws, or rejects with, FST_AUTH_ACCESS_TOKEN_INVALID, _EXPIRED,
 * FST_AUTH_SESSION_ENDED, FST_AUTH_STORE_UNAVAILABLE.
 */
export type Authenticate = (token: string, context: RequestContext, options?: { readonly strict?: boolean }) => Promise<AccessClaims> | AccessClaims

/** What access tokens are judged by. */
export interface AuthenticateOptions {
  readonly tokens: Pick<Tokens, 'verifyAccess' | 'seekKey'>
  readonly access: AccessPolicy
  readonly clock: Clock
  /** The sessions that ended while their access tokens live; without it only `strict` asks whether a session ended. */
  readonly revocations?: Revocations | undefined
  /** Whether a session is in the store and has not been revoked. */
  isUnrevoked (sessionId: string, context: RequestContext): Promise<boolean>
}

/** Builds the one way to authenticate: signature, claims, then the session. */
export function createAuthenticate ({ tokens, access, clock, revocations, isUnrevoked }: AuthenticateOptions): Authenticate {
  return function authenticate (token, context, { strict = false } = {}) {
    const claims = readClaims(token)
    return claims instanceof Promise
      ? claims.then(known => checkSession(known, context, strict))
      : checkSession(claims, context, strict)
  }

  /** A promise where another instance may have read the key of this token before this one. */
  function readClaims (token: string): Promise<AccessClaims> | AccessClaims {
    try {
      return judge(token)
    } catch (error) {
      const sought = tokens.seekKey('access', token)
      if (sought === undefined) throw error
      return sought.catch(() => {}).then(() => judge(token)) // where the key cannot be read it is 401: the client refreshes
    }
  }

  function judge (token: string): AccessClaims {
    return judgeAccessClaims(tokens.verifyAccess(token)?.payload, access, Math.floor(clock()))
  }

  function checkSession (claims: AccessClaims, context: RequestContext, strict: boolean): Promise<AccessClaims> | AccessClaims {
    const verdict = revocations?.judge(claims) ?? 'live'
    if (verdict === 'ended') throw new AuthError('FST_AUTH_SESSION_ENDED')
    if (strict) return assertUnrevoked(claims, context)
    return verdict === 'live' ? claims : resolveUnknown(claims, context)
  }

  async function assertUnrevoked (claims: AccessClaims, context: RequestContext): Promise<AccessClaims> {
    if (!await isUnrevoked(claims.sid, context)) throw new AuthError('FST_AUTH_SESSION_ENDED')
    return claims
  }

  /** Asks the store once and keeps its answer. Where it cannot answer, `revocationUnknown` decides. */
  async function resolveUnknown (claims: AccessClaims, context: RequestContext): Promise<AccessClaims> {
    try {
      const verdict = await revocations?.ask(claims.sid, () => isUnrevoked(claims.sid, context))
      if (verdict === 'ended') throw new AuthError('FST_AUTH_SESSION_ENDED')
    } catch (error) {
      if (!isUnavailable(error) || revocations?.refusesUnknown()) throw error
      context.emit({ type: 'store_unavailable' }, error.cause) // nobody is refused, so nothing else would show it
    }
    return claims
  }
}
