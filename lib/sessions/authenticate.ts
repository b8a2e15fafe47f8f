import { type RequestContext } from '../events.js'
import { AuthError } from '../errors.js'
import { isUnavailable } from '../deadline.js'
import { type Clock } from '../time.js'
import { assertCurrent, type AccessClaims, type AccessPolicy } from '../tokens/claims.js'
import { type Tokens } from '../tokens/jwt.js'
import { type Revocations } from './revocations.js'

/**
 * Verifies an access token. It returns the claims, or a promise of them only if the store must be asked or a key must be
 * loaded. With `strict` it always asks the store. Throws or rejects with FST_AUTH_ACCESS_TOKEN_INVALID, _EXPIRED,
 * FST_AUTH_SESSION_ENDED, FST_AUTH_STORE_UNAVAILABLE.
 */
export type Authenticate = (token: string, context: RequestContext, options?: { readonly strict?: boolean }) => Promise<AccessClaims> | AccessClaims

interface AuthenticateOptions {
  readonly tokens: Pick<Tokens, 'verifyAccess' | 'seekKey'>
  readonly access: AccessPolicy
  readonly clock: Clock
  /** Without it, only `strict` notices that a session has ended. */
  readonly revocations?: Revocations | undefined
  /** The session is in the store and not revoked. Without it `strict` refuses every token. */
  isUnrevoked? (sessionId: string, context: RequestContext): Promise<boolean>
}

/** Checks the signature, then the claims, then the session. */
export function createAuthenticate ({ tokens, access, clock, revocations, isUnrevoked }: AuthenticateOptions): Authenticate {
  return function authenticate (token, context, { strict = false } = {}) {
    let claims: AccessClaims
    try {
      claims = assertCurrent(tokens.verifyAccess(token), access, clock())
    } catch (refusal) {
      // Another instance may have loaded a new key earlier. If the key cannot be loaded it is 401, and the client refreshes.
      const sought = tokens.seekKey?.('access', token)
      if (sought === undefined) throw refusal
      return sought.catch(() => {}).then(() => checkSession(assertCurrent(tokens.verifyAccess(token), access, clock()), context, strict))
    }
    return strict || revocations !== undefined ? checkSession(claims, context, strict) : claims
  }

  function checkSession (claims: AccessClaims, context: RequestContext, strict: boolean): Promise<AccessClaims> | AccessClaims {
    const verdict = revocations?.judge(claims) ?? 'unrevoked'
    if (verdict === 'revoked') throw new AuthError('FST_AUTH_SESSION_ENDED')
    if (strict) return assertUnrevoked(claims, context)
    return verdict === 'unrevoked' ? claims : resolveUnknown(claims, context)
  }

  async function assertUnrevoked (claims: AccessClaims, context: RequestContext): Promise<AccessClaims> {
    if (!await isUnrevoked?.(claims.sid, context)) throw new AuthError('FST_AUTH_SESSION_ENDED')
    return claims
  }

  /** Asks the store once and keeps its answer. If the store fails, `revocationUnknown` decides. */
  async function resolveUnknown (claims: AccessClaims, context: RequestContext): Promise<AccessClaims> {
    try {
      const verdict = await revocations?.ask(claims.sid, async () => await isUnrevoked?.(claims.sid, context) === true)
      if (verdict === 'revoked') throw new AuthError('FST_AUTH_SESSION_ENDED')
    } catch (error) {
      if (!isUnavailable(error) || revocations?.refusesUnknown()) throw error
      context.emit({ type: 'store_unavailable' }, error.cause) // the request is accepted, so no refusal reports the failure
    }
    return claims
  }
}
