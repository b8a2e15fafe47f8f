import { type EpochSeconds, type Seconds } from '../time.js'
import { isRevoked, type Session, type SessionChange } from './session.js'

/** How refresh tokens rotate. */
export interface RotationPolicy {
  /** `'never'`: a refresh leaves the refresh token as it is. */
  readonly rotation: 'always' | 'never'
  /** How long a generation is held, and how long its predecessor still converges on it. 0: strict single use. */
  readonly grace: Seconds
  /** Whether the predecessor is good until its successor was used, for the reply that never arrived; three times at most. */
  readonly recoverLostReply: boolean
  /** How long a session lasts without a refresh. */
  readonly idle: Seconds
  /** Whether only the browser that logged in may present the previous generation. */
  readonly bindUserAgent?: boolean
}

/** What a verified refresh token says of itself. */
export interface Presented {
  readonly generation: number
  /** The token's `iat`. */
  readonly issuedAt: EpochSeconds
  /** The token's `exp`. */
  readonly expiresAt: EpochSeconds
  /** Whether the key that signed it is the one that signs now, and not a retired one. */
  readonly signedByCurrentKey: boolean
  /** The User-Agent of the request that carries it. */
  readonly userAgent: string | null
}

/** How a refresh was answered. */
export type RefreshOutcome = 'rotate' | 'hold' | 'replay' | 'recover' | 'heal'

/** Why a refresh was refused by the session's row. */
export type RefreshRefusal = 'ended' | 'endedByReuse' | 'expired' | 'reuse'

/** What is to be done with a presented token: answer from the row, write a step first, or refuse. */
export type Decision =
  | { readonly answer: 'hold' | 'replay' }
  | { readonly write: 'rotate' | 'recover' | 'heal', readonly change: SessionChange }
  | { readonly refuse: RefreshRefusal }

/** By how much the clocks of instances may differ: the rest of a grace is for a request and its reply on their way. */
export function toleratedSkew (grace: Seconds): Seconds {
  return Math.ceil(grace / 3)
}

/**
 * How often one replaced token may be recovered. Replies get lost one by one; without a bound, a thief could live on one
 * copy for as long as its owner does not use the successor.
 */
const MAX_RECOVERIES = 3

/** Whether something issued at `since` is within the grace window. A moment in the future (another clock) is. */
export function isYoung (since: EpochSeconds, now: EpochSeconds, grace: Seconds): boolean {
  // With grace 0 not even a negative age may be young: there is no window then.
  return grace > 0 && now - since < grace
}

/** The step from `generation` to the next. The idle end moves, never beyond the absolute end. */
export function rotation (generation: number, expiresAt: EpochSeconds, policy: RotationPolicy, now: EpochSeconds): SessionChange {
  return {
    generation: generation + 1,
    previous: generation,
    rotatedAt: now,
    idleExpiresAt: Math.min(now + policy.idle, expiresAt)
  }
}

/**
 * The rotation policy: what a signed token of some generation means for its session.
 *
 * - The current generation rotates; while young it is held, so at most one rotation happens per grace window
 *   and "one behind" is exact, whatever the number of tabs, reloads and retries.
 * - The previous one converges on the current one while that is young (replay). Later, since a current one that
 *   had been rotated would itself be the previous, the current one was never rotated: its reply was lost, or a
 *   thief is ahead. It is replaced (recover), so that owner and thief can never both go on; three times at most.
 * - One ahead of the row was signed by us, so the store lost writes (heal).
 * - Everything else was replaced before: a second use (RFC 9700 section 4.14.2).
 */
export function decide (session: Session, presented: Presented, policy: RotationPolicy, now: EpochSeconds): Decision {
  if (isRevoked(session)) return refuseRevoked(session)
  if (now >= session.expiresAt || now >= session.idleExpiresAt) return { refuse: 'expired' }

  const young = isYoung(session.rotatedAt, now, policy.grace)

  if (presented.generation === session.generation) {
    if (young || policy.rotation === 'never') return { answer: 'hold' }
    return { write: 'rotate', change: rotation(session.generation, session.expiresAt, policy, now) }
  }
  if (presented.generation === session.previous && isKnownBrowser(session, presented, policy)) {
    if (young) return { answer: 'replay' }
    if (policy.recoverLostReply && recoveriesOf(session.generation, presented.generation) < MAX_RECOVERIES) {
      const next = rotation(session.generation, session.expiresAt, policy, now)
      return { write: 'recover', change: { ...next, previous: session.previous } }
    }
  }
  if (presented.generation > session.generation && presented.signedByCurrentKey && presented.issuedAt >= session.rotatedAt) {
    return {
      write: 'heal',
      change: {
        generation: presented.generation,
        previous: presented.generation - 1,
        rotatedAt: presented.issuedAt,
        idleExpiresAt: Math.min(presented.expiresAt, session.expiresAt)
      }
    }
  }
  return { refuse: 'reuse' }
}

/**
 * What a valid access token means for its session where the refresh token expired or is gone (`renewWithAccessToken`):
 * the next generation, but at most one per grace window, so that tabs converge on it. The absolute end holds.
 */
export function decideRenewal (session: Session, userAgent: string | null, policy: RotationPolicy, now: EpochSeconds): Decision {
  if (isRevoked(session)) return refuseRevoked(session)
  if (now >= session.expiresAt || !isKnownBrowser(session, { userAgent }, policy)) return { refuse: 'expired' }
  if (isYoung(session.rotatedAt, now, policy.grace) && now < session.idleExpiresAt) return { answer: 'replay' }
  return { write: 'rotate', change: rotation(session.generation, session.expiresAt, policy, now) }
}

/** How often `previous` was recovered: each time the generation moved and `previous` did not. */
function recoveriesOf (generation: number, previous: number): number {
  return generation - previous - 1
}

/** The owner of a session that was ended by reuse can be told, whatever token of it they present. */
function refuseRevoked ({ reason }: Session): Decision {
  return { refuse: reason === 'reuse' ? 'endedByReuse' : 'ended' }
}

/** What converges for tabs and lost replies would also serve a thief who is quick; another browser is never one of the tabs. */
function isKnownBrowser (session: Session, presented: Pick<Presented, 'userAgent'>, policy: RotationPolicy): boolean {
  return policy.bindUserAgent !== true || isSameUserAgent(session.userAgent, presented.userAgent)
}

const MAX_LENGTH = 256

/** A User-Agent header without control characters, which Node accepts and a log or a page might not; null where there is none. */
export function readUserAgent (header: string | undefined): string | null {
  return header === undefined ? null : header.replace(/[^\x20-\x7e\xa0-\xff]/g, '').slice(0, MAX_LENGTH)
}

/**
 * Whether two User-Agent headers can be the same browser on the same machine, now and after an update:
 * they are compared without their version numbers.
 */
export function isSameUserAgent (one: string | null, other: string | null): boolean {
  return familyOf(one) === familyOf(other)
}

function familyOf (userAgent: string | null): string {
  return (userAgent ?? '').replace(/\d[\d._]*/g, '')
}
