import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The path of a file in the data folder. Creates the folder if it is missing, readable by this user only. */
export function dataFolder (folder: string, file: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return join(folder, file)
}

/** A secret that is generated at the first start, and kept across restarts. */
export function ownSecret (folder: string): string {
  const file = dataFolder(folder, 'auth-secret')
  if (!existsSync(file)) writeFileSync(file, randomBytes(48).toString('base64'), { mode: 0o600 })
  return readFileSync(file, 'utf8')
}

/** Two processes on one embedded database would damage it. Returns the function that unlocks the folder. */
export function lock (folder: string): () => void {
  const file = dataFolder(folder, 'process-id')
  const other = existsSync(file) ? Number(readFileSync(file, 'utf8')) : process.pid
  if (other !== process.pid && isRunning(other)) throw new Error(`DATA_DIR ${folder} is in use by process ${other}: stop it, or set another DATA_DIR`)
  writeFileSync(file, String(process.pid))
  return () => rmSync(file, { force: true })
}

function isRunning (id: number): boolean {
  try {
    return process.kill(id, 0)
  } catch {
    return false
  }
}
