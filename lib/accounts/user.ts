/**
 * The id of a user: text, a safe integer, a bigint, or an object whose own `toString` gives it, such as an ObjectId or a
 * UUID. Dates, arrays, buffers and promises have a `toString` too, and are no ids.
 */
export type UserId = string | number | bigint |
  (object & { toString (): string, readonly getTime?: never, readonly length?: never, readonly then?: never })

/**
 * A person as the app's own user table knows them. It may be an instance of a class (a Mongoose document, a Sequelize
 * model): it is read, and never copied or changed.
 */
export interface User {
  readonly id: UserId
  readonly username: string
  /** The stored password hash; null for people who log in another way. */
  readonly passwordHash: string | null
  /** True refuses every login and every refresh. */
  readonly disabled?: boolean | null | undefined
}

/** A user, or nobody: what a query for one row gives in any library. */
type Found<U extends User> = U | null | undefined

/**
 * The app's user table, asynchronous or not. Its functions are declared as methods so that an app's own, richer
 * user type fits. Each function may be missing: routes exist only when what they need is there.
 * One that throws or takes too long is answered 503, and nothing is written.
 */
export interface Users<U extends User = User> {
  /** The user with exactly this (normalised) name; null or undefined where there is none. */
  findByUsername? (username: string): Promise<Found<U>> | Found<U>
  /**
   * The user with `String(id) === sub`; null or undefined where there is none. Asked at every refresh,
   * which ends the session of whoever is not found: let it read the primary, not a replica that lags behind.
   */
  findById? (sub: string): Promise<Found<U>> | Found<U>
  /**
   * The new user, or null when the name is taken; anything else, such as undefined, is a TypeError. Uniqueness is the
   * database's: the unique violation that it throws counts as a taken name, so catch one that is about another column.
   */
  create? (user: { username: string, passwordHash: string }): Promise<U | null> | U | null
  /** Replaces a hash: true; false if it was no longer `oldHash`. Anything else, such as undefined, is a TypeError. */
  updatePasswordHash? (id: User['id'], newHash: string, oldHash: string): Promise<boolean> | boolean
}
