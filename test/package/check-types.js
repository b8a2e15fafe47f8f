// Compiles an app against the packed package with old and new compilers and types of Node, with each module resolution
// and with checked declarations (skipLibCheck off).
// Run by `npm run check:types`, after `npm ci` has built the package.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const COMPILERS = ['5.4.5', '5.9.3', '6.0.3', '7.0.2']
const NODES = ['20', '22', '24', '25', '26']
const KINDS = {
  NodeNext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
  CommonJS: { module: 'nodenext', moduleResolution: 'nodenext' }
}

const APP = `
import Fastify from 'fastify'
import { authenticate, refreshCookie, memoryStore, type RefreshCookieOptions } from 'fastify-refresh-cookie'
import { postgresStore, postgresSchema } from 'fastify-refresh-cookie/postgres'
import { mysqlStore, mysqlSchema } from 'fastify-refresh-cookie/mysql'
import { sqliteStore, sqliteSchema } from 'fastify-refresh-cookie/sqlite'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { storeContract } from 'fastify-refresh-cookie/testing'
import { createAuthClient } from 'fastify-refresh-cookie/client'
import { getSession, refreshSession, type PageSession } from 'fastify-refresh-cookie/server'

const options: RefreshCookieOptions = { secret: Buffer.alloc(32), store: memoryStore(), keys: [{ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: { kty: 'EC' } }] }
export async function build () {
  const app = Fastify()
  await app.register(refreshCookie, options)
  app.get('/me', { onRequest: [app.authenticate] }, async request => ({ id: request.auth.claims.sub.toUpperCase() }))
  app.get('/mine', { onRequest: authenticate }, async request => await request.auth.sessions())
  app.get('/page', { onRequest: app.authenticateByCookie }, async request => request.auth.identity.sub.toUpperCase())
  app.get('/rendered', async request => {
    const session: PageSession | null = await getSession(request.headers, { url: 'http://127.0.0.1:3000/auth' })
    return [session?.sub.toUpperCase(), await refreshSession(new Headers(), { url: 'http://127.0.0.1:3000/auth' })]
  })
  return [app, postgresStore, postgresSchema, mysqlStore, mysqlSchema, sqliteStore, sqliteSchema, redisStore, storeContract, createAuthClient]
}
`

/** A verifier as a separate program, in which the methods for sessions must not exist. */
const SERVICE = `
import Fastify from 'fastify'
import { authenticate, authenticateOptional, requireFreshLogin, verifier, type AccessClaims, type VerifierOptions } from 'fastify-refresh-cookie/verifier'

const options: VerifierOptions = { jwks: 'https://login.example/auth/jwks', issuer: 'https://login.example', audience: 'orders' }
export async function build () {
  const app = Fastify()
  await app.register(verifier, options)
  app.get('/orders', { onRequest: authenticate }, async request => ({ id: request.auth.claims.sub.toUpperCase() }))
  app.get('/maybe', { preHandler: [authenticateOptional, app.authenticateOptional] }, async request => request.auth.claimsOrNull?.sub ?? null)
  app.get('/fresh', { onRequest: requireFreshLogin('5m') }, async () => ({}))
  // @ts-expect-error there is no session to begin
  app.post('/login', async request => await request.auth.login(1))
  const claims: AccessClaims = await app.verifyAccessToken('token')
  return [app, claims]
}
`

const PROGRAMS = { 'app.ts': APP, 'service.ts': SERVICE }

/** All kinds with the oldest and the newest types of Node and each compiler; those in between with the newest compiler, for the app only. */
const COMBINATIONS = NODES.flatMap(node => COMPILERS.flatMap(compiler => Object.keys(PROGRAMS).flatMap(program => {
  const isEdge = node === NODES[0] || node === NODES.at(-1)
  if (!isEdge && (compiler !== COMPILERS.at(-1) || program !== 'app.ts')) return []
  return Object.keys(KINDS).map(kind => ({ node, compiler, kind, program }))
})))

const folder = mkdtempSync(join(tmpdir(), 'check-types-'))
try {
  process.exitCode = check()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** The number of combinations that do not compile; each is printed with the compiler's output. */
function check () {
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { encoding: 'utf8' }))
  const aliases = [
    ...COMPILERS.map(version => `typescript-${version}@npm:typescript@${version}`),
    ...NODES.map(version => `node-types-${version}@npm:@types/node@${version}`)
  ]
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', join(folder, filename), 'fastify@5', ...aliases], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })

  let failures = 0
  for (const node of NODES) {
    // Other packages depend on types of Node: all of them use the chosen ones.
    const types = join(folder, 'node_modules/@types')
    mkdirSync(types, { recursive: true })
    rmSync(join(types, 'node'), { recursive: true, force: true })
    symlinkSync(join(folder, `node_modules/node-types-${node}`), join(types, 'node'), 'junction')
    for (const combination of COMBINATIONS.filter(each => each.node === node)) failures += compiles(combination) ? 0 : 1
  }
  console.log(`${COMBINATIONS.length} combinations, ${failures} of them do not compile`)
  return failures === 0 ? 0 : 1
}

function compiles ({ node, compiler, kind, program }) {
  const project = join(folder, `${kind}-project`)
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: kind === 'CommonJS' ? 'commonjs' : 'module' }))
  writeFileSync(join(project, program), PROGRAMS[program])
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { ...KINDS[kind], target: 'es2022', lib: ['es2023', 'dom'], types: ['node'], strict: true, skipLibCheck: false, noEmit: true, esModuleInterop: true },
    include: [program]
  }))
  const { status, stdout } = spawnSync(process.execPath, [join(folder, `node_modules/typescript-${compiler}/bin/tsc`), '-p', project], { encoding: 'utf8' })
  const wrong = stdout.split('\n').filter(line => line.includes('fastify-refresh-cookie') || line.startsWith(program) || line.includes(`-project/${program}`))
  if (status === 0 || wrong.length === 0) return true
  console.log(`TypeScript ${compiler}, @types/node ${node}, ${kind}, ${program}:\n${wrong.slice(0, 5).join('\n')}`)
  return false
}
