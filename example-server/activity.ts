import type { AuditEvent } from 'fastify-refresh-cookie'
import type { Database } from './database.js'

/** An event of an account, as its owner may read it. */
export interface Activity {
  readonly type: AuditEvent['type']
  /** The reason of a revocation; null for other events. */
  readonly reason: string | null
  readonly at: Date
  readonly userAgent: string | null
  readonly ip: string | null
}

export interface ActivityLog {
  /** For the plugin's `onEvent`. */
  add (event: AuditEvent): Promise<void>
  /** Newest first. */
  list (userId: string): Promise<readonly Activity[]>
}

/** The number of events that are kept per user. */
const KEPT = 200

/** Opens the table of events, and creates it if it is missing. It refers to the table of users. */
export async function openActivityLog (database: Database): Promise<ActivityLog> {
  await database.query(`DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('activity'));
    CREATE TABLE IF NOT EXISTS activity (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
      type text NOT NULL,
      reason text,
      at timestamptz NOT NULL,
      user_agent text,
      ip text
    );
    CREATE INDEX IF NOT EXISTS activity_of_user ON activity (user_id, id);
  END $$`)

  return {
    async add (event) {
      if (!isForOwner(event)) return
      const reason = event.type === 'revoked' ? event.reason : null
      // At most one throttled attempt is kept per hour, else an attacker could push out all other events.
      await database.query(`INSERT INTO activity (user_id, type, reason, at, user_agent, ip)
        SELECT $1, $2, $3, to_timestamp($4), $5, $6
        WHERE $2 <> 'throttled' OR NOT EXISTS
          (SELECT FROM activity WHERE user_id = $1 AND type = 'throttled' AND at > to_timestamp($4) - interval '1 hour')`,
      [event.subject, event.type, reason, event.at, event.userAgent, event.ip])
      await database.query(`DELETE FROM activity WHERE user_id = $1 AND id <=
        (SELECT id FROM activity WHERE user_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)`,
      [event.subject, KEPT])
    },

    async list (userId) {
      const { rows } = await database.query(
        'SELECT type, reason, at, user_agent AS "userAgent", ip FROM activity WHERE user_id = $1 ORDER BY id DESC', [userId])
      return rows as Activity[] // the columns above
    }
  }
}

type OwnerEvent = AuditEvent & { readonly subject: string }

/**
 * Leaves out refreshes (their times would help a thief, and they are frequent), and sessions that ended because
 * of another event that is listed: a new login in the same browser, or a change of password.
 */
function isForOwner (event: AuditEvent): event is OwnerEvent {
  if (!('subject' in event) || event.subject === null) return false
  if (event.type === 'revoked') return event.reason !== 'superseded' && event.reason !== 'password_changed'
  if (event.type === 'throttled') return event.what !== 'session'
  return event.type !== 'refresh' && event.type !== 'refresh_refused'
}
