import { type RequestContext } from '../events.js'
import { isUnavailable } from '../deadline.js'
import { AuthError } from '../errors.js'
import { type SessionRef } from '../tokens/claims.js'
import { assertFound, subjectOf } from '../tokens/subject.js'
import { type Passwords } from './hashing.js'
import { updateHash, wasReplaced } from './password-change.js'
import { type Attempt, type Caller, type Throttle } from './throttle.js'
import { normaliseUsername, type User, type Users, type VerifiedLogin, type VerifiedUser } from './user.js'

/** A username and a password as a request sent them; they need not be validated. */
export interface Credentials {
  readonly username: unknown
  readonly password: unknown
}

interface PasswordVerifierOptions {
  readonly users: Users
  readonly passwords: Passwords
  readonly throttle: Throttle
  /** Logs a warning. Loggers serialise an error with its stack under the name `err`. Must not throw. */
  readonly warn: (message: string, details: { readonly subject: string, readonly err?: unknown }) => void
}

/** A user as `users` returned it. Its values are read at once, since the app may change its object at any time. */
interface FoundUser extends Pick<VerifiedUser, 'user' | 'subject'> {
  /** Null for users who cannot log in with a password. */
  readonly passwordHash: string | null
}

const NOBODY = { user: null, subject: null, passwordHash: null } as const

/** Verifies the passwords of users, within the rate limits. */
export class PasswordVerifier {
  readonly #users: Users
  readonly #passwords: Passwords
  readonly #throttle: Throttle
  readonly #warn: PasswordVerifierOptions['warn']

  constructor ({ users, passwords, throttle, warn }: PasswordVerifierOptions) {
    this.#users = users
    this.#passwords = passwords
    this.#throttle = throttle
    this.#warn = warn
  }

  /**
   * Resolves to the user with these credentials; needs `findByUsername`. Every wrong username or password is the same
   * FST_AUTH_CREDENTIALS_INVALID after the same work (user enumeration). Throws FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY and
   * what `Throttle` throws, whatever the credentials. A password whose verification failed or took too long counts as wrong.
   */
  async verifyLogin ({ username, password }: Credentials, caller: Caller): Promise<VerifiedLogin> {
    const name = normaliseUsername(username)
    const attempt = await this.#throttle.start(caller)
    try {
      await this.#throttle.consumeName(attempt, name)
      const found = await this.#findByName(name, caller)
      await this.#throttle.consumeUser(attempt, found?.subject ?? null)
      const verified = await this.#verify(found, password, attempt, caller)
      const user = verified.passwordHash === found?.passwordHash ? verified.user : await this.#userWith(verified, name, caller)
      return {
        ...verified,
        user,
        isStillValid: async changedTo => {
          const current = await this.#findByName(name, caller)
          if (current?.subject !== verified.subject) return false
          if (current.passwordHash === verified.passwordHash || (changedTo !== undefined && current.passwordHash === changedTo)) return true
          // A concurrent login may have replaced the hash by a stronger one of the same password.
          return await this.#passwords.verify(current.passwordHash, password, caller)
        }
      }
    } catch (error) {
      await this.#throttle.refund(attempt)
      throw error
    }
  }

  /** As `verifyLogin`, for the user of a session; needs `findById`. */
  async verifyAgain (session: SessionRef, password: unknown, caller: Caller): Promise<VerifiedUser> {
    const attempt = await this.#throttle.start(caller)
    try {
      await this.#throttle.consumeSession(attempt, session)
      const found = readUser(await caller.bounded(() => this.#users.findById?.(session.sub)), '"users.findById"')
      if (found !== null) assertFound(found.subject, session.sub)
      return await this.#verify(found, password, attempt, caller, { message: 'The password is wrong' })
    } catch (error) {
      await this.#throttle.refund(attempt)
      throw error
    }
  }

  async #findByName (name: string | null, { bounded }: RequestContext): Promise<FoundUser | null> {
    return name === null ? null : readUser(await bounded(() => this.#users.findByUsername?.(name)), '"users.findByUsername"')
  }

  /** The user after its hash was replaced: the app may bind a challenge to the hash of this object. */
  async #userWith ({ user, passwordHash }: VerifiedUser, name: string | null, context: RequestContext): Promise<User> {
    const found = await this.#findByName(name, context)
    return found?.passwordHash === passwordHash ? found.user : user
  }

  async #verify (found: FoundUser | null, password: unknown, attempt: Attempt, caller: Caller, refusal?: { readonly message: string }): Promise<VerifiedUser> {
    const { user, subject, passwordHash } = found ?? NOBODY
    let matches: boolean
    try {
      // Verified whatever was found, so that neither the reply nor its time reveals which part was wrong (user enumeration).
      matches = await this.#passwords.verify(passwordHash, password, caller)
    } catch (error) {
      // A flood can make a hash of another system take too long after a wrong password was found to be wrong.
      if (isUnavailable(error)) await this.#throttle.fail(attempt, subject)
      throw error
    }
    if (user === null || passwordHash === null || !matches || user.disabled) {
      if (subject !== null && passwordHash !== null) this.#warnIfUnreadable(subject, passwordHash)
      caller.emit({ type: 'login_failed', subject })
      await this.#throttle.fail(attempt, subject)
      throw new AuthError('FST_AUTH_CREDENTIALS_INVALID', refusal)
    }
    const verified = { user, subject, passwordHash }
    const isWeak = this.#users.updatePasswordHash !== undefined && this.#passwords.needsRehash(passwordHash)
    const current = isWeak ? await this.#rehash(verified, password, caller) : verified
    await this.#throttle.succeed(attempt, subject)
    return current
  }

  #warnIfUnreadable (subject: string, passwordHash: string): void {
    if (this.#passwords.canVerify(passwordHash)) return
    this.#warn('The passwordHash of this user cannot be verified: the field must have this name and be an argon2id hash or null; for hashes of another system set "passwords.verifyLegacy"', { subject })
  }

  /** Replaces a hash that is weaker than a new one: only a login knows the password. */
  async #rehash (verified: VerifiedUser, password: unknown, context: RequestContext): Promise<VerifiedUser> {
    const newHash = await this.#passwords.hash(password, context).catch(() => null)
    if (newHash === null) return verified // e.g. the queue is full: the next login tries again
    try {
      const answer = await context.bounded(() => updateHash(this.#users, verified, newHash))
      return wasReplaced(answer) ? { ...verified, passwordHash: newHash } : verified
    } catch (err) {
      this.#warn('It is unknown whether the stronger password hash of this user was stored: if not, the next login tries again', { subject: verified.subject, err })
      return verified
    }
  }
}

/** A disabled user counts as one without a hash: otherwise the right password would be answered faster (timing). */
function readUser (user: User | null | undefined, source: string): FoundUser | null {
  return user == null ? null : { user, subject: subjectOf(user.id, source), passwordHash: user.disabled ? null : user.passwordHash }
}
