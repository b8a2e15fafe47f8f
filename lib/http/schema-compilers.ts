import { type FastifyInstance, type FastifySchema, type FastifySchemaCompiler } from 'fastify'
import { formatSchemaErrors } from './error-handler.js'

/** Ajv changes and drops nothing in a body, and stops at the first error. Tests check our schemas, so it does not. */
const STRICT = { coerceTypes: false, removeAdditional: false, allErrors: false, meta: false, validateSchema: false } as const

/** All values of a query are text, so numbers are coerced. */
const QUERY = { ...STRICT, coerceTypes: true } as const

type Compile = FastifySchemaCompiler<FastifySchema>

interface Compilers {
  readonly body: Compile
  readonly query: Compile
}

/**
 * Replaces the host's compilers in our context. Ajv takes half as long to load as Fastify, so the first request loads it, and
 * a schema is compiled when a request first needs it. Replies are our own objects, which need no schema.
 */
export function useOwnCompilers (scope: FastifyInstance): void {
  let compilers: Compilers | undefined
  scope.addHook('onRequest', (_request, _reply, done) => {
    if (compilers !== undefined) return done()
    loadCompilers().then(loaded => {
      compilers = loaded
      done()
    }, done)
  })

  scope.setValidatorCompiler(route => {
    let compiled: ReturnType<Compile> | undefined
    const validate: ReturnType<Compile> = value => {
      const { body, query } = compilers as Compilers // the hook has loaded them
      compiled ??= (route.httpPart === 'querystring' ? query : body)(route)
      const result = compiled(value)
      validate.errors = compiled.errors ?? null // Fastify reads it at once, as from Ajv
      return result
    }
    return validate
  })
  // Fastify's own error handler uses the compiled serializers; all other replies use the reply serializer, in place of the host's.
  scope.setSerializerCompiler(({ httpStatus }) => Number(httpStatus) >= 400 ? serializeRefusal : JSON.stringify)
  scope.setReplySerializer(payload => JSON.stringify(payload))
  scope.setSchemaErrorFormatter(formatSchemaErrors)
}

async function loadCompilers (): Promise<Compilers> {
  const { default: ajvCompiler } = await import('@fastify/ajv-compiler')
  const compile = (customOptions: typeof STRICT | typeof QUERY): Compile => ajvCompiler()({}, { customOptions })
  return { body: compile(STRICT), query: compile(QUERY) }
}

/** The body of a refusal: the four properties of an error, which it may inherit. */
function serializeRefusal (body: Partial<Record<'statusCode' | 'code' | 'error' | 'message', unknown>>): string {
  const { statusCode, code, error, message } = body
  return JSON.stringify({ statusCode, code, error, message, ...body })
}
