import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { EnvironmentError } from './environment-error.js'

/** The folder in which everything is kept that has to outlive a restart. An EnvironmentError says why it cannot be used. */
export interface DataFolder {
  /** Where a file or folder of this name is. */
  path (name: string): string
  /** The secret that is kept here; made at the first call. */
  secret (): string
  /** Keeps other processes away from the embedded database, which bears only one. Gives the function that lets them in again. */
  lock (): () => void
}

/** The data folder: made when something is first kept there, for this user alone. */
export function createDataFolder (dataDir: string): DataFolder {
  const folder = resolve(dataDir)
  const path = (name: string) => join(folder, name)

  return {
    path,

    secret: () => withFolder(() => {
      const file = path('auth-secret')
      placeOnce(file, randomBytes(48).toString('base64'))
      return readFileSync(file, 'utf8')
    }),

    lock: () => withFolder(() => {
      const file = path('process-id')
      const free = () => rmSync(file, { force: true })
      if (placeOnce(file, String(process.pid))) return free
      const holder = Number(readFileSync(file, 'utf8'))
      if (isAlive(holder)) throw new EnvironmentError(`DATA_DIR "${folder}" is in use by the process ${holder}: stop that one, or set another DATA_DIR`)
      free()
      placeOnce(file, String(process.pid))
      return free
    })
  }

  function withFolder<T> (work: () => T): T {
    try {
      makeFolder(folder)
      return work()
    } catch (cause) {
      if (cause instanceof EnvironmentError) throw cause
      throw new EnvironmentError(`DATA_DIR "${folder}" cannot be used: ${(cause as Error).message}`, { cause }) // what node:fs throws
    }
  }
}

/** Not mkdir's own `recursive`, which never returns where a file system takes no folders (/proc). */
function makeFolder (folder: string): void {
  if (!existsSync(dirname(folder))) makeFolder(dirname(folder))
  unlessThere(() => mkdirSync(folder, { mode: 0o700 }))
}

/** Writes a file that is not there yet; false if it is. It appears with its whole content, also for a process that starts now. */
function placeOnce (file: string, content: string): boolean {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, content, { mode: 0o600 })
  try {
    return unlessThere(() => linkSync(draft, file))
  } finally {
    rmSync(draft)
  }
}

/** Makes something; false if it is there already. */
function unlessThere (make: () => void): boolean {
  try {
    make()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false // what node:fs throws
    throw error
  }
}

/** Whether another process with this id runs. Our own id in the file is an earlier life's: in a container it is the same each time. */
function isAlive (id: number): boolean {
  if (id === process.pid) return false
  try {
    return process.kill(id, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // there is one, of another user
  }
}
