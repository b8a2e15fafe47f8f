import { type Passwords } from '../accounts/hashing.js'
import { type UserId } from '../accounts/user.js'
import { type RequestContext } from '../audit/events.js'
import { type SessionListOptions } from '../sessions/list.js'
import { type SessionService } from '../sessions/service.js'
import { type Session } from '../sessions/session.js'
import { subjectOf } from '../tokens/subject.js'
import { refusing } from './decorators.js'

/** `app.sessions`: what an administrator can do to anybody's sessions. All but `purgeExpired` reject with a TypeError where the store keeps none. */
export interface SessionAdministration {
  /**
   * The subject's live sessions, oldest first, 100 by default, 10,000 at most; the next part is `after` the last of this one.
   */
  list (subject: UserId, part?: SessionListOptions): Promise<Session[]>
  /** Ends a session; false where there was none to end. */
  revoke (id: string): Promise<boolean>
  /**
   * Ends all sessions of a subject, e.g. after a password reset, however many there are. Resolves to how many. Where it
   * rejects some may have ended; the next call goes on with the others.
   */
  revokeAll (subject: UserId): Promise<number>
  /** Deletes rows that nobody needs any more, in batches; run it now and then. Resolves to how many; to 0 where the store forgets by itself, as Redis does. */
  purgeExpired (): Promise<number>
}

/** What an app with sessions is decorated with beside it. */
export interface SessionDecorators {
  readonly sessions: SessionAdministration
  /** For apps with their own signup or password reset. */
  readonly passwords: Passwords
}

declare module 'fastify' {
  interface FastifyInstance extends SessionDecorators {}
}

/** `app.sessions`. */
export function sessionAdministration (sessions: SessionService, context: RequestContext): SessionAdministration {
  return {
    list: (subject, part) => refusing(context, () => sessions.list(textOf(subject), context, part)),
    revoke: id => refusing(context, () => sessions.revoke(id, 'revoked', context)),
    revokeAll: subject => refusing(context, () => sessions.revokeAll(textOf(subject), 'revoked', context)),
    purgeExpired: () => sessions.purgeExpired()
  }
}

function textOf (id: UserId): string {
  return typeof id === 'string' ? id : subjectOf(id, 'app.sessions')
}
