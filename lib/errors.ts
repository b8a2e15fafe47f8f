/**
 * Every error of this package: a stable code, its HTTP status and a fixed message.
 * A message never holds a token, a password or any other input of the client. Details for the log are in `cause`.
 */
const ERRORS = {
  FST_AUTH_ACCESS_TOKEN_MISSING: [401, 'An access token is required: send it as "Authorization: Bearer <token>"'],
  FST_AUTH_ACCESS_TOKEN_INVALID: [401, 'The access token is not valid'],
  FST_AUTH_ACCESS_TOKEN_EXPIRED: [401, 'The access token has expired: refresh it'],
  FST_AUTH_REFRESH_TOKEN_MISSING: [401, 'No refresh token was sent: log in'],
  FST_AUTH_REFRESH_TOKEN_INVALID: [401, 'The refresh token is not valid: log in'],
  FST_AUTH_REFRESH_TOKEN_EXPIRED: [401, 'The refresh token has expired: log in'],
  FST_AUTH_REFRESH_TOKEN_REUSED: [401, 'A replaced refresh token was used again, so it may have been stolen: the session has ended, log in'],
  FST_AUTH_SESSION_ENDED: [401, 'The session has ended: log in'],
  FST_AUTH_USER_REFUSED: [401, 'This account may not log in'],
  FST_AUTH_CREDENTIALS_INVALID: [401, 'The username or the password is wrong'],
  FST_AUTH_CHALLENGE_INVALID: [401, 'The challenge is not valid, has expired or was used already: start again'],
  FST_AUTH_CROSS_SITE: [403, 'This request comes from another site: add its origin to trustedOrigins if it is yours'],
  FST_AUTH_FRESH_LOGIN_REQUIRED: [403, 'This needs a recent login: reauthenticate'],
  FST_AUTH_SESSION_UNKNOWN: [404, 'There is no such session: it may have ended already'],
  FST_AUTH_USERNAME_TAKEN: [409, 'This username is taken: log in if it is yours, or choose another'],
  FST_AUTH_PASSWORD_REFUSED: [400, 'The password is refused by the password policy'],
  FST_AUTH_TOO_MANY_ATTEMPTS: [429, 'Too many attempts: wait and try again'],
  FST_AUTH_STORE_UNAVAILABLE: [503, 'The server is temporarily unavailable: try again, nothing is lost'],
  FST_AUTH_BUSY: [503, 'The server is busy: try again, nothing is lost'],
  FST_AUTH_NOT_REGISTERED: [500, 'No registration of fastify-refresh-cookie covers this route: register the plugin in its context, or in one around it. A plugin of your own that registers it must be wrapped by fastify-plugin']
} as const satisfies Record<string, readonly [status: number, message: string]>

/** The code of an error, stable across releases. docs/errors.md says what a client does at each. */
export type AuthErrorCode = keyof typeof ERRORS

/** All codes, in the order of the table. */
export const authErrorCodes = Object.keys(ERRORS) as readonly AuthErrorCode[] // Object.keys is typed string[]

/** The details of an error. */
interface AuthErrorOptions {
  /** The underlying error, for the log; never sent. */
  cause?: unknown
  /** The reason in a fixed sentence, for the log, if there is no `cause`; never sent. */
  reason?: string
  /** Whole seconds after which a retry makes sense, sent as `Retry-After`. */
  retryAfter?: number
  /** A more exact fixed message, e.g. the rule of the password policy that refused. */
  message?: string
}

/** Marks the errors of every copy of this package that a process has loaded. */
const REFUSAL = Symbol.for('fastify-refresh-cookie.AuthError')

/**
 * An error of this package. Fastify turns `statusCode`, `code` and `message` into its own error body. Frameworks on top of
 * Fastify recognise its errors by the name of the error or of its class: NestJS answers any other error with 500.
 */
export class AuthError extends Error {
  static override readonly name = 'FastifyError'
  override readonly name = 'FastifyError'
  readonly code: AuthErrorCode
  readonly statusCode: number
  /** Whole seconds, or undefined if a retry does not help. */
  readonly retryAfter: number | undefined

  constructor (code: AuthErrorCode, options: AuthErrorOptions = {}) {
    const [statusCode, message] = ERRORS[code]
    const cause = options.cause ?? (options.reason === undefined ? undefined : withoutStack(options.reason))
    super(options.message ?? message, cause === undefined ? undefined : { cause })
    this.code = code
    this.statusCode = statusCode
    this.retryAfter = options.retryAfter
    // Fastify logs errors below 500 at level info: the code says enough there, and a stack trace would look like a bug.
    if (statusCode < 500) this.stack = `${this.name}: ${this.message}`
  }

  /** The response headers of this error: a challenge for a 401 (RFC 6750 section 3), and `Retry-After` if `retryAfter` is set. */
  get headers (): Record<string, string> {
    const headers: Record<string, string> = {}
    if (this.statusCode === 401) headers['www-authenticate'] = wwwAuthenticate(this.code)
    if (this.retryAfter !== undefined) headers['retry-after'] = String(this.retryAfter)
    return headers
  }
}

Object.defineProperty(AuthError.prototype, REFUSAL, { value: true })
Object.defineProperty(AuthError, Symbol.hasInstance, {
  value (this: object, value: unknown): boolean {
    // Subclasses keep the usual instanceof.
    if (this !== AuthError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && REFUSAL in value
  }
})

/** The reason why a token was refused is no bug, so its stack would be noise in the log. */
function withoutStack (message: string): Error {
  return Object.assign(new Error(message), { stack: `Error: ${message}` })
}

/** Replaces the message of a 503 where "nothing is lost" would not be true; returns any other error unchanged. */
export function withMessage (error: unknown, message: string): unknown {
  if (!(error instanceof AuthError) || error.statusCode !== 503) return error
  const { code, cause, retryAfter } = error
  return new AuthError(code, { cause, message, ...(retryAfter !== undefined && { retryAfter }) })
}

/** The HTTP status of a code. */
export function statusOf (code: AuthErrorCode): number {
  return ERRORS[code][0]
}

/** The fixed message of a code. */
export function messageOf (code: AuthErrorCode): string {
  return ERRORS[code][1]
}

/** Codes for an access token that was sent and refused. */
const BAD_ACCESS_TOKEN: ReadonlySet<AuthErrorCode> = new Set<AuthErrorCode>(['FST_AUTH_ACCESS_TOKEN_INVALID', 'FST_AUTH_ACCESS_TOKEN_EXPIRED', 'FST_AUTH_SESSION_ENDED'])

/** RFC 6750 section 3.1: `invalid_token` is for access tokens only. Other challenges have no error code. */
function wwwAuthenticate (code: AuthErrorCode): string {
  return BAD_ACCESS_TOKEN.has(code) ? 'Bearer realm="api", error="invalid_token"' : 'Bearer realm="api"'
}
