/** A person as the app's own user table knows them. */
export interface User {
  readonly id: string | number
  readonly username: string
  /** The stored password hash; null for people who log in another way. */
  readonly passwordHash: string | null
  /** True refuses every login and every refresh. */
  readonly disabled?: boolean
}

/**
 * The app's user table, asynchronous or not. Its functions are declared as methods so that an app's own, richer
 * user type fits. Each function may be missing: routes exist only when what they need is there.
 * One that throws or takes too long is answered 503, and nothing is written.
 */
export interface Users {
  /** The user with exactly this (normalised) name, or null. */
  findByUsername? (username: string): Promise<User | null> | User | null
  /** The user with `String(id) === sub`, or null. Asked at every refresh. */
  findById? (sub: string): Promise<User | null> | User | null
  /** A new user, or null when the name is taken; uniqueness is the database's. */
  create? (user: { username: string, passwordHash: string }): Promise<User | null> | User | null
  /** Replaces a hash; false if it was no longer `oldHash`. */
  updatePasswordHash? (id: User['id'], newHash: string, oldHash: string): Promise<boolean> | boolean
}
