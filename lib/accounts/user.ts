/**
 * The id of a user: a string, a safe integer, a bigint, or an object whose own `toString` gives the id, such as an ObjectId
 * or a UUID. Dates, arrays, buffers and promises have a `toString` too, but are no ids.
 */
export type UserId = string | number | bigint |
  (object & { toString (): string, readonly getTime?: never, readonly length?: never, readonly then?: never })

/**
 * A user of the app's own user table. It may be an instance of a class (a Mongoose document, a Sequelize model): it is
 * read, and never copied or changed.
 */
export interface User {
  readonly id: UserId
  readonly username: string
  /** The stored password hash; null for users who log in another way. */
  readonly passwordHash: string | null
  /** True refuses every login and every refresh. */
  readonly disabled?: boolean | null | undefined
}

/**
 * The columns of the app's users beyond `User`, for the type of `request.auth.verifyPassword`. The app declares them:
 * `declare module 'fastify-refresh-cookie' { interface CustomUser { totpSecret: string | null } }`.
 */
export interface CustomUser {}

/** A user whose password has just been verified. */
export interface VerifiedUser {
  /** The app's own object. The app may change it at any time, so the values that were verified are kept beside it. */
  readonly user: User
  readonly subject: string
  /** The hash that the password was verified against, or the stronger one that has replaced it. */
  readonly passwordHash: string
}

/** A user whose username and password have just been verified. */
export interface VerifiedLogin extends VerifiedUser {
  /**
   * False if the user or the password was changed meanwhile, to another hash than `changedTo`. A password change revokes only the
   * sessions that are stored by then, so a concurrent login checks again once its own session is stored.
   */
  isStillValid (changedTo?: string): Promise<boolean>
}

/** The result of a query for one row, in any library. */
type Found<U extends User> = U | null | undefined

/**
 * The app's user table. Its functions may be asynchronous or not; they are declared as methods so that an app's own, richer
 * user type fits. Each may be left out: a route exists only if the functions that it needs do.
 * If one throws or takes too long, the reply is 503; what it or the store began may be written.
 */
export interface Users<U extends User = User> {
  /** Returns the user with exactly this (normalised) username; null or undefined if there is none. */
  findByUsername? (username: string): Promise<Found<U>> | Found<U>
  /**
   * Returns the user with `String(id) === sub`; null or undefined if there is none. Called at every refresh, which ends the
   * session of a user who is not found: read the primary, not a replica that lags behind.
   */
  findById? (sub: string): Promise<Found<U>> | Found<U>
  /**
   * Creates a user and returns it, or null if the username is taken; anything else, such as undefined, is a TypeError. The
   * database must enforce uniqueness: its unique violation counts as a taken username, so catch those of other columns.
   */
  create? (user: { username: string, passwordHash: string }): Promise<U | null> | U | null
  /**
   * Replaces `oldHash` and returns true; returns false if the hash was another by then. Anything else, such as undefined, is
   * a TypeError.
   */
  updatePasswordHash? (id: User['id'], newHash: string, oldHash: string): Promise<boolean> | boolean
}

/** The longest username, in UTF-16 code units: that of the longest e-mail address (RFC 5321), and below `MAX_SUBJECT_LENGTH`, since an app may use the username as the id. */
export const MAX_USERNAME_LENGTH = 254

// Invisible characters would let two names look the same (impersonation): control and format characters, every separator
// but the space, characters without a glyph (UAX #44, Default_Ignorable_Code_Point), and blank glyphs: the Braille pattern
// without dots, a null notehead, the blanks of Egyptian hieroglyphs, the Khitan filler, the object replacement character.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{1d159}\u{13441}\u{13442}]|\u{16fe4}|(?! )\p{Z}/u

/**
 * Normalises a username as the routes do before they store it or look it up, for a signup or login of your own: to Unicode
 * NFKC, so that the full-width `＠` is an `@` and one name is one account, and without white space around it. Null for an
 * invalid username. Normalising twice does not change the result.
 */
export function normaliseUsername (value: unknown): string | null {
  // NFKC takes seconds for a hundred thousand accents on one letter. It makes at most 6 units into one.
  if (typeof value !== 'string' || value.length > 6 * MAX_USERNAME_LENGTH || !value.isWellFormed()) return null
  const name = value.normalize('NFKC').trim()
  return name !== '' && name.length <= MAX_USERNAME_LENGTH && !INVISIBLE.test(name) ? name : null
}
