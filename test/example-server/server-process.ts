import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Test } from 'tap'
import { NO_COVERAGE, PLAIN_NODE } from '../support/plain-node.js'

const PROGRAM = fileURLToPath(new URL('../../dist/example-server/server.js', import.meta.url))
const IN_TURN = fileURLToPath(new URL('start-in-turn.js', import.meta.url))
const CLOCK = new URL('settable-clock.js', import.meta.url).href

type Variables = Readonly<Record<string, string>>

/** A server in its own process, as with `npm start`. */
export interface ServerProcess {
  readonly url: string
  /** Its standard output so far. */
  output (): string
  /** Sets its clock ahead. */
  wait (milliseconds: number): Promise<void>
  /** Sends a signal and waits for the end: the exit code, or null if the signal ended it. */
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
    async wait (milliseconds) {
      const done = once(child, 'message')
      child.send(milliseconds)
      await done
    },
    async stop (signal = 'SIGTERM') {
      child.kill(signal)
      const [code] = await ended
      return code
    }
  }
}

/** Runs the server until it exits: its exit code and its standard error. */
export async function runUntilEnd (variables: Variables): Promise<{ code: number | null, errors: string }> {
  const child = run({ PORT: '0', ...variables })
  const written = collect(child)
  const [code] = await once(child, 'close')
  return { code, errors: written.errors }
}

/** Starts the server in one process with several environments, one after the other: the results. */
export async function startInTurn (environments: readonly Variables[]): Promise<Array<{ code: number | null, errors: string }>> {
  const child = run({}, [IN_TURN, JSON.stringify(environments)])
  const written = collect(child)
  await once(child, 'close')
  if (written.errors !== '') throw new Error(written.errors)
  return JSON.parse(written.output)
}

/** Without the environment of this process, so that a developer's variables change no test. */
function run (env: Variables, program: readonly string[] = ['--import', CLOCK, PROGRAM]): ChildProcess {
  const [command, ...args] = PLAIN_NODE
  return spawn(command, [...args, ...program], { env: { ...env, ...NO_COVERAGE }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
}

function collect ({ stdout, stderr }: ChildProcess): { output: string, errors: string } {
  const written = { output: '', errors: '' }
  stdout?.setEncoding('utf8').on('data', (text: string) => { written.output += text })
  stderr?.setEncoding('utf8').on('data', (text: string) => { written.errors += text })
  return written
}
