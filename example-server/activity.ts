import type { AuditEvent } from 'fastify-refresh-cookie'
import type { Database } from './database.js'

/** Something that happened to somebody's account, as they may read it. */
export interface Activity {
  readonly type: AuditEvent['type']
  /** Why a session ended; null for everything else. */
  readonly reason: string | null
  readonly at: Date
  /** Where the request came from that caused it. */
  readonly userAgent: string | null
  readonly ip: string | null
}

/** What happened to each account: the last of it, in the database. */
export interface ActivityLog {
  /** Makes the table where it is missing; after the users'. */
  createTable (): Promise<void>
  /** For the plugin's `onEvent`. */
  note (event: AuditEvent): Promise<void>
  /** What somebody may read, newest first. */
  of (subject: string): Promise<readonly Activity[]>
}

/** How much is kept of each person. */
const KEPT = 200

/** An activity log in PostgreSQL. */
export function createActivityLog (database: Database): ActivityLog {
  return {
    async createTable () {
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
    },

    async note (event) {
      if (!isForTheOwner(event)) return
      const reason = event.type === 'revoked' ? event.reason : null
      // Of many refused guesses one line in an hour, or they would push out everything else.
      await database.query(`INSERT INTO activity (user_id, type, reason, at, user_agent, ip)
        SELECT $1, $2, $3, to_timestamp($4), $5, $6
        WHERE $2 <> 'throttled' OR NOT EXISTS
          (SELECT FROM activity WHERE user_id = $1 AND type = 'throttled' AND at > to_timestamp($4) - interval '1 hour')`,
      [event.subject, event.type, reason, event.at, event.userAgent, event.ip])
      await database.query('DELETE FROM activity WHERE user_id = $1 AND id <= (SELECT id FROM activity WHERE user_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)',
        [event.subject, KEPT])
    },

    async of (subject) {
      const { rows } = await database.query(
        'SELECT type, reason, at, user_agent AS "userAgent", ip FROM activity WHERE user_id = $1 ORDER BY id DESC', [subject])
      return rows as Activity[] // what is selected
    }
  }
}

type OwnersEvent = AuditEvent & { readonly subject: string }

/** Whether the owner should see it: no renewal, of which there is one in every minute, no refused one, and no end that only follows from something else. */
function isForTheOwner (event: AuditEvent): event is OwnersEvent {
  if (!('subject' in event) || event.subject === null) return false
  if (event.type === 'revoked') return !CONSEQUENCES.has(event.reason)
  if (event.type === 'refresh' || event.type === 'refresh_refused') return false
  return !(event.type === 'throttled' && event.what === 'session')
}

/** Why a session ends when the person logs in again in its browser, or changes the password. */
const CONSEQUENCES: ReadonlySet<string> = new Set(['superseded', 'password_changed'])
