import { setImmediate } from 'node:timers/promises'
import { type RequestContext } from '../events.js'
import { startDeadline, type Timeouts } from '../deadline.js'
import { AuthError, withMessage } from '../errors.js'
import { redacted, redactErrors } from '../redaction.js'
import { kindOf, subjectOf } from '../tokens/subject.js'
import { type Passwords } from './hashing.js'
import { type Credentials } from './password-verifier.js'
import { type Caller, type Throttle } from './throttle.js'
import { MAX_USERNAME_LENGTH, normaliseUsername, type User, type Users } from './user.js'

/** Called with the outcome of a silent signup, whose response reveals nothing. `user` is null if the username was taken. */
export type SignupListener = (signup: { readonly username: string, readonly user: User | null }) => Promise<void> | void

interface SignupOptions {
  readonly users: Users
  readonly passwords: Passwords
  readonly throttle: Throttle
  /** The body field of the username, for messages. */
  readonly usernameField: string
  readonly onSignup: SignupListener | undefined
  /** Gets the errors of `onSignup`. Must not throw. */
  readonly onSignupFailed: (err: unknown) => void
}

/** Creates accounts; needs `users.create`. */
export class Signup {
  readonly #options: SignupOptions
  /** The calls of `onSignup` that have not ended. */
  readonly #notifying = new Set<Promise<void>>()

  constructor (options: SignupOptions) {
    this.#options = options
  }

  /** Waits for the calls of `onSignup`, no longer than for one call. */
  async close (timeouts: Timeouts): Promise<void> {
    await startDeadline(timeouts)(() => Promise.all(this.#notifying)).catch(() => {})
  }

  /** True with `onSignup`: signups get the same response for free and taken names, against user enumeration. */
  get isSilent (): boolean {
    return this.#options.onSignup !== undefined
  }

  /**
   * Creates an account. Throws FST_ERR_VALIDATION for an invalid username, FST_AUTH_PASSWORD_REFUSED, FST_AUTH_USERNAME_TAKEN,
   * FST_AUTH_STORE_UNAVAILABLE, FST_AUTH_BUSY and what `Throttle` throws. A free and a taken name both cost one hash.
   */
  async signup (credentials: Credentials, caller: Caller): Promise<User> {
    const { throttle } = this.#options
    const attempt = await throttle.start(caller)
    try {
      const row = await this.#hash(credentials, caller)
      throttle.keep(attempt) // the attempt has cost a hash, and may have created an account, whatever fails from here on
      return await this.#create(row, caller)
    } catch (error) {
      if (error instanceof AuthError && error.code === 'FST_AUTH_PASSWORD_REFUSED') throttle.keep(attempt)
      await throttle.refund(attempt)
      throw error
    }
  }

  /** As `signup`, but reports the outcome to `onSignup` only. Throws errors that do not depend on whether the username was taken. */
  async signupSilently (credentials: Credentials, caller: Caller): Promise<void> {
    const user = await this.signup(credentials, caller).catch(nullIfTaken)
    const notifying = this.#notify(String(normaliseUsername(credentials.username)), user).finally(() => this.#notifying.delete(notifying))
    this.#notifying.add(notifying)
  }

  /** Calls `onSignup` without the reply waiting for it, so that the time does not reveal which mail is sent (user enumeration). */
  async #notify (username: string, user: User | null): Promise<void> {
    const { onSignup, onSignupFailed } = this.#options
    await setImmediate()
    try {
      await onSignup?.({ username, user })
    } catch (error) {
      onSignupFailed(error)
    }
  }

  async #hash ({ username, password }: Credentials, context: RequestContext): Promise<NewUser> {
    const { passwords, usernameField } = this.#options
    const name = normaliseUsername(username)
    if (name === null) throw invalidUsername(usernameField)
    await passwords.check(password, { username: name })
    return { username: name, passwordHash: await passwords.hash(password, context) }
  }

  async #create (row: NewUser, context: RequestContext): Promise<User> {
    const { answer, violation } = await context.bounded(() => redactErrors([row.passwordHash], () => createUser(this.#options.users, row))).catch((error: unknown) => {
      throw withMessage(error, 'It is unknown whether the account was created: try again, and log in if the username is taken by then')
    })
    const user = checkCreated(answer)
    if (user === null) throw new AuthError('FST_AUTH_USERNAME_TAKEN', { cause: redacted(violation) })
    // The id is known only now. An account with an invalid id exists all the same, and works once the app returns a valid one.
    context.emit({ type: 'signup', subject: subjectOf(user.id, '"users.create"') })
    return user
  }
}

type NewUser = Parameters<NonNullable<Users['create']>>[0]

/** The result of `users.create`, or null with the unique violation that it threw. */
async function createUser (users: Users, row: NewUser): Promise<{ answer: User | null | undefined, violation?: unknown }> {
  try {
    return { answer: await users.create?.(row) }
  } catch (violation) {
    if (isUniqueViolation(violation)) return { answer: null, violation }
    throw violation
  }
}

/**
 * Checks the result of `users.create`: the new user, or null for a taken username. Throws a TypeError for anything else: a
 * function without `return` gives undefined, which leaves it open whether the account was created.
 */
function checkCreated (answer: User | null | undefined): User | null {
  if (typeof answer === 'object') return answer
  throw new TypeError(`"users.create" gave ${kindOf(answer)}: it must return the new user, or null where the name is taken`)
}

/** The same shape as an error of Fastify's own validation. */
function invalidUsername (field: string): Error {
  const message = `body/${field} must have 1 to ${MAX_USERNAME_LENGTH} characters, all of them visible`
  return Object.assign(new Error(message), { code: 'FST_ERR_VALIDATION', statusCode: 400 })
}

function nullIfTaken (error: unknown): null {
  if (error instanceof AuthError && error.code === 'FST_AUTH_USERNAME_TAKEN') return null
  throw error
}

/** The codes of databases and their libraries for a unique violation. */
const VIOLATION_CODES: ReadonlySet<unknown> = new Set([
  '23505', // SQLSTATE unique_violation: PostgreSQL, CockroachDB
  'ER_DUP_ENTRY', 1062, // MySQL, MariaDB
  'SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY', 2067, 1555, // SQLite: better-sqlite3 by name, node:sqlite by number
  11000, 11001, // MongoDB
  'P2002', // Prisma
  2601, 2627, // SQL Server
  'ORA-00001' // Oracle
])

/** The names of errors without such a code. */
const VIOLATION_NAMES: ReadonlySet<unknown> = new Set(['SequelizeUniqueConstraintError', 'UniqueConstraintViolationException', 'UniqueViolationError'])

/** Properties in which libraries keep the code of an error. */
const CODE_FIELDS = ['code', 'errno', 'errcode', 'number'] as const

/** Properties in which libraries keep the error of the driver: Drizzle and others, Sequelize, TypeORM, Knex and Objection. */
const CAUSE_FIELDS = ['cause', 'parent', 'original', 'driverError', 'originalError', 'nativeError'] as const

/** The maximum depth of causes, since an error may be its own cause. */
const DEEPEST = 5

/** True if the error of a database call, or one of its causes, is a unique violation. */
function isUniqueViolation (error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > DEEPEST) return false
  const read = (field: string): unknown => Reflect.get(error, field)
  return CODE_FIELDS.some(field => VIOLATION_CODES.has(read(field))) || VIOLATION_NAMES.has(read('name')) ||
    /UNIQUE constraint failed/.test(String(read('message'))) || // SQLite where it gives no exact code: sqlite3, libSQL, D1
    CAUSE_FIELDS.some(field => isUniqueViolation(read(field), depth + 1))
}
