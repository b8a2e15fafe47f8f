/**
 * Builds the package into dist: CommonJS, and for `import` a module that passes it on, so that a process has one copy of the
 * code and its state, whatever loads it. The client and `renderer.js`, which bundlers take, are ES modules of their own.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, relative } from 'node:path/posix'

const TSC = createRequire(import.meta.url).resolve('typescript/bin/tsc')
const PROJECTS = ['lib', 'lib/tsconfig.esm.json', 'lib/client', 'lib/client/tsconfig.cjs.json']

for (const build of ['dist/cjs', 'dist/esm']) rmSync(build, { recursive: true, force: true })
for (const project of PROJECTS) execFileSync(process.execPath, [TSC, '-p', project], { stdio: 'inherit' })
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }')

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
for (const entry of Object.values(exports)) {
  if (typeof entry === 'object' && !existsSync(entry.import.default)) passOn(entry.require, entry.import)
}

/** Names each export, since `export *` would pass on `__esModule` too. A default export has a name as well. */
function passOn (from, to) {
  const source = relative(dirname(to.default), from.default)
  const { default: main, ...named } = createRequire(import.meta.url)(`./${from.default}`)
  const names = Object.keys(named)
  const defaults = names.filter(name => named[name] === main).map(name => `export { ${name} as default } from '${source}'\n`)
  if (main !== undefined && defaults.length !== 1) throw new Error(`${from.default}: its default export has no name of its own`)
  mkdirSync(dirname(to.default), { recursive: true })
  writeFileSync(to.default, `export { ${names.join(', ')} } from '${source}'\n${defaults.join('')}`)
  writeFileSync(to.types, `export * from '${source}'\n${defaults.join('')}`)
}
