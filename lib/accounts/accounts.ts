import { type RequestContext } from '../audit/events.js'
import { isUnavailable } from '../deadline.js'
import { AuthError, restated } from '../errors.js'
import { redacted, withholding } from '../redaction.js'
import { type WritePassword } from '../sessions/password-change.js'
import { subjectOf } from '../tokens/subject.js'
import { type Passwords } from './hashing.js'
import { createdUser, isUniqueViolation, wasReplaced } from './user-results.js'
import { type User, type Users } from './user.js'
import { MAX_USERNAME_LENGTH, normaliseUsername } from './username.js'

/** A username and a password as a request sent them, not validated yet. */
export interface Credentials {
  readonly username: unknown
  readonly password: unknown
}

/** A user whose password has just been verified. */
export interface Proven {
  /** The app's own object. The app may change it at any time, so the values that were verified are kept beside it. */
  readonly user: User
  readonly subject: string
  /** The hash that the password was verified against, or the stronger one that has replaced it. */
  readonly passwordHash: string
}

/** Called before a password is verified, with the subject of the user found, or null for an unknown name. An error ends the login. */
export type UserFound = (subject: string | null) => Promise<void>

/** Signup and login against the app's users. Each method exists only if `users` has the functions that it needs. */
export interface Accounts {
  /**
   * Creates an account; needs `create`. Throws FST_ERR_VALIDATION for an invalid username, FST_AUTH_PASSWORD_REFUSED,
   * FST_AUTH_USERNAME_TAKEN, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. A free and a taken name both cost one hash.
   */
  readonly signup?: (credentials: Credentials, context: RequestContext) => Promise<User>
  /**
   * Resolves to the user with these credentials; needs `findByUsername`. Every failure is the same
   * FST_AUTH_CREDENTIALS_INVALID after the same work (user enumeration). FST_AUTH_STORE_UNAVAILABLE and FST_AUTH_BUSY do
   * not depend on the credentials. `found` is awaited.
   */
  readonly login?: (credentials: Credentials, context: RequestContext, found?: UserFound) => Promise<Proven>
  /**
   * True if credentials that have just been verified are still valid; exists where `login` does. A password change revokes
   * only the sessions that are stored by then, so a concurrent login checks again once its own session is stored.
   */
  readonly stillProves?: (credentials: Credentials, proven: Proven, context: RequestContext) => Promise<boolean>
  /**
   * Verifies the password of a user who is logged in; needs `findById`. Throws FST_AUTH_CREDENTIALS_INVALID,
   * FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
   */
  readonly reauthenticate?: (subject: string, password: unknown, context: RequestContext) => Promise<Proven>
  /**
   * Checks and hashes a new password for a user whose password has just been verified; needs `updatePasswordHash`. Only the
   * returned function writes. It throws FST_AUTH_CREDENTIALS_INVALID if the password was changed meanwhile,
   * FST_AUTH_STORE_UNAVAILABLE if the outcome of the write is unknown, and a TypeError if the app returns no boolean.
   */
  readonly changePassword?: (proven: Proven, newPassword: unknown, context: RequestContext) => Promise<WritePassword>
}

export interface AccountsOptions {
  readonly users: Users
  readonly passwords: Passwords
  /** The body field of the username, for messages. */
  readonly usernameField: string
  /** Logs a warning. Loggers serialise an error with its stack under the name `err`. Must not throw. */
  readonly warn?: ((message: string, details: { readonly subject: string, readonly err?: unknown }) => void) | undefined
}

export function createAccounts (options: AccountsOptions): Accounts {
  const { users, passwords, usernameField, warn = () => {} } = options
  // Bound, since `users` may be an instance of a class.
  const create = users.create?.bind(users)
  const findByUsername = users.findByUsername?.bind(users)
  const findById = users.findById?.bind(users)
  const updatePasswordHash = users.updatePasswordHash?.bind(users)

  return {
    ...(create !== undefined && { signup: signupWith(create) }),
    ...(findByUsername !== undefined && { login: loginWith(findByUsername), stillProves: stillProvesWith(findByUsername) }),
    ...(findById !== undefined && { reauthenticate: reauthenticateWith(findById) }),
    ...(updatePasswordHash !== undefined && { changePassword: changePasswordWith(updatePasswordHash) })
  }

  function signupWith (create: NonNullable<Users['create']>): NonNullable<Accounts['signup']> {
    return async function signup ({ username, password }, context) {
      const name = normaliseUsername(username)
      if (name === null) throw impossibleUsername(usernameField)
      await passwords.check(password, { username: name })
      const passwordHash = await passwords.hash(password, context)

      const { answer, violation } = await context.bounded(() => tryCreate(create, { username: name, passwordHash })).catch((error: unknown) => {
        throw restated(error, 'It is unknown whether the account was created: try again, and log in if the username is taken by then')
      })
      const user = createdUser(answer)
      if (user === null) throw new AuthError('FST_AUTH_USERNAME_TAKEN', { cause: redacted(violation) })
      // The id is known only now. An account with an invalid id exists all the same, and works once the app returns a valid one.
      context.emit({ type: 'signup', subject: subjectOf(user.id, '"users.create"') })
      return user
    }
  }

  function loginWith (findByUsername: NonNullable<Users['findByUsername']>): NonNullable<Accounts['login']> {
    return async function login ({ username, password }, context, found) {
      const name = normaliseUsername(username)
      const user = name === null ? null : await context.bounded(() => findByUsername(name)) ?? null
      return await verifyUser(user, '"users.findByUsername"', password, context, found)
    }
  }

  function stillProvesWith (findByUsername: NonNullable<Users['findByUsername']>): NonNullable<Accounts['stillProves']> {
    return async function stillProves ({ username, password }, { subject, passwordHash }, context) {
      const name = normaliseUsername(username) as string // a login has just found the user by it
      const user = await context.bounded(() => findByUsername(name)) ?? null
      if (user === null || user.disabled || String(user.id) !== subject) return false
      // A concurrent login may have replaced the hash by a stronger one of the same password.
      return user.passwordHash === passwordHash || await passwords.verify(user.passwordHash, password, context)
    }
  }

  function reauthenticateWith (findById: NonNullable<Users['findById']>): NonNullable<Accounts['reauthenticate']> {
    return async function reauthenticate (subject, password, context) {
      const user = await context.bounded(() => findById(subject)) ?? null
      return await verifyUser(user, '"users.findById"', password, context)
    }
  }

  function changePasswordWith (updatePasswordHash: NonNullable<Users['updatePasswordHash']>): NonNullable<Accounts['changePassword']> {
    return async function changePassword ({ user: { id, username }, subject, passwordHash }, newPassword, context) {
      await passwords.check(newPassword, { username })
      const newHash = await passwords.hash(newPassword, context)

      return async function write (later) {
        let writing: Promise<boolean> | undefined
        try {
          const answer = await context.bounded(() => (writing = withholding([newHash, passwordHash], () => updatePasswordHash(id, newHash, passwordHash))))
          if (!wasReplaced(answer)) throw new AuthError('FST_AUTH_CREDENTIALS_INVALID')
        } catch (error) {
          if (!isUnavailable(error)) throw error
          if (!await isStored(subject, newHash, context)) {
            writing?.then(answer => wasReplaced(answer) && changed(later)).catch(() => {})
            throw error
          }
        }
        changed()
      }

      function changed (then = () => {}): void {
        context.emit({ type: 'password_changed', subject })
        then()
      }
    }
  }

  /** True if a hash was stored although the reply to the write was lost. */
  async function isStored (subject: string, hash: string, { bounded }: RequestContext): Promise<boolean> {
    try {
      const user = await bounded.anew()(() => findById?.(subject))
      return user?.passwordHash === hash
    } catch {
      return false
    }
  }

  /** Verifies the password of the user that `source` returned. */
  async function verifyUser (user: User | null, source: string, password: unknown, context: RequestContext, found?: UserFound): Promise<Proven> {
    // Read before the first await, since the app may change its object. The hash of a disabled user is not verified: a right
    // password takes less time than a wrong one (timing).
    const passwordHash = user === null || user.disabled ? null : user.passwordHash
    const subject = user === null ? null : subjectOf(user.id, source)
    await found?.(subject)
    // Verified whatever was found, so that neither the reply nor its time reveals which part was wrong (user enumeration).
    const matches = await passwords.verify(passwordHash, password, context)

    if (user === null || subject === null || passwordHash === null) throw refused(subject, context)
    if (!matches || user.disabled) {
      warnIfUnreadable(subject, passwordHash)
      throw refused(subject, context)
    }
    return { user, subject, passwordHash: await rehashed({ user, subject, passwordHash }, password, context) }
  }

  function warnIfUnreadable (subject: string, passwordHash: string): void {
    if (passwords.canVerify(passwordHash)) return
    warn('The passwordHash of this user cannot be verified: it must be an argon2id hash, or null; for hashes of another system set "passwords.verifyLegacy"', { subject })
  }

  /** Replaces a hash that is weaker than a new one: only a login knows the password. Resolves to the hash that is stored then. */
  async function rehashed ({ user, subject, passwordHash }: Proven, password: unknown, context: RequestContext): Promise<string> {
    if (updatePasswordHash === undefined || !passwords.needsRehash(passwordHash)) return passwordHash
    try {
      const newHash = await passwords.hash(password, context)
      const answer = await context.bounded(() => withholding([newHash, passwordHash], () => updatePasswordHash(user.id, newHash, passwordHash)))
      return wasReplaced(answer) ? newHash : passwordHash
    } catch (err) {
      warn('It is unknown whether the stronger password hash of this user was stored: if not, the next login tries again', { subject, err })
      return passwordHash
    }
  }
}

/** The result of `create`, or null with the unique violation that it threw. */
async function tryCreate (create: NonNullable<Users['create']>, row: { username: string, passwordHash: string }): Promise<{ answer: User | null, violation?: unknown }> {
  try {
    return { answer: await create(row) }
  } catch (violation) {
    if (isUniqueViolation(violation)) return { answer: null, violation }
    throw violation
  }
}

function refused (subject: string | null, context: RequestContext): WrongCredentials {
  context.emit({ type: 'login_failed', subject })
  return new WrongCredentials(subject)
}

/** The same shape as an error of Fastify's own validation. */
function impossibleUsername (field: string): Error {
  const message = `body/${field} must have 1 to ${MAX_USERNAME_LENGTH} characters, all of them visible`
  return Object.assign(new Error(message), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
}

/** The same error for every failure (user enumeration). Its subject is for rate limits, and is never sent or logged. */
export class WrongCredentials extends AuthError {
  readonly #subject: string | null

  constructor (subject: string | null) {
    super('FST_AUTH_CREDENTIALS_INVALID')
    this.#subject = subject
  }

  /** Null for an unknown user. */
  get subject (): string | null {
    return this.#subject
  }
}
