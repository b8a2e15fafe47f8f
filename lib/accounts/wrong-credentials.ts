import { AuthError } from '../errors.js'

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
