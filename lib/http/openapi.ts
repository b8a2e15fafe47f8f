import { type FastifySchema, type RouteOptions } from 'fastify'
import { isByCookie, requiresAccessToken } from './hooks.js'
import { ACCESS_TOKEN_SCHEME, REFRESH_COOKIE_SCHEME, type JsonSchema, type SecurityScheme } from './schemas.js'

type Paths = Readonly<Record<string, Readonly<Record<string, { readonly operationId?: string }>>>>

/** A Server Object (OpenAPI 3.1 section 4.8.5). */
interface Server {
  readonly url: string
  readonly variables?: Readonly<Record<string, { readonly default: unknown }>>
}

/** The input of a route's transform of @fastify/swagger, with one of the two documents. */
interface TransformInput {
  readonly schema: FastifySchema & { readonly operationId: string }
  readonly url: string
  readonly openapiObject?: { readonly servers?: readonly Server[], components?: { securitySchemes?: Record<string, unknown> }, readonly paths?: Paths }
  readonly swaggerObject?: { securityDefinitions?: Record<string, unknown>, readonly paths?: Paths }
}

/**
 * A route's transform for @fastify/swagger. It declares our security schemes, since a reference to an undeclared one makes the
 * document invalid, and omits a body that is always empty, since Swagger UI would ask for it.
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
    const named = { ...schema, operationId: uniqueOperationId(operationId, { ...openapiObject?.paths, ...swaggerObject?.paths }) }
    return { schema: hasFields(body) ? { ...named, body } : named, url }
  }
}

/** The URL of the first server, without a trailing slash. Tools do not resolve a tokenUrl against it, so the tokenUrl must contain it. */
function serverOf ([first]: readonly Server[] = []): string {
  if (first === undefined) return ''
  // @fastify/swagger refuses a variable without a default.
  return first.url.replace(/\{([^{}]+)\}/g, (_, name: string) => String(first.variables?.[name]?.default)).replace(/\/$/, '')
}

/** An operationId is unique in a document; a second registration of the plugin gets `login2`. */
function uniqueOperationId (name: string, paths: Paths): string {
  const taken = new Set(Object.values(paths).flatMap(methods => Object.values(methods).map(({ operationId }) => operationId)))
  let free = name
  for (let number = 2; taken.has(free); number++) free = `${name}${number}`
  return free
}

function hasFields (body: unknown): boolean {
  const { properties = {} } = (body ?? {}) as Partial<JsonSchema> // our routes have no other bodies
  return Object.keys(properties).length > 0
}

/** Adds the security requirement of the access token or the refresh cookie to a route of the host that one of our hooks protects. */
export function markProtected (route: RouteOptions): void {
  const hooks = [route.onRequest, route.preParsing, route.preValidation, route.preHandler].flat()
  const scheme = schemeOf(hooks.filter(hook => hook !== undefined))
  if (scheme === undefined) return
  const schema: FastifySchema & { security?: unknown } = route.schema ?? {}
  route.schema = { security: [{ [scheme]: [] }], ...schema } as FastifySchema // `security` is a property of @fastify/swagger
}

function schemeOf (hooks: readonly object[]): string | undefined {
  if (hooks.some(requiresAccessToken)) return ACCESS_TOKEN_SCHEME
  return hooks.some(isByCookie) ? REFRESH_COOKIE_SCHEME : undefined
}
