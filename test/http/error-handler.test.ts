import { type FastifyReply, type FastifyRequest, type FastifySchemaValidationError } from 'fastify'
import t from 'tap'
import { AuthError } from '../../lib/errors.js'
import { createErrorHandler, formatSchemaErrors } from '../../lib/http/error-handler.js'

/** The rethrown error, and the recorded refusals. */
function handled (error: object): { thrown: Error & { statusCode?: number }, refusals: unknown[] } {
  const refusals: unknown[] = []
  const handle = createErrorHandler(() => ({ recordRefusal (refusal) { refusals.push(refusal); return refusal } }))
  try {
    handle(error as never, {} as FastifyRequest, { statusCode: 200, code: (_status: number) => {} } as FastifyReply)
    throw new Error('nothing was thrown')
  } catch (thrown) {
    return { thrown: thrown as Error, refusals }
  }
}

t.test('an AuthError is recorded and rethrown unchanged', async t => {
  const refusal = new AuthError('FST_AUTH_BUSY', { retryAfter: 1 })
  t.strictSame(handled(refusal), { thrown: refusal, refusals: [refusal] })
})

t.test('an error of Fastify below 500 is rethrown unchanged', async t => {
  for (const statusCode of [400, 404, 413, 415, 431, 499]) {
    const error = Object.assign(new Error('body must be object'), { statusCode })
    t.strictSame(handled(error), { thrown: error, refusals: [] })
  }
})

t.test('an error of the host below 500 is rethrown unchanged, whatever its code', async t => {
  for (const code of [429, null, {}, undefined]) {
    const error = Object.assign(new Error('slow down'), { statusCode: 429, code })
    t.strictSame(handled(error), { thrown: error, refusals: [] })
  }
})

t.test("information leak: Ajv's validation details are readable by the host and not logged", async t => {
  const validation = [failure({ params: { additionalProperty: 'hunter2' } })]
  const error = Object.assign(new Error('body has an unknown field'), { statusCode: 400, validation })
  const { thrown } = handled(error)
  t.equal(thrown, error)
  t.equal(error.validation, validation)
  t.notMatch(JSON.stringify(thrown), 'hunter2')
})

t.test('information leak: an unexpected error is replaced by its status', async t => {
  const STATUSES: ReadonlyArray<readonly [statusCode: unknown, answered: number, message: string]> = [
    [undefined, 500, 'Internal Server Error'],
    [500, 500, 'Internal Server Error'],
    [200, 500, 'Internal Server Error'],
    [399, 500, 'Internal Server Error'],
    [502, 502, 'Bad Gateway'],
    [503, 503, 'Service Unavailable'],
    [599, 500, 'Internal Server Error'],
    [1000, 500, 'Internal Server Error']
  ]
  for (const [statusCode, answered, message] of STATUSES) {
    const bug = Object.assign(new Error('password=hunter2 host=db1'), { statusCode, code: 'SECRET', headers: { 'x-secret': '1' } })
    const { thrown, refusals } = handled(bug)
    t.match(thrown, { statusCode: answered, message }, String(statusCode))
    t.equal(thrown.cause, bug, 'the log has it')
    t.strictSame(Object.keys(thrown), ['statusCode'])
    t.strictSame(refusals, [])
  }
})

/** An error of Ajv. */
function failure (over: Partial<FastifySchemaValidationError>): FastifySchemaValidationError {
  return { keyword: 'x', instancePath: '', schemaPath: '', params: {}, message: 'must be string', ...over }
}

t.test('information leak: a validation error names the field, never its value', async t => {
  const MESSAGES: ReadonlyArray<readonly [errors: FastifySchemaValidationError[], message: string]> = [
    [[failure({ instancePath: '/password' })], 'body/password must be string'],
    [[failure({ message: "must have required property 'username'" })], "body must have required property 'username'"],
    [[failure({ params: { additionalProperty: 'role' } })], 'body has an unknown field'],
    [[failure({ instancePath: '/a' }), failure({ instancePath: '/b' })], 'body/a must be string'],
    [[], 'body is not valid'],
    ...['', '<script>', 'a b', 'x'.repeat(33), '1st', 'hunter2\n'].map(name => [[failure({ params: { additionalProperty: name } })], 'body has an unknown field'] as [FastifySchemaValidationError[], string])
  ]
  for (const [errors, message] of MESSAGES) t.equal(formatSchemaErrors(errors, 'body').message, message)
})

t.test('information leak: an error that cannot be read is an opaque 500', async t => {
  const unreadable = { get () { throw new Error('host=db1') } }
  const UNREADABLE: readonly object[] = [
    Object.defineProperty(new Error('slow down'), 'statusCode', unreadable),
    Object.defineProperty({}, 'message', { ...unreadable, enumerable: true }),
    Object.assign(new Error('slow down'), { statusCode: 429, code: Object.create(null) }),
    new Proxy(new Error('slow down'), unreadable)
  ]
  for (const error of UNREADABLE) t.match(handled(error).thrown, { statusCode: 500, message: 'Internal Server Error' })
})
