import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Test } from 'tap'

/** Makes every server listen on a free port and send it to its parent process. */
export const ANY_PORT = new URL('any-port.js', import.meta.url).href

/** Starts a program that imports `ANY_PORT` first, until `t` ends: its address. */
export async function startProgram (t: Test, command: string, args: readonly string[], options: { readonly cwd?: string, readonly env: NodeJS.ProcessEnv }): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill()
    await ended
  })
  const [port] = await Promise.race([once(child, 'message'), ended.then(() => { throw new Error('the program ended') })])
  return `http://localhost:${port}`
}
