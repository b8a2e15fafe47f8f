import { type RequestContext } from '../events.js'
import { isUnavailable } from '../deadline.js'
import { AuthError } from '../errors.js'
import { redactErrors } from '../redaction.js'
import { type WritePassword } from '../sessions/session-service.js'
import { kindOf } from '../tokens/subject.js'
import { type Passwords } from './hashing.js'
import { type Users, type VerifiedUser } from './user.js'

/** Writes new passwords; needs `updatePasswordHash`. `SessionService.changePassword` ends the sessions of the old one. */
export class PasswordChange {
  readonly #users: Users
  readonly #passwords: Passwords

  constructor (users: Users, passwords: Passwords) {
    this.#users = users
    this.#passwords = passwords
  }

  /**
   * Checks and hashes a new password for a user whose password has just been verified. Only the returned function writes. It
   * throws FST_AUTH_CREDENTIALS_INVALID if the password was changed meanwhile, FST_AUTH_STORE_UNAVAILABLE if the outcome of
   * the write is unknown, and a TypeError if the app returns no boolean.
   */
  async prepare (verified: VerifiedUser, newPassword: unknown, context: RequestContext): Promise<WritePassword> {
    await this.#passwords.check(newPassword, { username: verified.user.username })
    const newHash = await this.#passwords.hash(newPassword, context)
    return async onLateSuccess => await this.#write(verified, newHash, context, onLateSuccess)
  }

  async #write (verified: VerifiedUser, newHash: string, context: RequestContext, onLateSuccess: () => void): Promise<void> {
    const changed = (): void => context.emit({ type: 'password_changed', subject: verified.subject })
    let update: ReturnType<typeof updateHash> | undefined
    try {
      const answer = await context.bounded(() => (update = updateHash(this.#users, verified, newHash)))
      if (!wasReplaced(answer)) throw new AuthError('FST_AUTH_CREDENTIALS_INVALID')
    } catch (error) {
      if (!isUnavailable(error)) throw error
      if (!await this.#isStored(verified.subject, newHash, context)) {
        update?.then(late => {
          if (!wasReplaced(late)) return
          changed()
          onLateSuccess()
        }).catch(() => {})
        throw error
      }
    }
    changed()
  }

  /** True if a hash was stored although the reply to the write was lost. */
  async #isStored (subject: string, hash: string, { bounded }: RequestContext): Promise<boolean> {
    try {
      const user = await bounded.withNewDeadline()(() => this.#users.findById?.(subject))
      return user?.passwordHash === hash
    } catch {
      return false
    }
  }
}

/** Calls `users.updatePasswordHash`, and keeps the hashes out of its errors. */
export async function updateHash (users: Users, { user, passwordHash }: VerifiedUser, newHash: string): Promise<boolean | undefined> {
  return await redactErrors([newHash, passwordHash], () => users.updatePasswordHash?.(user.id, newHash, passwordHash))
}

/** Checks the result of `users.updatePasswordHash`. Throws a TypeError for anything but true and false. */
export function wasReplaced (answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer
  throw new TypeError(`"users.updatePasswordHash" gave ${kindOf(answer)}: it must return true where it replaced the hash, and false where that was no longer oldHash`)
}
