import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Sample } from './samples.js'

const PROGRAM = fileURLToPath(new URL('./fresh-process.js', import.meta.url))

/** The processor time of a fresh process from its first instruction until its app is ready. */
export async function measureStart (name: string): Promise<Sample> {
  const child = fork(PROGRAM, [name])
  const ended = once(child, 'exit')
  const [{ cpu }] = await once(child, 'message')
  await ended
  return { cpu, rate: null }
}
