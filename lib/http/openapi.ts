import { type FastifySchema, type RouteOptions } from 'fastify'
import { demandsAccessToken } from './hooks.js'
import { ACCESS_TOKEN_SCHEME, type JsonSchema, type SecurityScheme } from './schemas.js'

type Paths = Readonly<Record<string, Readonly<Record<string, { readonly operationId?: string }>>>>

/** A Server Object (OpenAPI 3.1 section 4.8.5). */
interface Server {
  readonly url: string
  readonly variables?: Readonly<Record<string, { readonly default: unknown }>>
}

/** What @fastify/swagger gives a route's own transform: one of two documents. */
interface TransformInput {
  readonly schema: FastifySchema & { readonly operationId: string }
  readonly url: string
  readonly openapiObject?: { readonly servers?: readonly Server[], components?: { securitySchemes?: Record<string, unknown> }, readonly paths?: Paths }
  readonly swaggerObject?: { securityDefinitions?: Record<string, unknown>, readonly paths?: Paths }
}

/**
 * A route's own transform for @fastify/swagger. It declares our schemes, since naming an undeclared one breaks the whole
 * document, and leaves out a body that can only be empty, since Swagger UI would ask for it.
 */
export function describeRoute (schemes: readonly SecurityScheme[]): (input: TransformInput) => { schema: FastifySchema, url: string } {
  return ({ schema: { body, operationId, ...schema }, url, openapiObject, swaggerObject }) => {
    if (openapiObject !== undefined) {
      const components = openapiObject.components ??= {}
      const server = serverOf(openapiObject.servers)
      components.securitySchemes = { ...Object.fromEntries(schemes.map(({ name, openapi }) => [name, openapi(server)])), ...components.securitySchemes }
    }
    if (swaggerObject !== undefined) {
      swaggerObject.securityDefinitions = { ...Object.fromEntries(schemes.map(({ name, swagger }) => [name, swagger])), ...swaggerObject.securityDefinitions }
    }
    const named = { ...schema, operationId: freeName(operationId, { ...openapiObject?.paths, ...swaggerObject?.paths }) }
    return { schema: hasFields(body) ? { ...named, body } : named, url }
  }
}

/** The first server of a document, without a slash at its end: a tokenUrl is not below it by itself. */
function serverOf ([first]: readonly Server[] = []): string {
  if (first === undefined) return ''
  // @fastify/swagger has refused a variable without a default.
  return first.url.replace(/\{([^{}]+)\}/g, (_, name: string) => String(first.variables?.[name]?.default)).replace(/\/$/, '')
}

/** An operationId is there once in a document, also where we are registered twice: `login`, then `login2`. */
function freeName (name: string, paths: Paths): string {
  const taken = new Set(Object.values(paths).flatMap(methods => Object.values(methods).map(({ operationId }) => operationId)))
  let free = name
  for (let number = 2; taken.has(free); number++) free = `${name}${number}`
  return free
}

function hasFields (body: unknown): boolean {
  const { properties = {} } = (body ?? {}) as Partial<JsonSchema> // the bodies of our routes are such
  return Object.keys(properties).length > 0
}

/** Marks a host's route that one of our hooks protects as needing an access token, so that Swagger UI sends it. */
export function markProtected (route: RouteOptions): void {
  const hooks = [route.onRequest, route.preParsing, route.preValidation, route.preHandler].flat()
  if (!hooks.some(hook => hook !== undefined && demandsAccessToken(hook))) return
  const schema: FastifySchema & { security?: unknown } = route.schema ?? {}
  route.schema = { security: [{ [ACCESS_TOKEN_SCHEME]: [] }], ...schema } as FastifySchema // `security` is @fastify/swagger's
}
