import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { type RefreshCookieOptions } from '../../lib/index.js'
import { SECRET, userTable } from '../support/server.js'

/** What the tests read of an operation. */
interface Operation {
  readonly security?: ReadonlyArray<Record<string, string[]>>
  readonly requestBody?: { readonly content: Record<string, unknown> }
  readonly responses: Record<string, { readonly description: string, readonly content?: { 'application/json': { schema: { properties: { code: { enum?: string[] } } } } } }>
}

interface ApiDocument {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly securitySchemes: Record<string, object> }
}

const key = { type: 'apiKey', in: 'header', name: 'x-key' } as const

async function documentOf (t: Test, options: RefreshCookieOptions = {}, schemes = {}): Promise<ApiDocument> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { openapi: '3.1.0', components: { securitySchemes: { key, ...schemes } } } })
  await app.register(refreshCookie, { secret: SECRET, users: userTable(), ...options })
  app.get('/me', { onRequest: app.authenticate }, async () => 'me')
  app.get('/open', async () => 'open')
  app.get('/chosen', { onRequest: app.authenticate, schema: Object.assign({}, { security: [{ key: [] }] }) }, async () => 'chosen')
  await app.ready()
  return app.swagger() as unknown as ApiDocument // what is read of it
}

t.test('the document tells who may call a route', async t => {
  const { paths } = await documentOf(t)
  const securityOf = (method: string, path: string) => paths[path]?.[method]?.security

  t.same(securityOf('post', '/auth/login'), [])
  t.same(securityOf('post', '/auth/refresh'), [{ refreshCookie: [] }])
  t.same(securityOf('get', '/auth/sessions'), [{ accessToken: [] }])
  t.same(securityOf('get', '/me'), [{ accessToken: [] }], 'a route of the app that needs a login')
  t.equal(securityOf('get', '/open'), undefined)
  t.same(securityOf('get', '/chosen'), [{ key: [] }], 'what the app says itself counts')
})

t.test('Authorize logs in by the password form', async t => {
  const { components } = await documentOf(t, { prefix: '/api/auth' })
  t.match(components.securitySchemes, {
    accessToken: { type: 'oauth2', flows: { password: { tokenUrl: '/api/auth/login', scopes: {} } } },
    refreshCookie: { type: 'apiKey', in: 'cookie', name: '__Host-Http-refresh' }
  })
})

t.test('without a login route Authorize takes a token', async t => {
  const { components } = await documentOf(t, { routes: { login: false } })
  t.match(components.securitySchemes, { accessToken: { type: 'http', scheme: 'bearer' } })
})

t.test('schemes of the app stay, also under our names', async t => {
  const accessToken = { type: 'http', scheme: 'bearer', description: 'Ours' }
  const { components } = await documentOf(t, {}, { accessToken })
  t.match(components.securitySchemes, { accessToken, key, refreshCookie: { in: 'cookie' } })
})

t.test('only routes that read a body show one', async t => {
  const { paths } = await documentOf(t)
  const typesOf = (path: string) => Object.keys(paths[path]?.['post']?.requestBody?.content ?? {})

  t.same(typesOf('/auth/login'), ['application/json', 'application/x-www-form-urlencoded'])
  t.same(typesOf('/auth/signup'), ['application/json'])
  t.same(typesOf('/auth/refresh'), [])
  t.same(typesOf('/auth/logout'), [])
  t.equal(paths['/auth/sessions/{id}']?.['delete']?.requestBody, undefined)
})

t.test('an answer names its codes, and is open where Fastify has others', async t => {
  const { paths } = await documentOf(t)
  const answerOf = (status: string) => paths['/auth/signup']?.['post']?.responses[status]
  const codesOf = (status: string) => answerOf(status)?.content?.['application/json'].schema.properties.code.enum

  t.same(codesOf('409'), ['FST_AUTH_USERNAME_TAKEN'])
  t.equal(codesOf('400'), undefined)
  t.match(answerOf('400')?.description, /FST_AUTH_PASSWORD_REFUSED/)
})
