import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { createConsumer } from './consumer.js'

const hosts = ['fastify', '@types/node', '@fastify/jwt', '@fastify/cookie', '@fastify/swagger']
const { folder, packageFolder, write } = await createConsumer(t, hosts)

/** An app that uses the package. Only the import differs between module kinds. */
const app = `
  const users: Users = {
    findById: async sub => ({ id: Number(sub), username: 'ada', passwordHash: null }),
    updatePasswordHash: async (id, newHash, oldHash) => id !== 0 && newHash !== oldHash
  }
  const options: RefreshCookieOptions = {
    secret: process.env['AUTH_SECRET'],
    store: postgresStore({ query: async (sql: string) => ({ rows: [{ sql }], rowCount: 1 }) }),
    users,
    accessToken: { expiresIn: '10m', claims: user => ({ name: user.username }) }
  }

  export async function build (): Promise<FastifyInstance> {
    const app = Fastify()
    await app.register(refreshCookie, options)
    app.get('/me', { onRequest: app.authenticate }, async request => request.auth.claims?.sub.toUpperCase())
    app.get('/maybe', { preHandler: app.authenticateOptional }, async request => request.auth.claimsOrNull === null)
    app.get('/mine', { onRequest: [authenticate, requireFreshLogin('5m')] }, async request => request.auth.claims.sub)
    app.get('/devices', { onRequest: [app.authenticateStrict] }, async request => await request.auth.sessions())
    app.post('/sso', async request => {
      const grant: TokenResponse = await request.auth.login(7)
      return grant
    })
    const ended: number = await app.sessions.revokeAll('7')
    const hash: string = await app.passwords.hash('correct horse')
    const { sub, sid, exp } = await app.verifyAccessToken('…')
    app.log.info({ ended, hash, sub, sid, exp, rules: storeContract(memoryStore()).length })
    app.get('/page', { onRequest: app.authenticateByCookie }, async ({ auth, headers }) => [auth.identity.sub.toUpperCase(), (await getSession(headers, { url: 'http://127.0.0.1:3000/auth' }))?.sub])
    try {
      await app.verifyAccessToken('…')
    } catch (error) {
      if (error instanceof AuthError && error.code === 'FST_AUTH_ACCESS_TOKEN_EXPIRED') app.log.info(error.retryAfter)
      // @ts-expect-error: no such code
      if (error instanceof AuthError && error.code === 'FST_AUTH_NO_SUCH_CODE') throw error
    }
    // @ts-expect-error: no such option
    await app.register(refreshCookie, { secrets: 'x' })
    // @ts-expect-error: a subject is a string or a number
    app.post('/wrong', async request => await request.auth.login({ id: 7 }))
    return app
  }
`

const names = 'AuthError, authenticate, memoryStore, requireFreshLogin, type TokenResponse, type RefreshCookieOptions, type Users'
const esm = `
  import Fastify, { type FastifyInstance } from 'fastify'
  import refreshCookie, { ${names} } from 'fastify-refresh-cookie'
  import { postgresStore } from 'fastify-refresh-cookie/postgres'
  import { storeContract } from 'fastify-refresh-cookie/testing'
  import { getSession } from 'fastify-refresh-cookie/server'
  ${app}
`
const cjs = `
  import Fastify = require('fastify')
  import type { FastifyInstance } from 'fastify'
  import { refreshCookie, ${names} } from 'fastify-refresh-cookie'
  import { postgresStore } from 'fastify-refresh-cookie/postgres'
  import { storeContract } from 'fastify-refresh-cookie/testing'
  import { getSession } from 'fastify-refresh-cookie/server'
  ${app}
`

/** A verifier that uses the package: a separate entry, without methods for sessions. */
const service = `
  export async function build (): Promise<FastifyInstance> {
    const options: VerifierOptions = { jwks: 'https://login.example/auth/jwks', issuer: 'https://login.example', audience: 'orders' }
    const app = Fastify()
    await app.register(verifier, options)
    app.get('/orders', { onRequest: authenticate }, async request => request.auth.claims.sub.toUpperCase())
    app.get('/maybe', { preHandler: authenticateOptional }, async request => request.auth.claimsOrNull?.sub ?? null)
    app.get('/fresh', { onRequest: [requireFreshLogin('5m')] }, async () => ({}))
    const claims: AccessClaims = await app.verifyAccessToken('…')
    app.log.info(claims)
    // @ts-expect-error: there is no session to begin
    app.post('/login', async request => await request.auth.login(1))
    // @ts-expect-error: nor one to end
    await app.sessions.revokeAll('1')
    return app
  }
`
const serviceNames = 'authenticate, authenticateOptional, requireFreshLogin, type AccessClaims, type VerifierOptions'
const esmService = `
  import Fastify, { type FastifyInstance } from 'fastify'
  import verifier, { ${serviceNames} } from 'fastify-refresh-cookie/verifier'
  ${service}
`
const cjsService = `
  import Fastify = require('fastify')
  import type { FastifyInstance } from 'fastify'
  import { verifier, ${serviceNames} } from 'fastify-refresh-cookie/verifier'
  ${service}
`

/** An app with its own @fastify/jwt, @fastify/cookie and @fastify/swagger, and its own augmentation of their types. */
const host = `
  import cookie from '@fastify/cookie'
  import jwt from '@fastify/jwt'
  import swagger from '@fastify/swagger'
  import { build } from './app.js'

  declare module '@fastify/jwt' {
    interface FastifyJWT {
      payload: { mine: string }
      user: { mine: string }
      namespaces: { access: { mine: number } }
    }
  }

  const app = await build()
  await app.register(swagger)
  await app.register(cookie, { secret: '…' })
  await app.register(jwt, { secret: '…' })
  app.get('/mine', async (request, reply) => {
    const signed: string = await reply.jwtSign({ mine: 'x' })
    return [request.user.mine, request.cookies['a'], request.auth.claimsOrNull?.sub, signed]
  })
`

/** The compiler settings of an app; skipLibCheck is off, so that our declarations are checked too. */
const STRICT: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts'],
  types: ['node'],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noEmit: true,
  skipLibCheck: false
}
const NODE: ts.CompilerOptions = { ...STRICT, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext }
const BUNDLER: ts.CompilerOptions = { ...STRICT, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }

t.test('an app compiles as an ES module and as CommonJS', async t => {
  const program = compile([await write('app.mts', esm), await write('app.cts', cjs)], NODE)
  t.strictSame(complaints(program), [])
  for (const build of ['esm', 'cjs']) {
    t.ok(program.getSourceFile(join(packageFolder, 'dist', build, 'index.d.ts')), `the declarations of the ${build} build`)
  }
  const plugins = program.getSourceFiles().filter(({ fileName }) => /\/@fastify\/(jwt|cookie|swagger)\//.test(fileName))
  t.strictSame(plugins.map(({ fileName }) => fileName), [], 'our declarations load no other plugin')
})

t.test('a verifier compiles, and has no method for sessions', async t => {
  t.strictSame(complaints(compile([await write('service.mts', esmService), await write('service.cts', cjsService)], NODE)), [])
  t.strictSame(complaints(compile([await write('service.ts', esmService)], BUNDLER)), [])
})

t.test('an app compiles for a bundler, beside plugins that augment the same types', async t => {
  t.strictSame(complaints(compile([await write('host.ts', host), await write('app.ts', esm)], BUNDLER)), [])
})

function compile (files: string[], options: ts.CompilerOptions): ts.Program {
  return ts.createProgram(files, options, { ...ts.createCompilerHost(options), getCurrentDirectory: () => folder })
}

/** The compiler's errors about the app and our declarations; those of other packages are ignored. */
function complaints (program: ts.Program): string[] {
  const files = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(folder))
  return [...program.getGlobalDiagnostics(), ...program.getOptionsDiagnostics(), ...files.flatMap(file => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file)
  ])].map(({ file, messageText }) => `${file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`)
}
