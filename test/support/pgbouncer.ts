import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Readable } from 'node:stream'
import { type Test } from 'tap'
import { freePort } from './free-port.js'

/**
 * A PgBouncer in transaction mode before a database, until `t` ends: the connection string through it. Without the
 * program `t` is skipped with the reason, and the result is null.
 */
export async function pgBouncer (t: Test, connectionString: string): Promise<string | null> {
  try {
    return await start(t, connectionString).catch(() => start(t, connectionString)) // another process may have taken the port
  } catch (error) {
    t.pass('needs PgBouncer', { skip: `needs the program pgbouncer (${String(error).split('\n', 1)[0]})` })
    return null
  }
}

// If this process dies, the standard input of the keeper closes: it stops the pooler and removes the folder.
const KEEPER = 'trap "" HUP INT TERM; "$@" & read -r _; kill -KILL $!; wait; rm -rf "$POOLER_HOME"'

async function start (t: Test, connectionString: string): Promise<string> {
  const { hostname, port, username, pathname } = new URL(connectionString)
  const home = await mkdtemp(join(tmpdir(), 'pgbouncer-'))
  const own = await freePort()
  await writeFile(join(home, 'pgbouncer.ini'), `
[databases]
* = host=${hostname} port=${port || 5432} user=${username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${own}
unix_socket_dir =
auth_type = any
pool_mode = transaction
`)
  const asOwner = process.getuid?.() === 0 ? ['-u', 'nobody'] : [] // it refuses to run as root
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', 'pgbouncer', ...asOwner, join(home, 'pgbouncer.ini')], {
    env: { ...process.env, POOLER_HOME: home },
    stdio: ['pipe', 'ignore', 'pipe']
  })
  t.teardown(async () => {
    keeper.ref()
    keeper.stdin.end()
    if (keeper.exitCode === null) await once(keeper, 'exit')
  })
  await untilListening(keeper.stderr, own)
  keeper.stderr.resume()
  keeper.unref()
  return `postgresql://${username}@127.0.0.1:${own}${pathname}`
}

async function untilListening (log: Readable, port: number): Promise<void> {
  let lines = ''
  for await (const chunk of log.iterator({ destroyOnReturn: false })) {
    lines += String(chunk)
    if (lines.includes(`listening on 127.0.0.1:${port}`)) return
    const failure = /(FATAL|ERROR|not found).*/.exec(lines)
    if (failure !== null) throw new Error(failure[0])
  }
  throw new Error('pgbouncer did not start')
}
