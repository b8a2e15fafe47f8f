import { type RevokeReason, type Session, type SessionChange, type SessionPosition } from '../../sessions/session.js'
import { type EpochSeconds } from '../../time.js'
import { type Revocation } from '../revocation-feed.js'

/** A part of a list: at most `limit` sessions after a position, those that are not expired at `liveAt`. */
export interface PageQuery {
  readonly limit: number
  readonly after: SessionPosition
  readonly liveAt: EpochSeconds
}

/** The table of sessions in one database. Each method but `prepare` is one transaction, and rejects where that fails. */
export interface SessionTable {
  /** Creates the table if it is missing, and checks it and the user's rights. Rejects with a TypeError if it cannot be used. */
  prepare (): Promise<void>
  insert (session: Session): Promise<void>
  find (id: string): Promise<Session | null>
  /** As `SessionStore.advance`. */
  advance (id: string, fromGeneration: number, change: SessionChange): Promise<Session | null>
  /** Revokes the session of a revocation, or at most `limit` sessions of its subject. Resolves to the number that this call revoked. */
  revoke (revocation: Revocation, at: EpochSeconds, reason: RevokeReason, limit: number): Promise<number>
  /** Unrevoked sessions of a subject, ordered by age. */
  list (subject: string, page: PageQuery): Promise<Session[]>
  /** Deletes at most `limit` expired rows. Resolves to their number. */
  deleteExpired (before: EpochSeconds, limit: number): Promise<number>
  /** The server's time. */
  now (): Promise<EpochSeconds>
  /** The recorded owner as JSON; null if there is none yet. */
  readOwner (): Promise<string | null>
  /** Compare-and-set: writes `next` if the record is still `found`, else resolves to false. */
  replaceOwner (found: string | null, next: string): Promise<boolean>
}
