import { type User } from './user.js'
import { AuthError } from '../errors.js'
import { normaliseUsername } from './username.js'

/** Told what came of a signup whose answer told nothing. `user` is null where the name was taken. */
export type SignupListener = (signup: { readonly username: string, readonly user: User | null }) => Promise<void> | void

/** Runs a signup and tells only the app what came of it. Throws what does not depend on whether the name was taken. */
export type SilentSignup = (username: unknown, signup: () => Promise<User>) => Promise<void>

/** Builds silent signups. `failed` is told what the listener throws; it must not throw. */
export function createSilentSignup (listener: SignupListener, failed: (err: unknown) => void): SilentSignup {
  return async function signupSilently (username, signup) {
    const user = await signup().catch(nullIfTaken)
    const tell = async (): Promise<void> => await listener({ username: String(normaliseUsername(username)), user })
    // After the answer: how long it takes to write which mail must not be seen.
    setImmediate(() => { tell().catch(failed) })
  }
}

function nullIfTaken (error: unknown): null {
  if (error instanceof AuthError && error.code === 'FST_AUTH_USERNAME_TAKEN') return null
  throw error
}
