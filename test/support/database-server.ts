import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Readable } from 'node:stream'

/** The program of a database server. */
export interface ServerProgram {
  readonly command: readonly string[]
  readonly user?: { readonly uid?: number, readonly gid?: number }
  /** The folder with its data. */
  readonly home: string
  /** Ends it as a crash would. */
  readonly signal: 'KILL' | 'QUIT'
  /** In its log: it accepts connections. */
  readonly ready: string
  /** In its log: the reason why it did not start. */
  readonly failure: RegExp
}

// If this process dies, the standard input of the keeper closes: it stops the server and removes its data,
// unless it has received a line. Its own standard error is closed, so that the end of the server ends the log.
const KEEPER = 'trap "" HUP INT TERM; "$@" & exec 2>/dev/null; read -r _ && kept=1; kill "-$STOP_SIGNAL" $!; wait; cd /; [ "$kept" ] || rm -rf "$DATA_HOME"'

/** Starts a server; the returned function stops it, and keeps or removes its data. */
export async function startDatabaseServer ({ command, user = {}, home, signal, ready, failure }: ServerProgram): Promise<(keepData: boolean) => Promise<void>> {
  const keeper = spawn('sh', ['-c', KEEPER, 'sh', ...command], {
    ...user,
    cwd: home,
    env: { ...process.env, DATA_HOME: home, STOP_SIGNAL: signal },
    stdio: ['pipe', 'ignore', 'pipe']
  })

  const stop = async (keepData: boolean): Promise<void> => {
    keeper.ref()
    keeper.stdin.end(keepData ? 'keep its data\n' : '')
    await once(keeper, 'exit')
  }
  try {
    await untilReady(keeper.stderr, ready, failure)
  } catch (error) {
    await stop(true)
    throw error
  }
  keeper.unref()
  return stop
}

function untilReady (stderr: Readable, ready: string, failure: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = ''
    stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
      if (log.includes(ready)) resolve()
    })
    stderr.on('close', () => reject(new Error(failure.exec(log)?.[0] ?? 'the server ended at once')))
  })
}
