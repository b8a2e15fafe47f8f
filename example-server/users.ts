import { type User, type Users } from 'fastify-refresh-cookie'
import { type Database } from './database.js'

/** The app's user table. */
export interface UserTable extends Required<Users> {
  /** Makes the table where it is missing. */
  createTable (): Promise<void>
  /** What the table holds about a person, but for the password's hash; nothing if the person is gone. */
  dataOf (sub: string): Promise<object | undefined>
}

/** Users in PostgreSQL. Names are compared as the plugin gives them: normalised. */
export function createUserTable (database: Database): UserTable {
  return {
    async createTable () {
      // Two servers that start at once would otherwise both find it missing, and one would fail.
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
    },

    findByUsername: async username => await one(`SELECT ${USER} FROM users WHERE username = $1`, username),

    findById: async sub => await one(`SELECT ${USER} FROM users WHERE id = $1`, sub),

    // The unique index decides who gets a name: no row comes back for the second.
    create: async ({ username, passwordHash }) => await one(
      `INSERT INTO users (username, password_hash) VALUES ($1, $2) ON CONFLICT (username) DO NOTHING RETURNING ${USER}`,
      username, passwordHash),

    updatePasswordHash: async (id, newHash, oldHash) => await one(
      `UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3 RETURNING ${USER}`,
      id, newHash, oldHash) !== null,

    dataOf: async sub => {
      const { rows: [row] } = await database.query('SELECT id, username, created_at AS "createdAt" FROM users WHERE id = $1', [sub])
      return row as object | undefined // what is selected
    }
  }

  async function one (sql: string, ...values: unknown[]): Promise<User | null> {
    const { rows: [user] } = await database.query(sql, values)
    return user === undefined ? null : user as User // what USER selects
  }
}

const USER = 'id, username, password_hash AS "passwordHash", disabled'
