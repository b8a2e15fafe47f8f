import { dirname, relative, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'

const ENTRIES = ['lib/index.ts', 'lib/verifier.ts', 'lib/renderer.ts', 'lib/stores/postgres/index.ts', 'lib/stores/mysql/index.ts', 'lib/stores/sqlite/index.ts', 'lib/testing/index.ts']

/** The declarations of lib by their path, as the build writes them. */
function declarations (): Map<string, string> {
  const { config } = ts.readConfigFile('tsconfig.json', path => ts.sys.readFile(path))
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.')
  const program = ts.createProgram(ENTRIES, { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: 'declarations' })
  const files = new Map<string, string>()
  program.emit(undefined, (path, text) => { files.set(relative(resolve('declarations/lib'), resolve(path)), text) }, undefined, true)
  return files
}

/** The imports of a declaration. */
function importsOf (text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
}

t.test('the published types import no package but fastify', async t => {
  const files = declarations()
  const seen = new Set<string>()
  const packages = new Set<string>()

  function visit (path: string): void {
    if (seen.has(path)) return
    seen.add(path)
    const text = files.get(path)
    if (text === undefined) throw new Error(`there is no declaration ${path}`)
    for (const name of importsOf(text)) {
      if (name.startsWith('.')) visit(relative('.', resolve(dirname(path), name)).replace(/\.js$/, '.d.ts'))
      else packages.add(name)
    }
  }
  for (const entry of ENTRIES) visit(relative('lib', entry).replace(/\.ts$/, '.d.ts'))

  t.ok(seen.size > 10, `${seen.size} declarations`)
  t.strictSame([...packages].filter(name => !name.startsWith('node:')), ['fastify'])
  for (const path of seen) t.notMatch(files.get(path), /^\s*declare module '(?!fastify'|\.)|import\('(?!\.)/m, `${path} adds to nothing but fastify and itself`)
  // @types/node 25 moved it, and TS2305 would break every app that checks libraries.
  for (const path of seen) t.notMatch(files.get(path), /import[^;]*JsonWebKey[^;]*from 'node:crypto'/, `${path} takes no type of a JSON Web Key from @types/node`)
})
