import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type Test } from 'tap'

const run = promisify(execFile)

const NAME = 'fastify-refresh-cookie'

/** A project outside the repository with the packed package installed, as far as possible without a network. */
export interface Consumer {
  /** Its folder. */
  readonly folder: string
  /** The folder of the package in it. */
  readonly packageFolder: string
  /** Writes a file into it. Returns its path. */
  write (name: string, text: string): Promise<string>
  /** Runs a file of it with Node. Returns its output. */
  run (name: string, environment?: Record<string, string>): Promise<string>
}

/**
 * Packs the build in dist, and unpacks it into a new project until `t` ends. The project has only the declared
 * dependencies of the package, and the `hosts` that a user would have installed.
 */
export async function createConsumer (t: Test, hosts: readonly string[] = ['fastify']): Promise<Consumer> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'consumer-')))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const packageFolder = join(folder, 'node_modules', NAME)
  await mkdir(packageFolder, { recursive: true })
  await unpack(await pack(folder), packageFolder)

  const { dependencies } = JSON.parse(await readFile(join(packageFolder, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  for (const name of new Set([...Object.keys(dependencies), ...hosts])) await link(name, folder)
  return {
    folder,
    packageFolder,
    async write (name, text) {
      const path = join(folder, name)
      await writeFile(path, text)
      return path
    },
    run: async (name, environment = {}) => {
      const { stdout } = await run(process.execPath, [name], { cwd: folder, env: { PATH: process.env['PATH'], ...environment } })
      return stdout.trim()
    }
  }
}

/** All files below a folder, sorted, with slashes. */
export async function filesBelow (folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1).replaceAll('\\', '/'))
    .sort()
}

/** Packs the build in dist: the path of the tarball. */
export async function pack (folder: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { shell: process.platform === 'win32' })
  return join(folder, stdout.trim())
}

async function unpack (tarball: string, folder: string): Promise<void> {
  await run('tar', ['-xzf', tarball, '-C', folder, '--strip-components', '1'])
  await rm(tarball)
}

/** The package as installed in this repository. */
async function link (name: string, folder: string): Promise<void> {
  const path = join(folder, 'node_modules', name)
  await mkdir(dirname(path), { recursive: true })
  await symlink(resolve('node_modules', name), path, 'junction')
}
