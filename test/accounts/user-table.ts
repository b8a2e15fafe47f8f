import { type User, type Users } from '../../lib/core/user.js'

/** An app's user table in memory, with everything that accounts can use. */
export interface UserTable extends Required<Omit<Users, 'findById'>> {
  /** The rows, by username. */
  readonly rows: Map<string, User>
  /** Which functions were called, in order. */
  readonly calls: string[]
  /** Every hash that was written over another. */
  readonly replaced: string[]
}

/** A table with one row for each name; what a row lacks is filled in. */
export function userTable (people: Record<string, Partial<User>> = {}): UserTable {
  const rows = new Map<string, User>()
  const calls: string[] = []
  const replaced: string[] = []
  for (const [username, row] of Object.entries(people)) rows.set(username, { id: rows.size + 1, username, passwordHash: null, ...row })

  return {
    rows,
    calls,
    replaced,

    async findByUsername (username) {
      calls.push('findByUsername')
      return rows.get(username) ?? null
    },

    async create ({ username, passwordHash }) {
      calls.push('create')
      if (rows.has(username)) return null
      const user = { id: rows.size + 1, username, passwordHash }
      rows.set(username, user)
      return user
    },

    async updatePasswordHash (id, newHash, oldHash) {
      calls.push('updatePasswordHash')
      const user = [...rows.values()].find(row => row.id === id)
      if (user?.passwordHash !== oldHash) return false
      rows.set(user.username, { ...user, passwordHash: newHash })
      replaced.push(newHash)
      return true
    }
  }
}
