import { COLUMNS, FIELDS } from './columns.js'

/** The statements of every database. */
export type SessionStatements = Readonly<Record<'create' | 'get' | 'advance' | 'list' | 'purge' | 'now' | keyof ReturnType<typeof ownerStatements>, string>>

/** The columns of a session. */
export const SESSION = Object.values(COLUMNS).join(', ')

export function createSession (name: string): string {
  return `INSERT INTO ${name} (${SESSION}) VALUES (${FIELDS.map((_, index) => `$${index + 1}`).join(', ')})`
}

/** A rotation writes to no indexed column. `session` is what is read of the row. */
export function advanceReturning (name: string, session: string): string {
  return `UPDATE ${name}
      SET generation = $3, previous = $4, rotated_at = $5, idle_expires_at = $6, auth_time = coalesce($7, auth_time)
      WHERE id = $1 AND generation = $2 AND revoked_at IS NULL
      RETURNING ${session}`
}

/** The id of the row that records the owner of the table, as JSON in `user_agent`. No session has such an id. */
export const OWNER_ID = ':app'

/** A time that no purge reaches: the end of the year 9999. */
const NEVER = 253_402_300_799

/** The columns of a row of the store's own, before the one that holds its content. */
export const OWN_COLUMNS = 'id, subject, generation, rotated_at, created_at, expires_at, idle_expires_at, auth_time, revoked_at'

/** Their values. Revoked and never purged, so that no statement for sessions selects the row. */
export function ownRow (id: string): string {
  return `${id}, ${id}, 0, 0, 0, ${NEVER}, ${NEVER}, 0, 0`
}

export function ownerStatements (name: string) {
  return {
    readOwner: `SELECT user_agent AS owner FROM ${name} WHERE id = '${OWNER_ID}'`,
    addOwner: `INSERT INTO ${name} (${OWN_COLUMNS}, user_agent)
      VALUES (${ownRow(`'${OWNER_ID}'`)}, $1) ON CONFLICT DO NOTHING RETURNING id`,
    replaceOwner: `UPDATE ${name} SET user_agent = $1 WHERE id = '${OWNER_ID}' AND user_agent = $2 RETURNING id`,
    removeOwner: `DELETE FROM ${name} WHERE id = '${OWNER_ID}';`
  }
}
