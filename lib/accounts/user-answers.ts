import { kindOf } from '../tokens/subject.js'
import { type User } from './user.js'

/**
 * What `users.create` gave: the new user, or null for a taken name. A TypeError for anything else: nothing at all is what a
 * function without `return` gives, and says neither that the account was made nor that the name is taken.
 */
export function createdUser (answer: User | null): User | null {
  if (typeof answer === 'object') return answer
  throw new TypeError(`"users.create" gave ${kindOf(answer)}: it must return the new user, or null where the name is taken`)
}

/** What `users.updatePasswordHash` gave. A TypeError for anything but true and false, as for `createdUser`. */
export function wasReplaced (answer: boolean): boolean {
  if (typeof answer === 'boolean') return answer
  throw new TypeError(`"users.updatePasswordHash" gave ${kindOf(answer)}: it must return true where it replaced the hash, and false where that was no longer oldHash`)
}
