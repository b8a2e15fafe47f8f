import { type Challenges, type IssueChallengeOptions } from '../accounts/challenges.js'
import { type Passwords } from '../accounts/hashing.js'
import { type UserId } from '../accounts/user.js'
import { type RequestContext } from '../events.js'
import { type SessionListOptions } from '../sessions/list.js'
import { type SessionService } from '../sessions/session-service.js'
import { type Session } from '../sessions/session.js'
import { subjectOf } from '../tokens/subject.js'
import { recordingRefusals } from './decorators.js'
import { type AuthHealth } from './health.js'

/**
 * `app.sessions`: administration of all users' sessions. Every method rejects with FST_AUTH_STORE_UNAVAILABLE if the store
 * fails, and with a TypeError if it keeps no sessions. `purgeExpired` rejects with the store's own error instead, and resolves to
 * 0 for a store that keeps no sessions.
 */
export interface SessionAdministration {
  /**
   * The subject's live sessions, oldest first, 100 by default and 10,000 at most. For the next page, pass the last session of this one as
   * `after`. Times are in seconds since the epoch. Rejects with a TypeError for an invalid page.
   */
  list (subject: UserId, part?: SessionListOptions): Promise<Session[]>
  /** The session with this id, for one that stays open, such as a socket; null if it does not exist or has ended. */
  get (id: string): Promise<Session | null>
  /** Ends a session. Resolves to false if it does not exist, was revoked already or is past its absolute end. */
  revoke (id: string): Promise<boolean>
  /**
   * Ends all sessions of a subject, e.g. after a password reset. Resolves to their number, with those past their idle end. If it rejects, some
   * sessions may have ended; call it again for the others.
   */
  revokeAll (subject: UserId): Promise<number>
  /**
   * Deletes the rows of expired sessions in batches; `sessions.purgeEvery` runs it periodically. Resolves to the number of rows; to 0 for stores that
   * expire rows themselves, such as Redis.
   */
  purgeExpired (): Promise<number>
}

/** The decorators of an app with sessions, beside those of `AuthenticationDecorators`. */
export interface SessionDecorators {
  /** Administration of all users' sessions. */
  readonly sessions: SessionAdministration
  /**
   * As `request.auth.issueChallenge`, for links that no request asks for, such as an invitation or the confirmation of an address in
   * `accounts.onSignup`.
   */
  readonly issueChallenge: (subject: UserId, options: IssueChallengeOptions) => Promise<string>
  /** Hashing and verification of passwords, for apps with their own signup or password reset. */
  readonly passwords: Passwords
  /** For readiness probes: asks the store, so it takes `timeouts.call` at most. It never rejects. */
  readonly authHealth: () => Promise<AuthHealth>
}

declare module 'fastify' {
  interface FastifyInstance extends SessionDecorators {}
}

export function sessionAdministration (sessions: SessionService, context: RequestContext): SessionAdministration {
  return {
    list: (subject, part) => recordingRefusals(context, () => sessions.list(subjectOf(subject, 'app.sessions'), context, part)),
    get: id => recordingRefusals(context, () => sessions.findLive(id, context)),
    revoke: id => recordingRefusals(context, () => sessions.revoke(id, 'revoked', context)),
    revokeAll: subject => recordingRefusals(context, () => sessions.revokeAll(subjectOf(subject, 'app.sessions'), 'revoked', context)),
    purgeExpired: () => sessions.purgeExpired()
  }
}

export function issueChallengeWith (challenges: Challenges, context: RequestContext): SessionDecorators['issueChallenge'] {
  return (subject, options) => recordingRefusals(context, () => challenges.issue(subjectOf(subject, 'app.issueChallenge()'), options, context))
}
