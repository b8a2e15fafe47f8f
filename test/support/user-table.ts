import { type User, type Users } from '../../lib/accounts/user.js'

/** The app's user table, in memory. */
export interface UserTable extends Required<Users> {
  readonly byName: Map<string, User>
  /** The called functions, in order; a test may empty it. */
  readonly calls: string[]
  /** Every hash that was replaced. */
  readonly replaced: string[]
  /** Changes columns of a user's row. */
  change (username: string, columns: Partial<User>): void
}

/** A table with one row per name; missing columns are filled in. */
export function userTable (people: Record<string, Partial<User>> = {}): UserTable {
  const byName = new Map<string, User>()
  const calls: string[] = []
  const replaced: string[] = []
  for (const [username, row] of Object.entries(people)) byName.set(username, { id: byName.size + 1, username, passwordHash: null, ...row })
  const byId = (id: string) => [...byName.values()].find(user => String(user.id) === id) ?? null

  function change (username: string, columns: Partial<User>): void {
    const user = byName.get(username)
    if (user === undefined) throw new Error(`there is no user ${username}`)
    byName.set(username, { ...user, ...columns })
  }

  return {
    byName,
    calls,
    replaced,
    change,
    async findByUsername (username) {
      calls.push('findByUsername')
      return byName.get(username) ?? null
    },
    async findById (sub) {
      calls.push('findById')
      return byId(sub)
    },
    async create ({ username, passwordHash }) {
      calls.push('create')
      if (byName.has(username)) return null
      const user = { id: byName.size + 1, username, passwordHash }
      byName.set(username, user)
      return user
    },
    async updatePasswordHash (id, newHash, oldHash) {
      calls.push('updatePasswordHash')
      const user = byId(String(id))
      if (user?.passwordHash !== oldHash) return false
      change(user.username, { passwordHash: newHash })
      replaced.push(newHash)
      return true
    }
  }
}
