// Compiles an app against the packed package with old and new compilers and types of Node, in each way of resolving
// modules, and with the declarations themselves checked (skipLibCheck off).
// Run by `npm run check:types`, after `npm ci` has built the package.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const COMPILERS = ['5.4.5', '5.9.3', '6.0.3']
const NODES = ['20', '22', '24', '25', '26']
const KINDS = {
  NodeNext: { module: 'nodenext', moduleResolution: 'nodenext' },
  bundler: { module: 'esnext', moduleResolution: 'bundler' },
  CommonJS: { module: 'nodenext', moduleResolution: 'nodenext' }
}

const APP = `
import Fastify from 'fastify'
import { refreshCookie, memoryStore, type RefreshCookieOptions } from 'fastify-refresh-cookie'
import { postgresStore, postgresSchema } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { storeContract } from 'fastify-refresh-cookie/testing'
import { createAuthClient } from 'fastify-refresh-cookie/client'

const options: RefreshCookieOptions = { secret: Buffer.alloc(32), store: memoryStore(), keys: [{ kid: 'k1', algorithm: 'ES256', use: 'verify', publicKey: { kty: 'EC' } }] }
export async function build () {
  const app = Fastify()
  await app.register(refreshCookie, options)
  app.get('/me', { onRequest: [app.authenticate] }, async request => ({ id: request.auth.claims.sub.toUpperCase() }))
  return [app, postgresStore, postgresSchema, redisStore, storeContract, createAuthClient]
}
`

const folder = mkdtempSync(join(tmpdir(), 'check-types-'))
try {
  process.exitCode = check()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** How many of the combinations do not compile, each printed with the compiler's words. */
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
    // Other packages bring types of Node of their own choice: all of them see the chosen ones.
    const types = join(folder, 'node_modules/@types')
    mkdirSync(types, { recursive: true })
    rmSync(join(types, 'node'), { recursive: true, force: true })
    symlinkSync(join(folder, `node_modules/node-types-${node}`), join(types, 'node'), 'junction')
    for (const compiler of COMPILERS) {
      for (const [kind, resolution] of Object.entries(KINDS)) failures += compiles(node, compiler, kind, resolution) ? 0 : 1
    }
  }
  console.log(`${NODES.length * COMPILERS.length * Object.keys(KINDS).length} combinations, ${failures} of them do not compile`)
  return failures === 0 ? 0 : 1
}

function compiles (node, compiler, kind, resolution) {
  const project = join(folder, `${kind}-project`)
  mkdirSync(project, { recursive: true })
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: kind === 'CommonJS' ? 'commonjs' : 'module' }))
  writeFileSync(join(project, 'app.ts'), APP)
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { ...resolution, target: 'es2022', lib: ['es2023', 'dom'], types: ['node'], strict: true, skipLibCheck: false, noEmit: true, esModuleInterop: true },
    include: ['app.ts']
  }))
  const { status, stdout } = spawnSync(process.execPath, [join(folder, `node_modules/typescript-${compiler}/bin/tsc`), '-p', project], { encoding: 'utf8' })
  const wrong = stdout.split('\n').filter(line => line.includes('fastify-refresh-cookie') || line.startsWith('app.ts') || line.includes('-project/app.ts'))
  if (status === 0 || wrong.length === 0) return true
  console.log(`TypeScript ${compiler}, @types/node ${node}, ${kind}:\n${wrong.slice(0, 5).join('\n')}`)
  return false
}
