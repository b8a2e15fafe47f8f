import { type User } from './user.js'
import { AuthError } from '../errors.js'
import { normaliseUsername } from './username.js'

/** Called with the outcome of a silent signup, whose response reveals nothing. `user` is null if the username was taken. */
export type SignupListener = (signup: { readonly username: string, readonly user: User | null }) => Promise<void> | void

/** Runs a signup and reports its outcome to the app only. Throws errors that do not depend on whether the username was taken. */
export type SilentSignup = (username: unknown, signup: () => Promise<User>) => Promise<void>

/** `failed` gets the errors of the listener; it must not throw. */
export function createSilentSignup (listener: SignupListener, failed: (err: unknown) => void): SilentSignup {
  return async function signupSilently (username, signup) {
    const user = await signup().catch(nullIfTaken)
    const notify = async (): Promise<void> => await listener({ username: String(normaliseUsername(username)), user })
    // After the response, so that its time does not reveal which mail is sent (user enumeration).
    setImmediate(() => { notify().catch(failed) })
  }
}

function nullIfTaken (error: unknown): null {
  if (error instanceof AuthError && error.code === 'FST_AUTH_USERNAME_TAKEN') return null
  throw error
}
