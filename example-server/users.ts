import { type User, type Users } from 'fastify-refresh-cookie'
import { type Database } from './database.js'

export interface AppUser extends User {
  readonly id: string
  readonly passwordHash: string
  readonly createdAt: Date
}

export type UserTable = Required<Users<AppUser>>

const COLUMNS = 'id, username, password_hash AS "passwordHash", disabled, created_at AS "createdAt"'

/** Opens the table of users, and creates it if it is missing. */
export async function openUsers (database: Database): Promise<UserTable> {
  // If two servers start at once, one waits for the other.
  await database.query(`DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('users'));
    CREATE TABLE IF NOT EXISTS users (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      username text NOT NULL UNIQUE,
      password_hash text NOT NULL,
      disabled boolean NOT NULL DEFAULT false,
      created_at timestamptz NOT NULL DEFAULT now()
    );
  END $$`)

  async function one (sql: string, ...values: unknown[]): Promise<AppUser | null> {
    const { rows: [user] } = await database.query(sql, values)
    return user === undefined ? null : user as AppUser // by COLUMNS
  }

  return {
    findByUsername: async username => await one(`SELECT ${COLUMNS} FROM users WHERE username = $1`, username),

    findById: async id => await one(`SELECT ${COLUMNS} FROM users WHERE id = $1`, id),

    // It returns no row if the name is taken.
    create: async ({ username, passwordHash }) => await one(
      `INSERT INTO users (username, password_hash) VALUES ($1, $2) ON CONFLICT (username) DO NOTHING RETURNING ${COLUMNS}`,
      username, passwordHash),

    updatePasswordHash: async (id, newHash, oldHash) => await one(
      `UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3 RETURNING ${COLUMNS}`,
      id, newHash, oldHash) !== null
  }
}
