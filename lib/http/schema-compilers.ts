import ajvCompiler from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import { type FastifyInstance, type FastifySchema, type FastifySchemaCompiler, type FastifySerializerCompiler } from 'fastify'
import { formatSchemaErrors } from './error-handler.js'

/** Ajv changes and drops nothing in a body, and stops at the first error. */
const STRICT = { coerceTypes: false, removeAdditional: false, allErrors: false } as const

/** All values of a query are text, so numbers are coerced. */
const QUERY = { ...STRICT, coerceTypes: true } as const

/** Tests check our schemas; a check at runtime takes longer than everything else here. */
const OWN_SCHEMAS = { meta: false, validateSchema: false } as const

/**
 * Replaces the host's compilers in our context. A schema is compiled when a request first needs it: to compile all at start
 * takes several times as long as the rest of an app's start.
 */
export function useOwnCompilers (scope: FastifyInstance): void {
  const validatorsWith = (options: typeof STRICT | typeof QUERY) => lazy(() => ajvCompiler()({}, { customOptions: { ...options, ...OWN_SCHEMAS } }) as FastifySchemaCompiler<FastifySchema>)
  const validators = validatorsWith(STRICT)
  const queryValidators = validatorsWith(QUERY)
  const serializers = lazy(() => SerializerSelector()({}, {}) as FastifySerializerCompiler<unknown>) // its types require an httpStatus, which Fastify may omit

  scope.setValidatorCompiler(route => {
    const validator = lazy(() => (route.httpPart === 'querystring' ? queryValidators : validators)()(route))
    return Object.defineProperty((body: unknown) => validator()(body), 'errors', { get: () => validator().errors })
  })
  scope.setSerializerCompiler(route => {
    if (Number(route.httpStatus) >= 400) return serializeRefusal
    const serializer = lazy(() => serializers()(route))
    return body => serializer()(body)
  })
  scope.setSchemaErrorFormatter(formatSchemaErrors)
}

/** The body of a refusal: the four properties of an error, own or inherited, and all others of the host's own error handler. */
function serializeRefusal (body: Partial<Record<'statusCode' | 'code' | 'error' | 'message', unknown>>): string {
  const { statusCode, code, error, message } = body
  return JSON.stringify({ statusCode, code, error, message, ...body })
}

function lazy<T extends object> (make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
