import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Test } from 'tap'

const PROGRAM = fileURLToPath(new URL('../../dist/example-server/server.js', import.meta.url))

type Variables = Readonly<Record<string, string>>

/** A server that runs as a process of its own, as `npm start` would run it. */
export interface ServerProcess {
  readonly url: string
  /** What it has written to its standard output so far. */
  output (): string
  /** Sends a signal and waits for the end: the exit code, or null where the signal ended it. */
  stop (signal?: 'SIGTERM' | 'SIGINT'): Promise<number | null>
}

/** Starts the server on a free port and waits until it listens. It ends with `t` at the latest. */
export async function startServer (t: Test, variables: Variables): Promise<ServerProcess> {
  const child = run({ PORT: '0', ...variables })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const written = collect(child)
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', () => {
      const [, address] = /^Open (\S+) in a browser/m.exec(written.output) ?? []
      if (address !== undefined) resolve(address)
    })
    child.on('exit', () => reject(new Error(`the server did not start: ${written.errors}`)))
  })

  return {
    url,
    output: () => written.output,
    async stop (signal = 'SIGTERM') {
      child.kill(signal)
      const [code] = await ended
      return code
    }
  }
}

/** Runs the server until it ends by itself: its exit code and what it wrote to standard error. */
export async function runUntilEnd (variables: Variables): Promise<{ code: number | null, errors: string }> {
  const child = run({ PORT: '0', ...variables })
  const written = collect(child)
  const [code] = await once(child, 'close')
  return { code, errors: written.errors }
}

/** With nothing of this process's own environment, so that a developer's variables change no test. */
function run (env: Variables): ChildProcess {
  // Without tap's coverage, which would take the built copy of lib for lib.
  return spawn(process.execPath, [PROGRAM], { env: { ...env, _TAPJS_PROCESSINFO_COVERAGE_: '0' }, stdio: ['ignore', 'pipe', 'pipe'] })
}

function collect ({ stdout, stderr }: ChildProcess): { output: string, errors: string } {
  const written = { output: '', errors: '' }
  stdout?.setEncoding('utf8').on('data', (text: string) => { written.output += text })
  stderr?.setEncoding('utf8').on('data', (text: string) => { written.errors += text })
  return written
}
