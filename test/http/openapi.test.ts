import ajvCompiler from '@fastify/ajv-compiler'
import fastifySwagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticate, authenticateByCookie, authenticateOptional, authenticateStrict, authErrorCodes, requireFreshLogin, statelessStore, type RefreshCookieOptions } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, SECRET, userTable } from '../support/server.js'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly security?: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: unknown }>> }
  readonly parameters?: ReadonlyArray<{ readonly in: string, readonly name: string }>
  readonly responses: Readonly<Record<string, { readonly description: string }>>
}

/** The inspected parts of an OpenAPI document. */
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly securitySchemes: Readonly<Record<string, { readonly type: string }>> }
}

interface Documented {
  readonly options?: Partial<RefreshCookieOptions>
  readonly swagger?: FastifyDynamicSwaggerOptions
  readonly routes?: (app: FastifyInstance) => void
}

/** The document of a host with @fastify/swagger, as it is sent. */
async function documentOf<T = Document> (t: Test, { options = {}, swagger = { openapi: {} }, routes = () => {} }: Documented = {}): Promise<T> {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(fastifySwagger, swagger)
  app.get('/health', async () => 'ok')
  await app.register(refreshCookie, { secret: SECRET, users: userTable(), passwords: FAST_HASHING, ...options })
  routes(app)
  await app.ready()
  return JSON.parse(JSON.stringify(app.swagger()))
}

/** Operations by `POST /auth/login` and the like. */
function operations ({ paths }: Document): Array<readonly [route: string, operation: Operation]> {
  return Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const))
}

const ours = (document: Document) => operations(document).filter(([route]) => route.includes('/auth/'))

const PROOF = ['accessToken']
const COOKIE = ['refreshCookie']

/** Every route, with its security, its body and all its statuses. */
const ROUTES: Readonly<Record<string, readonly [proof: readonly string[], body: boolean, statuses: readonly number[]]>> = {
  'POST /auth/signup': [[], true, [201, 400, 401, 403, 409, 413, 415, 429, 500, 503]],
  'POST /auth/login': [[], true, [200, 400, 401, 403, 413, 415, 429, 500, 503]],
  'POST /auth/refresh': [COOKIE, false, [200, 204, 400, 401, 403, 413, 415, 429, 500, 503]],
  'POST /auth/logout': [COOKIE, false, [204, 400, 403, 413, 415, 500, 503]],
  'GET /auth/sessions': [PROOF, false, [200, 400, 401, 500, 503]],
  'DELETE /auth/sessions': [PROOF, false, [204, 400, 401, 403, 413, 415, 500, 503]],
  'DELETE /auth/sessions/{id}': [PROOF, false, [204, 400, 401, 403, 404, 413, 414, 415, 500, 503]],
  'POST /auth/password': [PROOF, true, [200, 400, 401, 403, 413, 415, 429, 500, 503]],
  'POST /auth/reauthenticate': [PROOF, true, [200, 400, 401, 403, 413, 415, 429, 500, 503]]
}

t.test('every route is described: name, summary, tag, security, body and all responses', async t => {
  const document = await documentOf(t)
  t.strictSame(ours(document).map(([route]) => route).sort(), Object.keys(ROUTES).sort())
  for (const [route, operation] of ours(document)) {
    const [proof, body, statuses] = ROUTES[route] ?? [[], false, []]
    t.match(operation, { operationId: /^[a-z][A-Za-z]+$/, summary: /\w/, tags: exactly('auth') }, route)
    t.strictSame(operation.security?.flatMap(Object.keys), proof, `${route} needs ${proof.join()}`)
    t.equal(operation.requestBody !== undefined, body, `${route} takes ${body ? 'a' : 'no'} body`)
    t.strictSame(Object.keys(operation.responses).map(Number), statuses, route)
  }
})

t.test('a route that is off by default is described if it is on', async t => {
  const { paths } = await documentOf(t, { options: { routes: { verify: '/verify' } } })
  const { post: { operationId, security, responses } = { responses: {} } } = paths['/auth/verify'] ?? {}
  t.strictSame([operationId, security, Object.keys(responses)], ['verify', [], ['200', '400', '401', '403', '413', '415', '500', '503']])
})

t.test('GET /auth/session is described if it is on', async t => {
  const { paths } = await documentOf(t, { options: { routes: { session: '/session' } } })
  const { get: { operationId, security, responses } = { responses: {} } } = paths['/auth/session'] ?? {}
  t.strictSame([operationId, security, Object.keys(responses)], ['session', [{ refreshCookie: [] }], ['200', '401', '403', '500', '503']])
})

t.test('the document is valid OpenAPI', async t => {
  const document = await documentOf(t)
  t.match(document.openapi, /^3\.0/)
  const names = operations(document).flatMap(([, { operationId }]) => operationId ?? [])
  t.equal(new Set(names).size, names.length, 'each operationId is unique')
  for (const [route, operation] of operations(document)) {
    for (const [status, { description }] of Object.entries(operation.responses)) t.ok(description.length > 3, `${route} says what ${status} means`)
    for (const name of (operation.security ?? []).flatMap(Object.keys)) t.ok(document.components.securitySchemes[name], `${route} names a scheme that is there`)
    const inPath = (operation.parameters ?? []).filter(parameter => parameter.in === 'path').map(({ name }) => `{${name}}`)
    t.strictSame(route.match(/\{\w+\}/g) ?? [], inPath)
  }
  t.notMatch(JSON.stringify(document), /"\$ref"/, 'every $ref is in the document')
})

t.test('login accepts JSON or an OAuth2 password form, the other bodies are JSON', async t => {
  for (const [route, { requestBody }] of ours(await documentOf(t))) {
    if (requestBody === undefined) continue
    t.strictSame(Object.keys(requestBody.content), route.endsWith('/login') ? ['application/json', 'application/x-www-form-urlencoded'] : ['application/json'], route)
  }
})

t.test('each error code is documented at the routes that send it', async t => {
  const described = await documentOf(t)
  t.match(described.paths['/auth/signup']?.['post']?.responses['409'], { content: { 'application/json': { schema: { properties: { code: { enum: exactly('FST_AUTH_USERNAME_TAKEN') } } } } } })
  const document = JSON.stringify(described)
  const named = new Set(document.match(/FST_AUTH_\w+/g))
  for (const code of named) t.ok(authErrorCodes.some(known => known === code), code)
  for (const code of ['FST_AUTH_REFRESH_TOKEN_REUSED', 'FST_AUTH_CROSS_SITE', 'FST_AUTH_SESSION_UNKNOWN', 'FST_AUTH_USERNAME_TAKEN', 'FST_AUTH_PASSWORD_REFUSED']) t.ok(named.has(code), code)
})

t.test('every schema is valid JSON Schema', async t => {
  const compile = ajvCompiler()({}, { customOptions: {} })
  const schemas: Array<readonly [route: string, schema: object]> = []
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  app.addHook('onRoute', ({ url, schema: { body, params, response } = {} }) => {
    for (const schema of [body, params, ...Object.values(response ?? {})]) if (schema !== undefined) schemas.push([url, schema])
  })
  await app.register(refreshCookie, { secret: SECRET, users: userTable(), passwords: FAST_HASHING, routes: { verify: '/verify' } })
  await app.ready()
  t.ok(schemas.length > 80, `${schemas.length} schemas`)
  // `headers` of a response is a property of @fastify/swagger.
  for (const [url, { headers, ...schema }] of schemas as Array<readonly [string, { headers?: unknown }]>) t.doesNotThrow(() => compile({ schema, method: 'POST', url, httpPart: 'body' }), url)
})

const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  'DELETE /auth/sessions/{id}': ['path id'],
  'GET /auth/sessions': ['query limit', 'query after'],
  'POST /auth/refresh': ['query optional']
}

t.test('no token is in a path or a query', async t => {
  for (const [route, { parameters = [] }] of ours(await documentOf(t))) t.strictSame(parameters.map(parameter => `${parameter.in} ${parameter.name}`), PARAMETERS[route] ?? [], route)
})

t.test('Swagger UI can log in with the password form, at any path of the login route', async t => {
  const URLS: ReadonlyArray<readonly [options: Partial<RefreshCookieOptions>, tokenUrl: string]> = [
    [{}, '/auth/login'],
    [{ prefix: '/session' }, '/session/login'],
    [{ routes: { login: '/sign-in' } }, '/auth/sign-in']
  ]
  for (const [options, tokenUrl] of URLS) {
    const { components } = await documentOf(t, { options })
    t.match(components.securitySchemes, { accessToken: { type: 'oauth2', flows: { password: { tokenUrl, scopes: {} } } } })
  }
})

t.test('the tokenUrl of the password form is below the server of the document', async t => {
  const SERVERS: ReadonlyArray<readonly [servers: Array<{ url: string, variables?: Record<string, { default: string }> }>, tokenUrl: string, prefix?: string]> = [
    [[{ url: '/api' }], '/api/auth/login', '/api/auth'], // whose paths @fastify/swagger shortens
    [[{ url: 'https://api.example.com/api' }], 'https://api.example.com/api/auth/login', '/api/auth'],
    [[{ url: '/api' }], '/api/auth/login'],
    [[{ url: '/api/' }, { url: 'https://other.example' }], '/api/auth/login'],
    [[{ url: 'https://api.example.com/v1' }], 'https://api.example.com/v1/auth/login'],
    [[{ url: '/' }], '/auth/login'],
    [[{ url: 'https://{tenant}.example.com/{version}', variables: { tenant: { default: 'a' }, version: { default: 'v2' } } }], 'https://a.example.com/v2/auth/login'],
    [[], '/auth/login']
  ]
  for (const [servers, tokenUrl, prefix = '/auth'] of SERVERS) {
    const { components, paths } = await documentOf(t, { swagger: { openapi: { servers } }, options: { prefix } })
    t.ok(paths['/auth/login'])
    t.match(components.securitySchemes, { accessToken: { flows: { password: { tokenUrl: new RegExp(`^${tokenUrl}$`) } } } }, tokenUrl) // a text would match a part
  }
})

t.test('without a login route the security scheme is a plain bearer token', async t => {
  for (const options of [{ routes: { login: false } }, { users: {} }] as const) {
    const { components } = await documentOf(t, { options })
    t.match(components.securitySchemes, { accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } })
  }
})

t.test('with formatTokenResponse the token response is an open object, and Swagger UI expects no token in it', async t => {
  const { paths, components } = await documentOf(t, { options: { formatTokenResponse: grant => ({ grant }) } })
  t.match(paths['/auth/login']?.['post']?.responses['200'], { content: { 'application/json': { schema: { type: 'object', additionalProperties: true, properties: undefined } } } })
  t.match(components.securitySchemes, { accessToken: { type: 'http', scheme: 'bearer' } })
})

t.test('the security scheme has the name of the refresh cookie', async t => {
  t.match((await documentOf(t)).components.securitySchemes, { refreshCookie: { type: 'apiKey', in: 'cookie', name: '__Host-Http-refresh' } })
  t.match((await documentOf(t, { options: { cookie: { name: '__Host-mine' } } })).components.securitySchemes, { refreshCookie: { name: '__Host-mine' } })
})

t.test('with the transport body the refresh token is in bodies, and no cookie is documented', async t => {
  const document = await documentOf(t, { options: { refreshToken: { transport: 'body' } } })
  for (const path of ['/auth/refresh', '/auth/logout']) {
    const { post: { security, requestBody } = {} } = document.paths[path] ?? {}
    t.strictSame(security, [{}, { refreshToken: [] }], path)
    t.strictSame(Object.keys(requestBody?.content ?? {}), ['application/json', 'application/x-www-form-urlencoded'], path)
  }
  t.match(document.components.securitySchemes, { refreshToken: { type: 'http', scheme: 'bearer' } })
  for (const path of ['/auth/login', '/auth/refresh', '/auth/password', '/auth/reauthenticate']) t.match(JSON.stringify(document.paths[path]?.['post']?.responses['200']), '"refresh_token"', path)
  const requires = (path: string): boolean => /"required":\[[^\]]*"refresh_token"/.test(JSON.stringify(document.paths[path]?.['post']?.responses['200']))
  t.strictSame(['/auth/login', '/auth/refresh', '/auth/password', '/auth/reauthenticate'].filter(requires), ['/auth/login', '/auth/refresh', '/auth/password'], 'a reauthentication has one only if the request had one')
  t.notMatch(JSON.stringify(document), /cookie|remember/i)
})

t.test('renewWithAccessToken is documented at refresh', async t => {
  const { paths } = await documentOf(t, { options: { refreshToken: { renewWithAccessToken: true } } })
  t.strictSame(paths['/auth/refresh']?.['post']?.security, [{ refreshCookie: [] }, { accessToken: [] }])
  t.strictSame(paths['/auth/logout']?.['post']?.security, [{ refreshCookie: [] }])
})

t.test('two registrations have distinct operationIds', async t => {
  const twice = async (swagger: FastifyDynamicSwaggerOptions) => await documentOf(t, {
    swagger,
    routes (app) {
      for (const prefix of ['/native', '/admin']) app.register(async scope => { await scope.register(refreshCookie, { secret: SECRET, prefix, refreshToken: { transport: 'body' } }) })
    }
  })
  for (const swagger of [{ openapi: {} }, { swagger: {} }]) {
    const names = operations(await twice(swagger)).flatMap(([, { operationId }]) => operationId ?? [])
    t.equal(new Set(names).size, names.length)
    t.ok(['refresh', 'refresh2', 'refresh3'].every(name => names.includes(name)))
  }
  t.match((await twice({ openapi: {} })).components.securitySchemes, { refreshCookie: {}, refreshToken: {} })
})

t.test('routes that do not exist are not documented', async t => {
  t.strictSame(ours(await documentOf(t, { options: { users: {} } })).map(([route]) => route).sort(), ['DELETE /auth/sessions', 'DELETE /auth/sessions/{id}', 'GET /auth/sessions', 'POST /auth/logout', 'POST /auth/refresh'])
  t.strictSame(ours(await documentOf(t, { options: { users: {}, store: statelessStore() } })).map(([route]) => route).sort(), ['POST /auth/logout', 'POST /auth/refresh'])
})

t.test("a host's route is documented as protected if its hook requires an access token", async t => {
  const mine = [{ mine: [] }]
  const { paths } = await documentOf(t, {
    swagger: { openapi: { components: { securitySchemes: { mine: { type: 'apiKey', in: 'header', name: 'x-key' } } } } },
    routes (app) {
      const handler = async () => 'ok'
      app.get('/onRequest', { onRequest: app.authenticate }, handler)
      app.get('/preHandler', { preHandler: [async () => {}, app.authenticate] }, handler)
      app.get('/preParsing', { preParsing: async () => {}, preValidation: app.authenticate }, handler)
      app.get('/strict', { onRequest: app.authenticateStrict }, handler)
      app.get('/fresh', { onRequest: app.requireFreshLogin('5m') }, handler)
      app.get('/imported', { onRequest: authenticate }, handler)
      app.get('/imported-strict', { preHandler: [authenticateStrict] }, handler)
      app.get('/imported-fresh', { onRequest: requireFreshLogin('5m') }, handler)
      app.get('/imported-optional', { onRequest: authenticateOptional }, handler)
      app.get('/page', { onRequest: app.authenticateByCookie }, handler)
      app.get('/imported-page', { preHandler: authenticateByCookie }, handler)
      app.get('/either', { onRequest: [app.authenticateByCookie, app.authenticate] }, handler)
      app.get('/schema', { onRequest: app.authenticate, schema: { summary: 'As it was' } }, handler)
      app.get('/its-own', { onRequest: app.authenticate, schema: { security: mine } }, handler)
      app.get('/optional', { onRequest: app.authenticateOptional }, handler)
      app.get('/open', { onRequest: async () => {} }, handler)
    }
  })
  const marks = Object.fromEntries(Object.entries(paths).filter(([path]) => !path.startsWith('/auth')).map(([path, { get }]) => [path, get?.security]))
  const marked = [{ accessToken: [] }]
  t.strictSame(marks, { '/health': undefined, '/onRequest': marked, '/preHandler': marked, '/preParsing': marked, '/strict': marked, '/fresh': marked, '/imported': marked, '/imported-strict': marked, '/imported-fresh': marked, '/imported-optional': undefined, '/page': [{ refreshCookie: [] }], '/imported-page': [{ refreshCookie: [] }], '/either': marked, '/schema': marked, '/its-own': mine, '/optional': undefined, '/open': undefined })
  t.equal(paths['/schema']?.['get']?.summary, 'As it was')
})

t.test('a protected app is documented as protected, and the plugin\'s routes keep their own security', async t => {
  const { paths } = await documentOf(t, {
    swagger: { openapi: { components: { securitySchemes: { accessToken: { type: 'http', scheme: 'bearer' } } }, security: [{ accessToken: [] }] } }
  })
  t.strictSame(['/health', '/auth/login', '/auth/refresh'].map(path => Object.values(paths[path] ?? {})[0]?.security), [undefined, [], [{ refreshCookie: [] }]])
})

t.test('security schemes of the host stay, and override the plugin\'s', async t => {
  const securitySchemes = { mine: { type: 'apiKey', in: 'header', name: 'x-key' }, accessToken: { type: 'http', scheme: 'bearer', description: 'as the host has it' } } as const
  const document = await documentOf(t, { swagger: { openapi: { components: { securitySchemes, schemas: { Thing: { type: 'object' } } } } } })
  t.match(document.components, { securitySchemes: { ...securitySchemes, refreshCookie: { type: 'apiKey' } }, schemas: { Thing: { type: 'object' } } })
})

t.test('a transform of the host applies to its own routes', async t => {
  const seen: string[] = []
  const transform: NonNullable<FastifyDynamicSwaggerOptions['transform']> = ({ schema, url }) => {
    seen.push(url)
    return { schema, url }
  }
  await documentOf(t, { swagger: { openapi: {}, transform } })
  t.strictSame(seen, ['/health'])
})

t.test('without any route the plugin changes no document', async t => {
  const routes = { signup: false, login: false, refresh: false, logout: false, sessions: false, password: false, reauthenticate: false } as const
  const document = await documentOf(t, { options: { routes }, routes (app) { app.get('/me', { onRequest: app.authenticate }, async () => 'me') } })
  t.strictSame(operations(document).map(([route, { security }]) => [route, security]), [['GET /health', undefined], ['GET /me', undefined]])
})

t.test('a Swagger 2 document has everything that Swagger 2 can express', async t => {
  interface Swagger2 { readonly swagger: string, readonly paths: Document['paths'], readonly securityDefinitions: Readonly<Record<string, object>> }
  const document = await documentOf<Swagger2>(t, {
    swagger: { swagger: { securityDefinitions: { mine: { type: 'basic' } } } },
    routes (app) { app.get('/me', { onRequest: app.authenticate }, async () => 'me') }
  })
  t.equal(document.swagger, '2.0')
  t.match(document.securityDefinitions, { mine: { type: 'basic' }, accessToken: { type: 'apiKey', in: 'header', name: 'Authorization' }, refreshCookie: { type: 'apiKey', in: 'header', name: 'Cookie' } })
  for (const path of ['/auth/login', '/auth/refresh', '/auth/sessions/{id}', '/me']) t.ok(document.paths[path], path)
  t.strictSame(document.paths['/me']?.['get']?.security, [{ accessToken: [] }])
})

t.test('schemas of the plugin do not change shared schemas of the host', async t => {
  const users = userTable()
  const documents = [await documentOf(t, { options: { users, prefix: '/a' } }), await documentOf(t, { options: { users, prefix: '/b', accounts: { usernameField: 'email' } } })]
  const fields = documents.map(document => JSON.stringify(operations(document).find(([route]) => route.endsWith('/login'))?.[1].requestBody))
  t.match(fields[0], /"username"/)
  t.match(fields[1], /"email"/)
  t.notMatch(fields[1], /"username"/)
})
