import { inspect } from 'node:util'
import t from 'tap'
import { AuthError, authErrorCodes, messageOf, statusOf, type AuthErrorCode } from '../../lib/errors.js'

const NO_CHALLENGE = undefined
const LOG_IN = 'Bearer realm="api"'
const BAD_TOKEN = 'Bearer realm="api", error="invalid_token"'

/** Status and challenge of every code, on which clients rely. */
const TABLE: Record<AuthErrorCode, readonly [status: number, challenge: string | undefined]> = {
  FST_AUTH_ACCESS_TOKEN_MISSING: [401, LOG_IN],
  FST_AUTH_ACCESS_TOKEN_INVALID: [401, BAD_TOKEN],
  FST_AUTH_ACCESS_TOKEN_EXPIRED: [401, BAD_TOKEN],
  FST_AUTH_REFRESH_TOKEN_MISSING: [401, LOG_IN],
  FST_AUTH_REFRESH_TOKEN_INVALID: [401, LOG_IN],
  FST_AUTH_REFRESH_TOKEN_EXPIRED: [401, LOG_IN],
  FST_AUTH_REFRESH_TOKEN_REUSED: [401, LOG_IN],
  FST_AUTH_SESSION_ENDED: [401, BAD_TOKEN],
  FST_AUTH_USER_REFUSED: [401, LOG_IN],
  FST_AUTH_CREDENTIALS_INVALID: [401, LOG_IN],
  FST_AUTH_CHALLENGE_INVALID: [401, LOG_IN],
  FST_AUTH_CROSS_SITE: [403, NO_CHALLENGE],
  FST_AUTH_FRESH_LOGIN_REQUIRED: [403, NO_CHALLENGE],
  FST_AUTH_SESSION_UNKNOWN: [404, NO_CHALLENGE],
  FST_AUTH_USERNAME_TAKEN: [409, NO_CHALLENGE],
  FST_AUTH_PASSWORD_REFUSED: [400, NO_CHALLENGE],
  FST_AUTH_TOO_MANY_ATTEMPTS: [429, NO_CHALLENGE],
  FST_AUTH_STORE_UNAVAILABLE: [503, NO_CHALLENGE],
  FST_AUTH_BUSY: [503, NO_CHALLENGE],
  FST_AUTH_NOT_REGISTERED: [500, NO_CHALLENGE]
}

t.test('the error codes are exactly these', async t => {
  t.strictSame([...authErrorCodes].sort(), Object.keys(TABLE).sort())
})

t.test('each code has a fixed status, message and challenge', async t => {
  for (const code of authErrorCodes) {
    const [status, challenge] = TABLE[code]
    const error = new AuthError(code)
    t.match(error, { code, statusCode: status, message: messageOf(code), name: 'FastifyError' }, code)
    t.equal(statusOf(code), status)
    t.strictSame(error.headers, challenge === undefined ? {} : { 'www-authenticate': challenge })
    t.ok(error.message.length > 10, 'the message is not empty')
  }
})

t.test('each code has its own message', async t => {
  t.equal(new Set(authErrorCodes.map(messageOf)).size, authErrorCodes.length)
})

t.test('Retry-After is in whole seconds, beside the challenge if there is one', async t => {
  t.strictSame(new AuthError('FST_AUTH_BUSY', { retryAfter: 1 }).headers, { 'retry-after': '1' })
  t.strictSame(new AuthError('FST_AUTH_BUSY', { retryAfter: 0 }).headers, { 'retry-after': '0' })
  t.strictSame(new AuthError('FST_AUTH_SESSION_ENDED', { retryAfter: 5 }).headers, { 'www-authenticate': BAD_TOKEN, 'retry-after': '5' })
  t.equal(new AuthError('FST_AUTH_BUSY').retryAfter, undefined)
})

t.test('information leak: the cause of an error is for the log, never for the reply', async t => {
  const cause = new Error('password=hunter2 host=db1')
  const error = new AuthError('FST_AUTH_STORE_UNAVAILABLE', { cause })
  t.equal(error.cause, cause)
  t.equal(error.message, messageOf('FST_AUTH_STORE_UNAVAILABLE'))
  t.notMatch(JSON.stringify([error, error.headers]), /hunter2/)
  t.match(inspect(error), /hunter2/, 'the log has it')
  t.notOk('cause' in new AuthError('FST_AUTH_BUSY'), 'and none without a cause')
})

t.test('a more exact fixed message may replace the default', async t => {
  t.match(new AuthError('FST_AUTH_PASSWORD_REFUSED', { message: 'too short' }), { message: 'too short', statusCode: 400 })
})

t.test('NestJS and others recognise AuthError as an error of Fastify and keep its status', async t => {
  const { name, constructor, statusCode, code } = new AuthError('FST_AUTH_ACCESS_TOKEN_MISSING')
  t.equal(name, 'FastifyError', 'NestJS 11, and NestJS 12 below 500')
  t.equal(constructor.name, 'FastifyError', 'NestJS 12 from 500 on')
  t.strictSame([typeof statusCode, typeof code], ['number', 'string'])
})

t.test('instanceof AuthError is true for errors of the package only', async t => {
  t.ok(new AuthError('FST_AUTH_BUSY') instanceof AuthError)
  const others = [null, undefined, 'FST_AUTH_BUSY', new Error('FST_AUTH_BUSY'), { name: 'FastifyError', code: 'FST_AUTH_BUSY', statusCode: 503 }]
  for (const other of others) t.notOk(other instanceof AuthError, String(other))

  class Narrower extends AuthError {}
  t.ok(new Narrower('FST_AUTH_BUSY') instanceof Narrower)
  t.ok(new Narrower('FST_AUTH_BUSY') instanceof AuthError)
  t.notOk(new AuthError('FST_AUTH_BUSY') instanceof Narrower, 'a subclass has its own instanceof')
})

t.test('AuthError behaves like any other error', async t => {
  const error = new AuthError('FST_AUTH_BUSY')
  t.ok(error instanceof Error)
  t.match(error.stack, /error-codes\.test/)
})
