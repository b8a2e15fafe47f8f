import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { type Test } from 'tap'

/** The path of a database file that does not exist yet, in a folder that is deleted when `t` ends. */
export async function sqliteFile (t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sqlite-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 'app.db')
}

/** A database that is closed when `t` ends; in memory by default. */
export function sqliteDatabase (t: Test, file = ':memory:', options: Database.Options = {}): Database.Database {
  const db = new Database(file, options)
  t.teardown(() => db.close())
  return db
}
