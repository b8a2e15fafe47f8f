/** What is known of a refusal, or of an answer that never came. */
export interface AuthProblem {
  /** The status of the answer; undefined where none came that can be used. */
  readonly status?: number
  /** The server's code, such as FST_AUTH_CREDENTIALS_INVALID, where it gave one. */
  readonly code?: string
  /** The server's sentence, where it gave one. */
  readonly message?: string | undefined
  /** Whole seconds after which another try makes sense; 0 or undefined where nobody said. */
  readonly retryAfter?: number
  /** What went wrong underneath. */
  readonly cause?: unknown
}

/**
 * A route of the server refused, or gave no answer that can be used. From `login` and `signup` it is what to tell the
 * person; from everything else it means "not now": whoever is signed in stays signed in.
 */
export class AuthError extends Error implements AuthProblem {
  override readonly name = 'AuthError'
  declare readonly status?: number
  declare readonly code?: string
  declare readonly retryAfter?: number

  constructor ({ message = globalThis.document ? 'No answer' : 'This needs a browser', ...problem }: AuthProblem) {
    super(message)
    Object.assign(this, problem)
  }
}
