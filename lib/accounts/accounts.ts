import { type RequestContext } from '../audit/events.js'
import { isUnavailable } from '../deadline.js'
import { AuthError, restated } from '../errors.js'
import { redacted, withholding } from '../redaction.js'
import { type WritePassword } from '../sessions/password-change.js'
import { subjectOf } from '../tokens/subject.js'
import { type Passwords } from './hashing.js'
import { createdUser, isUniqueViolation, wasReplaced } from './user-answers.js'
import { type User, type Users } from './user.js'
import { MAX_USERNAME_LENGTH, normaliseUsername } from './username.js'

/** What somebody typed, as a request holds it: not judged yet. */
export interface Credentials {
  readonly username: unknown
  readonly password: unknown
}

/** A user whose password has just been verified. */
export interface Proven {
  /** The app's own object, which may change under our hands: what it said at the proof is kept beside it. */
  readonly user: User
  readonly subject: string
  /** The hash that proved them, or the stronger one that has replaced it. */
  readonly passwordHash: string
}

/** Called with the id of the user whom a login found, or null for nobody, before a password is verified. What it throws ends the login. */
export type UserFound = (subject: string | null) => Promise<void>

/** Signup and login against the app's users. Each exists only if `users` gives what it needs. */
export interface Accounts {
  /**
   * Makes an account; needs `create`. Throws FST_ERR_VALIDATION for an impossible username, FST_AUTH_PASSWORD_REFUSED,
   * FST_AUTH_USERNAME_TAKEN, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. A free and a taken name cost the same.
   */
  readonly signup?: (credentials: Credentials, context: RequestContext) => Promise<User>
  /**
   * The user whom the credentials prove; needs `findByUsername`. Every failure is the same FST_AUTH_CREDENTIALS_INVALID
   * after the same work; FST_AUTH_STORE_UNAVAILABLE and FST_AUTH_BUSY say nothing about the credentials. `found` is waited for.
   */
  readonly login?: (credentials: Credentials, context: RequestContext, found?: UserFound) => Promise<Proven>
  /**
   * Whether credentials still prove a user whom they have just proven; there where `login` is. A change of password ends
   * the sessions that it finds, so a login that was on its way asks once its own is there.
   */
  readonly stillProves?: (credentials: Credentials, proven: Proven, context: RequestContext) => Promise<boolean>
  /**
   * The user of a session that is under way, if the password proves them once more; needs `findById`. Throws
   * FST_AUTH_CREDENTIALS_INVALID, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY.
   */
  readonly reauthenticate?: (subject: string, password: unknown, context: RequestContext) => Promise<Proven>
  /**
   * Judges and hashes a new password for a user who has just been proven; needs `updatePasswordHash`. Nothing is written
   * until the returned function is called, which throws FST_AUTH_CREDENTIALS_INVALID if the password was changed meanwhile,
   * FST_AUTH_STORE_UNAVAILABLE if nobody can tell whether it is changed now, and a TypeError if the app says neither.
   */
  readonly changePassword?: (proven: Proven, newPassword: unknown, context: RequestContext) => Promise<WritePassword>
}

/** What accounts are built from. */
export interface AccountsOptions {
  readonly users: Users
  readonly passwords: Passwords
  /** How requests call the username; for messages alone. */
  readonly usernameField: string
  /** Told of what an operator should look at; `err` is the name that loggers write a whole error under. Must not throw. */
  readonly warn?: ((message: string, details: { readonly subject: string, readonly err?: unknown }) => void) | undefined
}

/** Builds signup and login from what `users` gives. */
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

      const { answer, violation } = await context.bounded(() => outcomeOf(create, { username: name, passwordHash })).catch((error: unknown) => {
        throw restated(error, 'Nobody can tell whether the account was made: try again, and log in if the username is taken by then')
      })
      const user = createdUser(answer)
      if (user === null) throw new AuthError('FST_AUTH_USERNAME_TAKEN', { cause: redacted(violation) })
      // Nobody can know the id earlier: an account whose id is none was made, and works once the app gives a right one.
      context.emit({ type: 'signup', subject: subjectOf(user.id, '"users.create"') })
      return user
    }
  }

  function loginWith (findByUsername: NonNullable<Users['findByUsername']>): NonNullable<Accounts['login']> {
    return async function login ({ username, password }, context, found) {
      const name = normaliseUsername(username)
      const user = name === null ? null : await context.bounded(() => findByUsername(name)) ?? null
      return await proven(user, '"users.findByUsername"', password, context, found)
    }
  }

  function stillProvesWith (findByUsername: NonNullable<Users['findByUsername']>): NonNullable<Accounts['stillProves']> {
    return async function stillProves ({ username, password }, { subject, passwordHash }, context) {
      const name = normaliseUsername(username) as string // by which the user has just been found
      const user = await context.bounded(() => findByUsername(name)) ?? null
      if (user === null || user.disabled || String(user.id) !== subject) return false
      // Another login may have replaced the hash by a stronger one of the same password.
      return user.passwordHash === passwordHash || await passwords.verify(user.passwordHash, password, context)
    }
  }

  function reauthenticateWith (findById: NonNullable<Users['findById']>): NonNullable<Accounts['reauthenticate']> {
    return async function reauthenticate (subject, password, context) {
      const user = await context.bounded(() => findById(subject)) ?? null
      return await proven(user, '"users.findById"', password, context)
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

  /** Whether a hash was stored although the answer to that was lost. */
  async function isStored (subject: string, hash: string, { bounded }: RequestContext): Promise<boolean> {
    try {
      const user = await bounded.anew()(() => findById?.(subject))
      return user?.passwordHash === hash
    } catch {
      return false
    }
  }

  /** The user whom `from` gave, if the password is theirs and they may log in. */
  async function proven (user: User | null, from: string, password: unknown, context: RequestContext, found?: UserFound): Promise<Proven> {
    // Read before the wait: the app may change its object meanwhile. That of a disabled user is not verified, since a right
    // password takes less time than a wrong one.
    const passwordHash = user === null || user.disabled ? null : user.passwordHash
    const subject = user === null ? null : subjectOf(user.id, from)
    await found?.(subject)
    // Verified first and whatever was found: neither the answer nor its time tells which part was wrong.
    const matches = await passwords.verify(passwordHash, password, context)

    if (user === null || subject === null || passwordHash === null) throw refused(subject, context)
    if (!matches || user.disabled) {
      warnIfUnreadable(subject, passwordHash)
      throw refused(subject, context)
    }
    return { user, subject, passwordHash: await strengthened({ user, subject, passwordHash }, password, context) }
  }

  function warnIfUnreadable (subject: string, passwordHash: string): void {
    if (passwords.canVerify(passwordHash)) return
    warn('What "users" gave as the passwordHash of this user cannot be verified: it has to be an argon2id hash, or null; for those of another system give "passwords.verifyLegacy"', { subject })
  }

  /** Replaces a hash that is weaker than today's, since only a login knows the password. Resolves to the hash that is stored then. */
  async function strengthened ({ user, subject, passwordHash }: Proven, password: unknown, context: RequestContext): Promise<string> {
    if (updatePasswordHash === undefined || !passwords.needsRehash(passwordHash)) return passwordHash
    try {
      const newHash = await passwords.hash(password, context)
      const answer = await context.bounded(() => withholding([newHash, passwordHash], () => updatePasswordHash(user.id, newHash, passwordHash)))
      return wasReplaced(answer) ? newHash : passwordHash
    } catch (err) {
      warn('It is not sure that a stronger password hash of this user was stored: if it was not, the next login tries again', { subject, err })
      return passwordHash
    }
  }
}

/** What `create` gave; null where its database says that the name is taken, then with what that threw. */
async function outcomeOf (create: NonNullable<Users['create']>, row: { username: string, passwordHash: string }): Promise<{ answer: User | null, violation?: unknown }> {
  try {
    return { answer: await create(row) }
  } catch (violation) {
    if (isUniqueViolation(violation)) return { answer: null, violation }
    throw violation
  }
}

/** The one refusal of every failed proof. */
function refused (subject: string | null, context: RequestContext): WrongCredentials {
  context.emit({ type: 'login_failed', subject })
  return new WrongCredentials(subject)
}

/** As Fastify's own validation answers. */
function impossibleUsername (field: string): Error {
  const message = `body/${field} must have 1 to ${MAX_USERNAME_LENGTH} characters, all of them visible`
  return Object.assign(new Error(message), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
}

/** The one refusal of every wrong proof. It knows at whose account it was tried: for what counts attempts, never sent or logged. */
export class WrongCredentials extends AuthError {
  readonly #subject: string | null

  constructor (subject: string | null) {
    super('FST_AUTH_CREDENTIALS_INVALID')
    this.#subject = subject
  }

  /** Null where no such user exists. */
  get subject (): string | null {
    return this.#subject
  }
}
