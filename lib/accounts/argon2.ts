import { type HashingParameters } from './hash-format.js'

/** The part of the package argon2 that is used. */
export interface Argon2 {
  hash (password: string, options: HashingParameters & { readonly type: 2, readonly secret: Buffer }): Promise<string>
  verify (encoded: string, password: string, options: { readonly secret: Buffer }): Promise<boolean>
}

/**
 * Loads argon2, a native module. The import is dynamic, for apps whose users log in another way. Throws an Error with the
 * way out if there is no build for this machine: a retry would not help.
 */
export async function loadArgon2 (): Promise<Argon2> {
  try {
    return await import('argon2')
  } catch (cause) {
    throw new Error('argon2 cannot be loaded, so no password can be hashed or verified: install it on the machine that it runs on ("npm rebuild argon2", with its install script allowed), or leave out "users.findByUsername", "users.create" and "users.updatePasswordHash", with routes: { reauthenticate: false }', { cause })
  }
}
