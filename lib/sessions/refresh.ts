import { busy } from '../deadline.js'
import { AuthError, type AuthErrorCode } from '../errors.js'
import { type RequestContext } from '../events.js'
import { decide, decideRenewal, isYoung, nextGeneration, type Presented, type RefreshOutcome, type RefreshRefusal, type RotationPolicy } from './rotation-policy.js'
import { isLive, type Session, type SessionChange } from './session.js'
import { type SessionStore } from './store.js'
import { type EpochSeconds } from '../time.js'
import { type VerifiedRefreshToken } from '../tokens/jwt.js'

interface Refreshed {
  readonly session: Session
  readonly outcome: RefreshOutcome
}

/** Retries after a lost compare-and-set; each one reads the row and decides again. */
const MAX_RETRIES = 3

const CODES: Record<RefreshRefusal, AuthErrorCode> = {
  ended: 'FST_AUTH_SESSION_ENDED',
  endedByReuse: 'FST_AUTH_REFRESH_TOKEN_REUSED',
  expired: 'FST_AUTH_REFRESH_TOKEN_EXPIRED',
  reuse: 'FST_AUTH_REFRESH_TOKEN_REUSED'
}

export interface RefreshDependencies {
  readonly store: SessionStore
  readonly rotationPolicy: RotationPolicy
}

/** A verified refresh token as the rotation policy sees it. `claimed` is for stores that keep no rows, too. */
export function presentedBy ({ claims, signedByCurrentKey }: VerifiedRefreshToken, { bindUserAgent }: Pick<RotationPolicy, 'bindUserAgent'>, context: Pick<RequestContext, 'userAgent'>): Presented {
  const claimed: Session = {
    id: claims.sid,
    subject: claims.sub,
    generation: claims.gen,
    previous: claims.gen === 0 ? null : claims.gen - 1,
    rotatedAt: claims.iat,
    createdAt: claims.auth_time,
    expiresAt: claims.end,
    idleExpiresAt: claims.exp,
    authTime: claims.auth_time,
    userAgent: null,
    ip: null
  }
  return { claimed, signedByCurrentKey, userAgent: bindUserAgent ? context.userAgent : null }
}

/**
 * The session of a refresh token that a refresh would accept now, by one read. Throws the 401s of a refresh,
 * FST_AUTH_STORE_UNAVAILABLE. A token that was replaced earlier is reuse and ends the session.
 */
export async function readSession ({ store, rotationPolicy }: RefreshDependencies, token: VerifiedRefreshToken, context: RequestContext, at: EpochSeconds): Promise<Session> {
  const presented = presentedBy(token, rotationPolicy, context)
  const session = await context.bounded(() => store.get(token.claims.sid, presented.claimed))
  if (session === null) throw new AuthError('FST_AUTH_SESSION_ENDED')
  const decision = decide(session, presented, rotationPolicy, at)
  if ('refuse' in decision) return await throwRefusal(store, decision.refuse, session, presented, context)
  return session
}

/**
 * Refreshes a session with a refresh token, by compare-and-set against concurrent requests. Throws the 401s of a refresh,
 * FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
 */
export async function refreshSession ({ store, rotationPolicy: policy }: RefreshDependencies, token: VerifiedRefreshToken, context: RequestContext, at: EpochSeconds): Promise<Refreshed> {
  const { bounded } = context
  const presented = presentedBy(token, policy, context)
  const { claimed } = presented
  // A token past its grace period is nearly always the current one, so it is rotated without reading the row: one round trip.
  const optimistic = policy.rotation === 'always' && !isYoung(claimed.rotatedAt, at, policy.grace)
  if (optimistic) {
    const change = nextGeneration(claimed.generation, claimed.expiresAt, policy, at)
    const rotated = await bounded(() => store.advance(claimed.id, claimed.generation, change, claimed))
    if (rotated !== null) return { session: rotated, outcome: 'rotate' }
  }

  let healed = false
  for (let retry = optimistic ? 1 : 0; retry <= MAX_RETRIES; retry++) {
    const session = await bounded(() => store.get(claimed.id, claimed))
    if (session === null) throw new AuthError('FST_AUTH_SESSION_ENDED')
    const decision = decide(session, presented, policy, at)
    if ('refuse' in decision) return await throwRefusal(store, decision.refuse, session, presented, context)
    if ('answer' in decision) return { session, outcome: healed ? 'heal' : decision.answer }

    // A recovery is counted in the row, perhaps also one that is cut short and answered 503: so it has a full deadline.
    const write = decision.write === 'recover' ? bounded.withNewDeadline() : bounded
    const moved = await write(() => store.advance(session.id, session.generation, decision.change, claimed))
    if (moved === null) continue
    if (decision.write !== 'heal') return { session: moved, outcome: healed ? 'heal' : decision.write }
    healed = true // decide again: the healed generation may be old enough to rotate
  }
  throw busy(undefined, 1)
}

/**
 * Sets `authTime` of a live session to now. The generation stays, so concurrent refreshes of other tabs are not affected.
 * Throws FST_AUTH_SESSION_ENDED, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
 */
export async function updateAuthTime (store: SessionStore, id: string, context: RequestContext, at: EpochSeconds): Promise<Session> {
  return await updateSession(store, id, context, session => {
    if (!isLive(session, at)) throw new AuthError('FST_AUTH_SESSION_ENDED')
    const { generation, previous, rotatedAt, idleExpiresAt } = session
    return { generation, previous, rotatedAt, idleExpiresAt, authTime: at }
  })
}

/**
 * True if a refresh would keep or rotate the token, or replay its successor; false if it would recover or heal the session. Throws
 * FST_AUTH_REFRESH_TOKEN_REUSED, after it has ended the session, FST_AUTH_STORE_UNAVAILABLE.
 */
export async function isCurrentToken ({ store, rotationPolicy }: RefreshDependencies, token: VerifiedRefreshToken, session: Session, context: RequestContext, at: EpochSeconds): Promise<boolean> {
  const presented = presentedBy(token, rotationPolicy, context)
  const decision = decide(session, presented, rotationPolicy, at)
  if ('refuse' in decision) return await throwRefusal(store, decision.refuse, session, presented, context)
  return 'answer' in decision || decision.write === 'rotate'
}

/** Refreshes a session with a valid access token. Throws the 401s of a refresh, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. */
export async function renewWithAccessToken ({ store, rotationPolicy }: RefreshDependencies, id: string, context: RequestContext, at: EpochSeconds): Promise<Session> {
  return await updateSession(store, id, context, session => {
    const decision = decideRenewal(session, context.userAgent, rotationPolicy, at)
    if ('refuse' in decision) throw new AuthError(CODES[decision.refuse])
    return 'answer' in decision ? null : decision.change
  })
}

/** Applies `decideChange` by compare-and-set, with retries; null leaves the session as it is. */
async function updateSession (store: SessionStore, id: string, { bounded }: RequestContext, decideChange: (session: Session) => SessionChange | null): Promise<Session> {
  for (let retry = 0; retry <= MAX_RETRIES; retry++) {
    const session = await bounded(() => store.get(id))
    if (session === null) throw new AuthError('FST_AUTH_SESSION_ENDED')
    const change = decideChange(session)
    if (change === null) return session
    const written = await bounded(() => store.advance(id, session.generation, change))
    if (written !== null) return written
  }
  throw busy(undefined, 1)
}

/** Throws the error of a refusal. On reuse it ends the session first (RFC 9700 section 4.14.2). */
async function throwRefusal (store: SessionStore, refusal: RefreshRefusal, session: Session, presented: Presented, context: RequestContext): Promise<never> {
  if (refusal === 'reuse') await endByReuse(store, session, presented, context)
  throw new AuthError(CODES[refusal])
}

/**
 * Emits `reuse` unless another request has ended the session. A revoke that fails may still have been written, and no later
 * request would then report the theft: so it is reported too.
 */
async function endByReuse (store: SessionStore, session: Session, presented: Presented, context: RequestContext): Promise<void> {
  let ended = true
  try {
    ended = await context.bounded(() => store.revoke(session.id, 'reuse'))
  } finally {
    if (ended) {
      context.emit({
        type: 'reuse',
        subject: session.subject,
        sessionId: session.id,
        presented: presented.claimed.generation,
        current: session.generation,
        loggedInFrom: { userAgent: session.userAgent, ip: session.ip }
      })
    }
  }
}

export function isMissingOrExpired (refusal: unknown): boolean {
  return refusal instanceof AuthError && /^FST_AUTH_REFRESH_TOKEN_(?:MISSING|EXPIRED)$/.test(refusal.code)
}
