import { join } from 'node:path'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { createConsumer, type Consumer } from '../package/consumer.js'
import { read } from '../support/documentation.js'
import { exactly } from '../support/exactly.js'
import { SECRET } from '../support/server.js'
import { ANY_PORT, startProgram } from '../support/start-program.js'

const HOSTS = ['fastify', 'reflect-metadata', 'rxjs', ...['common', 'core', 'platform-fastify', 'swagger'].map(name => `@nestjs/${name}`)]

/** The settings of a project that NestJS makes. */
const COMPILER: ts.CompilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, experimentalDecorators: true, emitDecoratorMetadata: true }

const CREDENTIALS = { username: 'ada', password: 'correct horse battery' }

/** A project with the packed package and the files that the page prints, with `changes`. */
async function writeNest (t: Test, changes: (code: string) => string = code => code): Promise<Consumer> {
  const consumer = await createConsumer(t, HOSTS)
  const { write } = consumer
  await write('package.json', '{ "type": "module" }')
  for (const [, name = '', code = ''] of read('docs/nestjs.md').text.matchAll(/^<!-- file: (\S+)\.ts -->\n```ts\n([^]*?)^```$/gm)) {
    await write(`${name}.js`, ts.transpileModule(changes(code), { compilerOptions: COMPILER }).outputText)
  }
  return consumer
}

/** The program of that project: its address. */
async function startNest (t: Test, changes?: (code: string) => string): Promise<string> {
  const { folder } = await writeNest(t, changes)
  return await startProgram(t, process.execPath, ['--import', ANY_PORT, join(folder, 'main.js')], { cwd: folder, env: { PATH: process.env['PATH'], AUTH_SECRET: SECRET } })
}

async function post (url: string, body: object): Promise<Response> {
  return await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

async function tokenOf (response: Response): Promise<Record<'authorization', string>> {
  const { access_token: token } = await response.json() as { access_token: string }
  return { authorization: `Bearer ${token}` }
}

t.test('the page for NestJS runs as printed', async t => {
  const url = await startNest(t)
  const signup = await post(`${url}/api/auth/signup`, CREDENTIALS)
  t.equal(signup.status, 201)
  const cookie = signup.headers.getSetCookie().map(line => line.split(';', 1)[0]).join('; ')
  const headers = await tokenOf(signup)

  await t.test('@Auth() protects, and @CurrentUser() is its user', async t => {
    t.strictSame(await (await fetch(`${url}/api/me`, { headers })).json(), { sub: '1' })
  })

  await t.test('a refusal has its code, and tells the client what to send', async t => {
    const refused = await fetch(`${url}/api/me`)
    t.equal(refused.status, 401)
    t.match(await refused.json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
    t.match(refused.headers.get('www-authenticate'), /^Bearer/)
    const wrong = await post(`${url}/api/auth/login`, { ...CREDENTIALS, password: 'wrong password' })
    t.match(await wrong.json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }, 'as on the routes of the plugin')
  })

  await t.test('@Auth() takes the other hooks', async t => {
    t.strictSame(await (await fetch(`${url}/api/hello`)).json(), { hello: 'stranger' })
    t.strictSame(await (await fetch(`${url}/api/hello`, { headers })).json(), { hello: '1' })
    const forged = { authorization: `${headers.authorization}x` }
    t.match(await (await fetch(`${url}/api/hello`, { headers: forged })).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
    t.equal((await fetch(`${url}/api/account`, { method: 'DELETE' })).status, 401)
    t.equal((await fetch(`${url}/api/account`, { method: 'DELETE', headers })).status, 204)
  })

  await t.test('Swagger UI knows what is protected, and logs in', async t => {
    t.equal((await fetch(`${url}/docs`)).status, 200)
    const document = await (await fetch(`${url}/docs-json`)).json() as OpenApi
    t.match(document.paths['/api/me']?.['get'], { security: exactly({ accessToken: exactly() }), responses: { 401: {} } })
    const { tokenUrl } = document.components.securitySchemes.accessToken.flows.password
    const login = await fetch(url + tokenUrl, { method: 'POST', body: new URLSearchParams({ grant_type: 'password', ...CREDENTIALS }), headers: { origin: url } })
    t.equal(login.status, 200)
    t.equal((await fetch(`${url}/api/me`, { headers: await tokenOf(login) })).status, 200)
  })

  await t.test('the cookie refreshes, until the logout', async t => {
    const refreshed = await fetch(`${url}/api/auth/refresh`, { method: 'POST', headers: { cookie } })
    t.equal((await fetch(`${url}/api/me`, { headers: await tokenOf(refreshed) })).status, 200)
    t.equal((await fetch(`${url}/api/auth/logout`, { method: 'POST', headers: { cookie } })).status, 204)
    t.match(await (await fetch(`${url}/api/auth/refresh`, { method: 'POST', headers: { cookie } })).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  })

  await t.test('a password is changed', async t => {
    const headers = await tokenOf(await post(`${url}/api/auth/login`, CREDENTIALS))
    const newPassword = 'battery horse correct'
    const body = JSON.stringify({ currentPassword: CREDENTIALS.password, newPassword })
    t.equal((await fetch(`${url}/api/auth/password`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body })).status, 200)
    t.equal((await post(`${url}/api/auth/login`, { ...CREDENTIALS, password: newPassword })).status, 200)
  })
})

t.test('a global guard protects every controller but public ones, and no route of the plugin', async t => {
  const url = await startNest(t, code => code
    .replace("import { Auth, CurrentUser } from './auth.js'", "import { APP_GUARD } from '@nestjs/core'; import { Auth, AuthGuard, CurrentUser, Public } from './auth.js'")
    .replace('providers: [UsersService]', 'providers: [UsersService, { provide: APP_GUARD, useValue: new AuthGuard() }]')
    .replace('export class AccountController {', "$&\n  @Get('guarded') guarded () { return {} }\n  @Get('public') @Public() open () { return {} }"))
  t.match(await (await fetch(`${url}/api/guarded`)).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
  t.match(await (await fetch(`${url}/api/me`)).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_MISSING' })
  t.equal((await fetch(`${url}/api/public`)).status, 200)
  t.strictSame(await (await fetch(`${url}/api/hello`)).json(), { hello: 'stranger' }, 'the hook of the method alone')
  const signup = await post(`${url}/api/auth/signup`, CREDENTIALS)
  t.equal(signup.status, 201)
  t.equal((await fetch(`${url}/api/guarded`, { headers: await tokenOf(signup) })).status, 200)
})

t.test('the test of the page runs as printed', async t => {
  const { run } = await writeNest(t)
  t.match(await run('auth.test.js'), /pass 1\b/)
})

t.test('without the plugin a guarded route is never open', async t => {
  const url = await startNest(t, code => code.replace(/^ {2}await app\.register\(.*$/m, ''))
  const refused = await fetch(`${url}/api/me`)
  t.equal(refused.status, 500)
  t.match(await refused.json(), { code: 'FST_AUTH_NOT_REGISTERED' })
})

interface OpenApi {
  readonly paths: Readonly<Record<string, Record<string, unknown>>>
  readonly components: { readonly securitySchemes: { readonly accessToken: { readonly flows: { readonly password: { readonly tokenUrl: string } } } } }
}
