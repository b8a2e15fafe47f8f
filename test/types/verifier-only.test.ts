import { resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'

/** The compiler settings of this repository, in which 'fastify-refresh-cookie' is lib. */
function settings (): ts.CompilerOptions {
  const { config } = ts.readConfigFile('tsconfig.json', path => ts.sys.readFile(path))
  return { ...ts.parseJsonConfigFileContent(config, ts.sys, '.').options, noUnusedLocals: false }
}

/** The compiler's errors about a program of one module, each with its line. */
function complaints (text: string): string[] {
  const path = resolve('service.ts')
  const options = settings()
  const host = ts.createCompilerHost(options)
  const program = ts.createProgram([path], options, {
    ...host,
    fileExists: name => name === path || host.fileExists(name),
    readFile: name => name === path ? text : host.readFile(name),
    getSourceFile: (name, version, ...more) => name === path ? ts.createSourceFile(path, text, version, true) : host.getSourceFile(name, version, ...more)
  })
  const file = program.getSourceFile(path)
  return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(({ start = 0, messageText }) => {
    const line = file?.getLineAndCharacterOfPosition(start).line ?? 0
    return `${text.split('\n')[line]?.trim() ?? ''} // ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}

const SERVICE = `
  import Fastify from 'fastify'
  import verifier, { authenticate, authenticateOptional, requireFreshLogin, AuthError, type AccessClaims, type VerifierOptions } from 'fastify-refresh-cookie/verifier'

  declare module 'fastify-refresh-cookie/verifier' {
    interface CustomClaims { role: string }
  }

  const options: VerifierOptions = { jwks: 'https://login.example/auth/jwks', issuer: 'https://login.example', audience: 'orders' }
  const app = Fastify()
  await app.register(verifier, options)
  app.get('/orders', { onRequest: authenticate }, async ({ auth }) => [auth.claims.sub, auth.claims.role.toUpperCase()])
  app.get('/maybe', { onRequest: authenticateOptional }, async ({ auth }) => auth.claimsOrNull?.sub ?? null)
  app.get('/fresh', { onRequest: [requireFreshLogin('5m'), app.authenticate] }, async ({ auth }) => await auth.authenticate())
  const claims: AccessClaims = await app.verifyAccessToken('…')
  if (claims instanceof AuthError) await app.reloadKeys()
`

/** Members that a verifier does not have. */
const NOT_THERE = ['login', 'refresh', 'logout', 'sessions', 'revokeSession', 'revokeOtherSessions'].map(verb => `app.get('/${verb}', async ({ auth }) => auth.${verb})`)
  .concat(['sessions', 'passwords'].map(name => `app.log.info(app.${name})`))

t.test('a program that imports only the verifier compiles, and has no method for sessions', async t => {
  t.strictSame(complaints(SERVICE), [])
  const found = complaints(`${SERVICE}\n${NOT_THERE.join('\n')}`)
  t.strictSame(found.map(line => line.split(' // ')[0]), NOT_THERE)
  for (const line of found) t.match(line, /Property '\w+' does not exist on type/)
})

t.test('with the main entry beside it the methods exist', async t => {
  t.strictSame(complaints(`import 'fastify-refresh-cookie'\n${SERVICE}\n${NOT_THERE.join('\n')}`), [])
})
