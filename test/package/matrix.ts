// Tests the tarball in an empty folder on all supported versions of Node, Bun and Deno, with both builds, and the oldest and the
// newest Fastify and database clients. Run by `npm run check:matrix`, after `npm ci` has built the package.

import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { postgres } from '../support/postgres.js'
import { ownRedisServer } from '../support/redis.js'
import { pack } from './consumer.js'

const run = promisify(execFile)

/** Programs are started as a user would, without the modules that tap loads into its child processes. */
const { NODE_OPTIONS, ...env } = process.env

const OLDEST_FASTIFY = '5.0.0'
const NPM = ['--no-audit', '--no-fund', '--loglevel=error']
const NEWEST = ['fastify@5', 'bun@1.4.5', 'deno@2.9.6',
  'ioredis-oldest@npm:ioredis@5.0.0', 'ioredis-newest@npm:ioredis@latest',
  'redis-oldest@npm:redis@4.6.0', 'redis-newest@npm:redis@latest',
  'pg-oldest@npm:pg@8.0.3', 'pg-newest@npm:pg@latest']

/** The beginning of a program of each module kind. */
const KINDS = {
  'ES module': ['esm.mjs', `import Fastify from 'fastify'
    import * as plugin from 'fastify-refresh-cookie'
    import { redisStore } from 'fastify-refresh-cookie/redis'
    import { postgresStore } from 'fastify-refresh-cookie/postgres'
    import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)`],
  CommonJS: ['cjs.cjs', `const Fastify = require('fastify')
    const plugin = require('fastify-refresh-cookie')
    const { redisStore } = require('fastify-refresh-cookie/redis')
    const { postgresStore } = require('fastify-refresh-cookie/postgres')`]
} as const

type Kind = keyof typeof KINDS

/** Opens a store on a client; `end` closes the client. */
const STORES = {
  memory: 'return plugin.memoryStore({ clock })',
  ioredis: `const loaded = require(process.env.CLIENT)
    const client = new (loaded.Redis ?? loaded)({ path: process.env.SERVER, enableOfflineQueue: false, maxRetriesPerRequest: 0, lazyConnect: true })
    await client.connect()
    end = () => client.disconnect()
    return redisStore(client, { clock })`,
  redis: `const client = require(process.env.CLIENT).createClient({ socket: { path: process.env.SERVER }, disableOfflineQueue: true })
    await client.connect()
    end = () => client.disconnect()
    return redisStore(client, { clock })`,
  pg: `const pool = new (require(process.env.CLIENT).Pool)({ connectionString: process.env.SERVER })
    end = () => pool.end()
    return postgresStore(pool, { clock })`
} as const

type Store = keyof typeof STORES

interface Job {
  readonly folder: string
  /** The command that starts a program. */
  readonly runtime?: readonly [command: string, ...args: string[]]
  readonly kind?: Kind
  readonly store?: Store
  /** The name of the package of the client, and the address of its server. */
  readonly client?: string
  readonly server?: string
}

t.test('the packed package', async t => {
  const newest = await install(t, ...NEWEST)
  const fastify = `Fastify ${await versionOf('fastify', newest)}`

  for (const kind of ['ES module', 'CommonJS'] as const) {
    await serves(t, `Node ${process.versions.node}, ${fastify}, ${kind}`, { folder: newest, kind })
    for (const version of ['22', '24']) await serves(t, `Node ${version}, ${fastify}, ${kind}`, { folder: newest, kind, runtime: ['npx', '--yes', `node@${version}`] })
  }
  await serves(t, `Bun ${await versionOf('bun', newest)}, ${fastify}`, { folder: newest, runtime: ['npx', 'bun', 'run'] })
  await serves(t, `Deno ${await versionOf('deno', newest)}, ${fastify}`, { folder: newest, runtime: ['npx', 'deno', 'run', '--allow-all'] })

  const oldest = await install(t, `fastify@${OLDEST_FASTIFY}`)
  for (const kind of ['ES module', 'CommonJS'] as const) await serves(t, `Fastify ${OLDEST_FASTIFY}, ${kind}`, { folder: oldest, kind })

  const redis = await ownRedisServer(t)
  const database = await postgres(t)
  for (const [store, server] of [['ioredis', redis?.path], ['redis', redis?.path], ['pg', database]] as const) {
    if (server === undefined || server === null) continue // skipped with the reason
    for (const client of [`${store}-oldest`, `${store}-newest`]) {
      await serves(t, `${store} ${await versionOf(client, newest)}`, { folder: newest, store, client, server })
    }
  }

  await measureProduction(t, oldest)
})

/** One line: the whole flow passes. */
async function serves (t: Test, name: string, { folder, runtime: [command, ...args] = [process.execPath], kind = 'ES module', store = 'memory', client = '', server = '' }: Job): Promise<void> {
  const [file, beginning] = KINDS[kind]
  const program = join(folder, `${store}-${file}`)
  await writeFile(program, `${beginning}
    let end = () => {}
    async function openStore (clock) { ${STORES[store]} }
    import('./login-flow.mjs')
      .then(({ serveLogins }) => serveLogins({ Fastify, plugin, openStore }))
      .then(() => end())
      .then(() => console.log('served'))`)
  const started = process.hrtime.bigint()
  const output = await run(command, [...args, program], { cwd: folder, env: { ...env, CLIENT: client, SERVER: server }, timeout: 120_000 })
    .then(({ stdout }) => stdout.trim().split('\n').at(-1), (error: Error) => error.message)
  const seconds = Number((process.hrtime.bigint() - started) / 100_000_000n) / 10
  t.equal(output, 'served', `${name}: logs in, refreshes, finds a reuse, protects routes and logs out (${seconds} s)`)
}

/** An empty folder with the tarball and other packages installed. */
async function install (t: Test, ...packages: readonly string[]): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'matrix-')))
  t.teardown(async () => { await rm(folder, { recursive: true, force: true }) })
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  await cp('test/package/login-flow.js', join(folder, 'login-flow.mjs'))
  await run('npm', ['install', ...NPM, await pack(folder), ...packages], { cwd: folder, env })
  return folder
}

async function versionOf (name: string, folder: string): Promise<string> {
  return JSON.parse(await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version
}

/** Measures the production install of a new app that has the package and Fastify only. */
async function measureProduction (t: Test, folder: string): Promise<void> {
  await rm(join(folder, 'node_modules'), { recursive: true })
  const started = process.hrtime.bigint()
  await run('npm', ['ci', '--omit=dev', ...NPM], { cwd: folder, env })
  const seconds = Number((process.hrtime.bigint() - started) / 100_000_000n) / 10
  const { stdout: size } = await run('du', ['-sm', 'node_modules'], { cwd: folder })
  const { stdout: list } = await run('npm', ['ls', '--all', '--parseable'], { cwd: folder, env })
  t.pass(`npm ci --omit=dev with Fastify: ${list.trim().split('\n').length - 1} packages, ${size.split('\t')[0]} MB, ${seconds} s`)
}
