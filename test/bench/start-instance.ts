import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type RefreshCookieOptions } from 'fastify-refresh-cookie'

/** A process that serves the app. */
export interface Instance {
  readonly url: string
  /** Its memory after a garbage collection, in bytes. */
  memory (): Promise<{ rss: number, heapUsed: number }>
  /** Sends SIGTERM; resolves to its exit code, or null if it had to be killed. */
  stop (): Promise<number | null>
}

const PROGRAM = fileURLToPath(new URL('./instance.js', import.meta.url))

/** The password of every user of an instance. */
export const PASSWORD = 'correct horse battery staple'

/** Starts a process. Processes with the same `name` share a store. */
export async function startInstance (engine: 'redis' | 'postgres', name: string, settings: RefreshCookieOptions): Promise<Instance> {
  const child = fork(PROGRAM, [engine, name, JSON.stringify(settings)], { execArgv: ['--expose-gc'] })
  const ended = once(child, 'exit')
  const [{ url }] = await once(child, 'message')
  return {
    url,

    async memory () {
      child.send('memory')
      const [used] = await once(child, 'message')
      return used
    },

    async stop () {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
      const [code] = await ended
      clearTimeout(timer)
      return code
    }
  }
}
