import ajvCompiler from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import { type FastifyInstance, type FastifySchema, type FastifySchemaCompiler, type FastifySerializerCompiler } from 'fastify'
import { formatSchemaErrors } from './errors.js'

/** Nothing that was sent is changed or dropped, and the first mistake is enough. */
const STRICT = { coerceTypes: false, removeAdditional: false, allErrors: false } as const

/** A query holds nothing but text, so numbers are read from it. */
const QUERY = { ...STRICT, coerceTypes: true } as const

/** Our schemas are right, which tests see to: to check them takes longer than all else. */
const OWN_SCHEMAS = { meta: false, validateSchema: false } as const

/**
 * Gives a context of our own its own compilers, whatever the host has. A schema is compiled when a request first needs it:
 * to compile them all takes several times as long as everything else that an app does at its start.
 */
export function useOwnCompilers (scope: FastifyInstance): void {
  const validatorsWith = (options: typeof STRICT | typeof QUERY) => lazy(() => ajvCompiler()({}, { customOptions: { ...options, ...OWN_SCHEMAS } }) as FastifySchemaCompiler<FastifySchema>)
  const validators = validatorsWith(STRICT)
  const queryValidators = validatorsWith(QUERY)
  const serializers = lazy(() => SerializerSelector()({}, {}) as FastifySerializerCompiler<unknown>) // its types demand an httpStatus that Fastify may leave out

  scope.setValidatorCompiler(route => {
    const validator = lazy(() => (route.httpPart === 'querystring' ? queryValidators : validators)()(route))
    return Object.defineProperty((body: unknown) => validator()(body), 'errors', { get: () => validator().errors })
  })
  scope.setSerializerCompiler(route => {
    if (Number(route.httpStatus) >= 400) return refusalText
    const serializer = lazy(() => serializers()(route))
    return body => serializer()(body)
  })
  scope.setSchemaErrorFormatter(formatSchemaErrors)
}

/** The body of a refusal: an error's four properties, wherever they are in it, and whatever else a host's own error handler sends. */
function refusalText (body: Partial<Record<'statusCode' | 'code' | 'error' | 'message', unknown>>): string {
  const { statusCode, code, error, message } = body
  return JSON.stringify({ statusCode, code, error, message, ...body })
}

function lazy<T extends object> (make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}
