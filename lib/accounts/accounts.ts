import { startDeadline, type Bounded, type Timeouts } from '../core/deadline.js'
import { type RequestContext } from '../core/events.js'
import { type User, type Users } from '../core/user.js'
import { AuthError } from '../errors.js'
import { parsePasswordHash } from './password-hash.js'
import { type Passwords } from './passwords.js'
import { MAX_USERNAME_LENGTH, normaliseUsername } from './username.js'

/** What somebody typed, as a request holds it: not judged yet. */
export interface Credentials {
  readonly username: unknown
  readonly password: unknown
}

/** Signup and login against the app's users. Each exists only if `users` gives what it needs. */
export interface Accounts {
  /**
   * Makes an account; needs `create`. Throws FST_ERR_VALIDATION for an impossible username, FST_AUTH_PASSWORD_REFUSED,
   * FST_AUTH_USERNAME_TAKEN, FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY. A free and a taken name cost the same.
   */
  readonly signup?: (credentials: Credentials, context: RequestContext) => Promise<User>
  /**
   * The user whom the credentials prove; needs `findByUsername`. Every failure is the same FST_AUTH_CREDENTIALS_INVALID
   * after the same work; FST_AUTH_STORE_UNAVAILABLE and FST_AUTH_BUSY say nothing about the credentials.
   */
  readonly login?: (credentials: Credentials, context: RequestContext) => Promise<User>
}

/** What accounts are built from. */
export interface AccountsOptions {
  readonly users: Users
  readonly passwords: Passwords
  readonly timeouts: Timeouts
  /** How requests call the username; for messages alone. */
  readonly usernameField?: string | undefined
  /** Told of what an operator should look at; `err` is the name that loggers write a whole error under. Must not throw. */
  readonly warn?: ((message: string, details: { readonly subject: string, readonly err?: unknown }) => void) | undefined
}

/** Builds signup and login from what `users` gives. */
export function createAccounts (options: AccountsOptions): Accounts {
  const { users, passwords, timeouts, usernameField = 'username', warn = () => {} } = options
  // Bound, since `users` may be an instance of a class.
  const create = users.create?.bind(users)
  const findByUsername = users.findByUsername?.bind(users)
  const updatePasswordHash = users.updatePasswordHash?.bind(users)
  // A budget for each callback: time in the password queue is not the database's.
  const bounded: Bounded = call => startDeadline(timeouts)(call)

  return {
    ...(create !== undefined && { signup: signupWith(create) }),
    ...(findByUsername !== undefined && { login: loginWith(findByUsername) })
  }

  function signupWith (create: NonNullable<Users['create']>): NonNullable<Accounts['signup']> {
    return async function signup ({ username, password }, context) {
      const name = normaliseUsername(username)
      if (name === null) throw impossibleUsername(usernameField)
      await passwords.check(password, { username: name })
      const passwordHash = await passwords.hash(password)

      const user = await bounded(() => create({ username: name, passwordHash })) ?? null
      if (user === null) throw new AuthError('FST_AUTH_USERNAME_TAKEN')
      context.emit({ type: 'signup', subject: String(user.id) })
      return user
    }
  }

  function loginWith (findByUsername: NonNullable<Users['findByUsername']>): NonNullable<Accounts['login']> {
    return async function login ({ username, password }, context) {
      const name = normaliseUsername(username)
      const user = name === null ? null : await bounded(() => findByUsername(name)) ?? null
      // Verified first and whatever was found: neither the answer nor its time tells which part was wrong.
      const proven = await passwords.verify(user?.passwordHash ?? null, password)

      if (user === null || !proven || user.disabled) {
        if (user !== null) warnIfUnreadable(user)
        context.emit({ type: 'login_failed', subject: user === null ? null : String(user.id) })
        throw new AuthError('FST_AUTH_CREDENTIALS_INVALID')
      }
      await strengthen(user, password)
      return user
    }
  }

  function warnIfUnreadable ({ id, passwordHash }: User): void {
    if (passwordHash === null || parsePasswordHash(passwordHash) !== null) return
    warn('The stored password hash of this user cannot be read: they can only log in after a password reset', { subject: String(id) })
  }

  /** Only a login knows the password, so it is the moment to replace a hash that is weaker than today's. */
  async function strengthen ({ id, passwordHash }: User, password: unknown): Promise<void> {
    if (updatePasswordHash === undefined || passwordHash === null || !passwords.needsRehash(passwordHash)) return
    try {
      const newHash = await passwords.hash(password)
      await bounded(() => updatePasswordHash(id, newHash, passwordHash))
    } catch (err) {
      warn('The password hash of this user could not be replaced by a stronger one: the next login tries again', { subject: String(id), err })
    }
  }
}

/** As Fastify's own validation answers. */
function impossibleUsername (field: string): Error {
  const message = `body/${field} must have 1 to ${MAX_USERNAME_LENGTH} characters, all of them visible`
  return Object.assign(new Error(message), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
}
