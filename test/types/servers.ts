/** Compiled by `npm run typecheck`, never run: the hooks on every kind of server, logger and type provider. */
import fastifyAuth from '@fastify/auth'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyTypeProvider } from 'fastify'
import refreshCookie, { type AuthenticateHook } from 'fastify-refresh-cookie'
import { authTest } from 'fastify-refresh-cookie/testing'
import { assertType, type Same } from './same-type.js'

const secret = 'x'

/** A logger with more methods than Fastify requires, such as winston. */
interface OwnLogger extends FastifyBaseLogger {
  audit (message: string): void
}

/** As @fastify/type-provider-json-schema-to-ts. */
interface SchemaToTypes extends FastifyTypeProvider {
  readonly validator: this['schema'] extends { type: 'object', properties: infer Properties } ? { -readonly [Name in keyof Properties]: string } : unknown
}

/** As TypeBox and zod: the schema carries its type. */
interface CarriedTypes extends FastifyTypeProvider {
  readonly validator: this['schema'] extends { readonly static: infer Type } ? Type : unknown
}

declare const carried: { readonly static: { n: number } }

export async function http (): Promise<void> {
  const app = Fastify()
  await app.register(refreshCookie, { secret })
  app.addHook('onRequest', app.authenticate)
  app.addHook('preHandler', app.authenticateStrict)
  app.get('/', { onRequest: [app.authenticate, app.authenticateOptional, app.requireFreshLogin('5m'), app.authenticateStrict] }, async ({ auth }) => auth.claims.sub)
  app.get('/one', { onRequest: app.authenticate }, async ({ auth }) => auth.claims.sub)
  app.route({ method: 'GET', url: '/route', preHandler: app.requireFreshLogin('5m'), handler: async ({ auth }) => auth.claims.sub })
  app.get<{ Params: { id: string } }>('/:id', { preValidation: [app.authenticateStrict] }, async ({ params }) => params.id.toUpperCase())
  await app.register(async (scope: FastifyInstance) => { scope.addHook('onRequest', scope.authenticate) })
}

export async function https (): Promise<void> {
  const app = Fastify({ https: {} })
  await app.register(refreshCookie, { secret })
  app.addHook('onRequest', app.authenticate)
  app.addHook('onRequest', app.authenticateStrict)
  app.get('/', { onRequest: [app.authenticate, app.authenticateOptional, app.requireFreshLogin('5m'), app.authenticateStrict] }, async ({ auth }) => auth.claims.sub)
  app.get('/strict', { preHandler: app.authenticateStrict }, async ({ auth }) => auth.claims.sub)
}

export async function http2 (): Promise<void> {
  const app = Fastify({ http2: true })
  await app.register(refreshCookie, { secret })
  app.addHook('onRequest', app.authenticate)
  app.addHook('preHandler', app.authenticateStrict)
  app.get('/', { onRequest: [app.authenticate, app.authenticateOptional, app.requireFreshLogin('5m'), app.authenticateStrict] }, async ({ auth }) => auth.claims.sub)
  app.get('/strict', { preHandler: app.authenticateStrict }, async ({ auth }) => auth.claims.sub)
  app.addHook('onRequest', (request, reply, done) => request.url === '/health' ? done() : app.authenticate(request, reply, done))
}

export async function http2Secure (): Promise<void> {
  const app = Fastify({ http2: true, https: { allowHTTP1: true } })
  await app.register(refreshCookie, { secret })
  app.addHook('onRequest', app.authenticate)
  app.addHook('preHandler', app.requireFreshLogin('5m'))
  app.get('/', { onRequest: [app.authenticate, app.authenticateOptional, app.requireFreshLogin('5m'), app.authenticateStrict] }, async ({ auth }) => auth.claims.sub)
}

export async function ownLogger (loggerInstance: OwnLogger): Promise<void> {
  const app = Fastify({ loggerInstance })
  await app.register(refreshCookie, { secret })
  app.addHook('onRequest', app.authenticate)
  app.addHook('onRequest', app.authenticateStrict)
  app.get('/', { onRequest: [app.authenticate, app.authenticateStrict, app.requireFreshLogin(60)] }, async ({ auth, log }) => { log.audit(auth.claims.sub) })
  authTest(app)

  const secure = Fastify({ loggerInstance, http2: true, https: {} })
  await secure.register(refreshCookie, { secret })
  secure.get('/', { onRequest: [secure.authenticate, secure.authenticateStrict] }, async ({ auth, log }) => { log.audit(auth.claims.sub) })
  authTest(secure)
}

export async function typeProviders (): Promise<void> {
  const bySchema = Fastify().withTypeProvider<SchemaToTypes>()
  await bySchema.register(refreshCookie, { secret })
  bySchema.addHook('onRequest', bySchema.authenticate)
  const schema = { params: { type: 'object', properties: { id: {} } } } as const
  bySchema.get('/:id', { schema, onRequest: [bySchema.authenticate, bySchema.authenticateStrict] }, async ({ params }) => {
    assertType<Same<typeof params.id, string>>()
    // @ts-expect-error the types of the schema survive the hooks
    return params.none
  })

  const byType = Fastify({ http2: true }).withTypeProvider<CarriedTypes>()
  await byType.register(refreshCookie, { secret })
  byType.addHook('preHandler', byType.authenticateStrict)
  byType.post('/', { schema: { body: carried }, preHandler: byType.requireFreshLogin('5m') }, async ({ body, auth }) => {
    assertType<Same<typeof body, { n: number }>>()
    return [body.n, auth.claims.sub]
  })
}

export async function withFastifyAuth (): Promise<void> {
  const app = Fastify()
  await app.register(fastifyAuth)
  await app.register(refreshCookie, { secret })
  app.get('/', { preHandler: app.auth([app.authenticate, app.authenticateStrict, app.requireFreshLogin('5m')]) }, async () => 'ok')
  const http2 = Fastify({ http2: true })
  await http2.register(fastifyAuth)
  await http2.register(refreshCookie, { secret })
  http2.get('/', { preHandler: http2.auth([http2.authenticate, http2.authenticateOptional]) }, async () => 'ok')
}

/** A hook of the app that calls one of the plugin's. */
export const unlessHealth = (authenticate: AuthenticateHook) => (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
  if (request.url === '/health') done()
  else authenticate(request, reply, done)
}

/** Anything but a request of the plugin is refused. */
export function mistakes (app: FastifyInstance, reply: FastifyReply): void {
  // @ts-expect-error nothing that has no request.auth
  app.authenticate({}, reply, () => {})
  // @ts-expect-error it takes a callback
  app.authenticate({} as FastifyRequest, reply)
}
