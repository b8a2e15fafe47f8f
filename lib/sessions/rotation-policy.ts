import { type EpochSeconds, type Seconds } from '../time.js'
import { isRevoked, type Session, type SessionChange } from './session.js'

export interface RotationPolicy {
  /** With 'never' a refresh does not replace the refresh token. */
  readonly rotation: 'always' | 'never'
  /** The grace period: how long a generation is held, and its predecessor replayed. 0: strict single use. */
  readonly grace: Seconds
  /** Accept the predecessor until its successor is replaced too, since the reply may have been lost; at most three times. */
  readonly recoverLostReply: boolean
  /** The idle lifetime of a session. */
  readonly idle: Seconds
  /** Accept the previous generation only from the browser family that logged in. */
  readonly bindUserAgent?: boolean
}

/** A verified refresh token and the browser that sent it. */
export interface Presented {
  /** The session as the token states it. */
  readonly claimed: Session
  /** False for a token that a retired key signed. */
  readonly signedByCurrentKey: boolean
  readonly userAgent: string | null
}

/** The outcome of a successful refresh: see the rotation policy, `decide`. */
export type RefreshOutcome = 'rotate' | 'hold' | 'replay' | 'recover' | 'heal'

export type RefreshRefusal = 'ended' | 'endedByReuse' | 'expired' | 'reuse'

/** Answer from the row, write a change first, or refuse. */
export type Decision =
  | { readonly answer: 'hold' | 'replay' }
  | { readonly write: 'rotate' | 'recover' | 'heal', readonly change: SessionChange }
  | { readonly refuse: RefreshRefusal }

/** The tolerated clock difference of instances. The rest of the grace period covers the request and its reply in transit. */
export function toleratedSkew (grace: Seconds): Seconds {
  return Math.ceil(grace / 3)
}

/**
 * Recoveries per replaced token, for replies that are lost repeatedly. Without a limit a thief could use one stolen token for as
 * long as its owner does not use the successor.
 */
const MAX_RECOVERIES = 3

/** Issued within the grace period, or in the future by another instance's clock. */
export function isYoung (since: EpochSeconds, now: EpochSeconds, grace: Seconds): boolean {
  // Without a grace period not even a negative age is young.
  return grace > 0 && now - since < grace
}

/** Extends the idle expiry, never beyond the absolute expiry. */
export function nextGeneration (generation: number, expiresAt: EpochSeconds, policy: RotationPolicy, now: EpochSeconds): SessionChange {
  return {
    generation: generation + 1,
    previous: generation,
    rotatedAt: now,
    idleExpiresAt: Math.min(now + policy.idle, expiresAt)
  }
}

/**
 * The rotation policy, by the generation of a verified refresh token:
 *
 * - The current generation is rotated (rotate), or kept while it is young (hold). So there is at most one rotation per grace
 *   period, and tabs, reloads and retries are at most one generation behind.
 * - The previous generation gets the current token while that is young (replay). Later it gets a new one (recover), at most three
 *   times: the current token was not rotated since, so its reply was lost, or a thief has it. The new token invalidates the current
 *   one, so that the owner and a thief cannot both continue.
 * - A generation ahead of the row, signed by the current key, means that the store lost writes (heal).
 * - Any other generation was replaced before: reuse (RFC 9700 section 4.14.2).
 */
export function decide (session: Session, presented: Presented, policy: RotationPolicy, now: EpochSeconds): Decision {
  const { claimed, signedByCurrentKey } = presented
  if (isRevoked(session)) return refuseRevoked(session)
  if (now >= session.expiresAt || now >= session.idleExpiresAt) return { refuse: 'expired' }

  const young = isYoung(session.rotatedAt, now, policy.grace)

  if (claimed.generation === session.generation) {
    if (young || policy.rotation === 'never') return { answer: 'hold' }
    return { write: 'rotate', change: nextGeneration(session.generation, session.expiresAt, policy, now) }
  }
  if (claimed.generation === session.previous && isKnownBrowser(session, presented, policy)) {
    if (young) return { answer: 'replay' }
    if (policy.recoverLostReply && recoveriesOf(session.generation, claimed.generation) < MAX_RECOVERIES) {
      const next = nextGeneration(session.generation, session.expiresAt, policy, now)
      return { write: 'recover', change: { ...next, previous: session.previous } }
    }
  }
  if (claimed.generation > session.generation && signedByCurrentKey && claimed.rotatedAt >= session.rotatedAt) {
    return {
      write: 'heal',
      change: {
        generation: claimed.generation,
        previous: claimed.previous,
        rotatedAt: claimed.rotatedAt,
        idleExpiresAt: Math.min(claimed.idleExpiresAt, session.expiresAt)
      }
    }
  }
  return { refuse: 'reuse' }
}

/**
 * The decision for a valid access token whose refresh token is expired or missing (`renewWithAccessToken`): a rotation, at most
 * one per grace period, so that all tabs get the same token. With 'never' the generation stays, since a page may have left out a
 * cookie that is valid. It does not extend the absolute expiry.
 */
export function decideRenewal (session: Session, userAgent: string | null, policy: RotationPolicy, now: EpochSeconds): Decision {
  if (isRevoked(session)) return refuseRevoked(session)
  if (now >= session.expiresAt || !isKnownBrowser(session, { userAgent }, policy)) return { refuse: 'expired' }
  if (isYoung(session.rotatedAt, now, policy.grace) && now < session.idleExpiresAt) return { answer: 'replay' }
  const next = nextGeneration(session.generation, session.expiresAt, policy, now)
  const { generation, previous } = policy.rotation === 'never' ? session : next
  return { write: 'rotate', change: { ...next, generation, previous } }
}

/** A recovery increments the generation and leaves `previous` as it is. */
function recoveriesOf (generation: number, previous: number): number {
  return generation - previous - 1
}

/** After reuse every token of the session gets that code, so that the app can warn the owner. */
function refuseRevoked ({ reason }: Session): Decision {
  return { refuse: reason === 'reuse' ? 'endedByReuse' : 'ended' }
}

/** The grace period also helps an attacker, so it can require the same browser family. */
function isKnownBrowser (session: Session, presented: Pick<Presented, 'userAgent'>, policy: RotationPolicy): boolean {
  return policy.bindUserAgent !== true || isSameUserAgent(session.userAgent, presented.userAgent)
}

/**
 * The same browser family on the same system. Version numbers are ignored, since browsers update.
 */
export function isSameUserAgent (one: string | null, other: string | null): boolean {
  return familyOf(one) === familyOf(other)
}

function familyOf (userAgent: string | null): string {
  return (userAgent ?? '').replace(/\d[\d._]*/g, '')
}
