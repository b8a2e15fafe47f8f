import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, cp, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import mysql, { type Pool, type PoolOptions } from 'mysql2/promise'
import root, { type Test } from 'tap'
import { startDatabaseServer } from './database-server.js'
import { freePort } from './free-port.js'

const run = promisify(execFile)

/** The address of a database, as options of mysql2. */
export interface MysqlPlace {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

/** A server that belongs to one test, which may break it. */
export interface OwnMysqlServer {
  readonly place: MysqlPlace
  /** As `kill -9`: what was committed is recovered at the next start. */
  stop (): Promise<void>
  start (): Promise<void>
  /** Copies the data of a stopped server; the returned function restores them to a stopped server. */
  snapshot (): Promise<() => Promise<void>>
}

let shared: Promise<MysqlPlace | { missing: string }> | undefined

/**
 * A new, empty database, dropped when `t` ends. Its server is that of MYSQL_URL, else one started for this test file with
 * the MariaDB or MySQL in the PATH. Without either, `t` shows why it is skipped and the result is null.
 */
export async function mysqlDatabase (t: Test): Promise<MysqlPlace | null> {
  shared ??= findServer()
  const found = await shared
  if ('missing' in found) {
    t.pass('needs MariaDB or MySQL', { skip: found.missing })
    return null
  }
  const database = `test_${randomBytes(8).toString('hex')}`
  await execute(found, `CREATE DATABASE ${database} CHARACTER SET utf8mb4`)
  t.teardown(() => execute(found, `DROP DATABASE ${database}`))
  return { ...found, database }
}

/** A server that nobody else uses, which ends with `t`; null as with `mysqlDatabase`. */
export async function ownMysqlServer (t: Test): Promise<OwnMysqlServer | null> {
  try {
    const home = await createHome()
    t.teardown(() => rm(home, { recursive: true, force: true }))
    return await startOwnServer(t, home)
  } catch (error) {
    t.pass('needs MariaDB or MySQL', { skip: notStarted(error) })
    return null
  }
}

async function startOwnServer (t: Test, home: string): Promise<OwnMysqlServer> {
  const port = await freePort()
  const start = () => launch(home, port, '--innodb-flush-log-at-trx-commit=1')
  const [data, copy] = [join(home, 'data'), join(home, 'snapshot')]
  let stop: ((keepData: boolean) => Promise<void>) | undefined = await start()
  const server: OwnMysqlServer = {
    place: placeOn(port),
    async stop () {
      await stop?.(true)
      stop = undefined
    },
    async start () { stop = await start() },
    async snapshot () {
      await cp(data, copy, { recursive: true })
      return async () => {
        await rm(data, { recursive: true })
        await cp(copy, data, { recursive: true })
      }
    }
  }
  t.teardown(() => server.stop())
  await execute({ ...server.place, database: 'mysql' }, 'CREATE DATABASE test')
  return server
}

/** As `mysqlDatabase`, with a pool on that database that ends with `t`. */
export async function mysqlPool (t: Test, options: PoolOptions = {}): Promise<Pool | null> {
  const place = await mysqlDatabase(t)
  return place && poolAt(t, { ...place, ...options })
}

/** A pool that ends with `t`. */
export function poolAt (t: Test, options: PoolOptions): Pool {
  const pool = mysql.createPool(options)
  t.teardown(() => pool.end())
  return pool
}

async function execute (place: MysqlPlace, sql: string): Promise<void> {
  const connection = await mysql.createConnection({ ...place })
  await connection.query(sql)
  await connection.end()
}

async function findServer (): Promise<MysqlPlace | { missing: string }> {
  if (process.env.MYSQL_URL) {
    const { hostname, port, username, password, pathname } = new URL(process.env.MYSQL_URL)
    return { host: hostname, port: Number(port || 3306), user: username, password, database: pathname.slice(1) || 'mysql' }
  }
  try {
    return await startServer()
  } catch (error) {
    return { missing: `MYSQL_URL is not set, and ${notStarted(error)}` }
  }
}

function notStarted (error: unknown): string {
  const lines = String(error).split('\n')
  return `a server does not start here (${lines.filter((line, nth) => nth === 0 || /error|fail/i.test(line)).join('; ')})`
}

/** Starts a throw-away server: no data survives it. */
async function startServer (): Promise<MysqlPlace> {
  const home = await createHome()
  try {
    const port = await freePort()
    const stop = await launch(home, port, '--innodb-flush-log-at-trx-commit=0')
    root.teardown(() => stop(false))
    return { ...placeOn(port), database: 'mysql' }
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

function placeOn (port: number): MysqlPlace {
  return { host: '127.0.0.1', port, user: 'root', password: '', database: 'test' }
}

/** Small, and with a folder of its own for temporary tables: a server that starts deletes those of all others in /tmp. */
function settingsOf (home: string): string[] {
  return [`--datadir=${join(home, 'data')}`, `--tmpdir=${home}`, '--innodb-log-file-size=4M', '--innodb-buffer-pool-size=32M', ...USER]
}

/** The server runs as root only with this option. */
const USER = process.getuid?.() === 0 ? ['--user=root'] : []

/** A folder with the data of a new server, in memory where there is room: making them flushes to the disk for seconds. */
async function createHome (): Promise<string> {
  const home = await mkdtemp(join(await hasRoom('/dev/shm') ? '/dev/shm' : tmpdir(), 'mysql-'))
  try {
    const install = await find('mariadb-install-db')
    if (install !== undefined) await run(install, ['--no-defaults', ...settingsOf(home), '--auth-root-authentication-method=normal', '--skip-test-db'])
    else await run(await server(), ['--no-defaults', '--initialize-insecure', ...settingsOf(home)])
    return home
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

async function hasRoom (folder: string): Promise<boolean> {
  const found = await statfs(folder).catch(() => null)
  return found !== null && found.bavail * found.bsize > 2 ** 30
}

async function server (): Promise<string> {
  const program = await find('mariadbd') ?? await find('mysqld')
  if (program === undefined) throw new Error('mariadbd and mysqld are not in the PATH')
  return program
}

/** Debian installs servers in a folder that is in root's PATH only. */
async function find (name: string): Promise<string | undefined> {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']) {
    const path = join(folder, name)
    if (await access(path).then(() => true, () => false)) return path
  }
  return undefined
}

/** Starts a server; the returned function kills it, and keeps or removes its data. */
async function launch (home: string, port: number, ...settings: string[]): Promise<(keepData: boolean) => Promise<void>> {
  return await startDatabaseServer({
    command: [await server(), '--no-defaults', ...settingsOf(home), `--socket=${join(home, 'socket')}`, `--port=${port}`, '--bind-address=127.0.0.1',
      '--skip-log-bin', '--skip-name-resolve', ...settings],
    home,
    signal: 'KILL',
    ready: 'ready for connections',
    failure: /.*(?=\n.*\[ERROR\] Aborting)/
  })
}
