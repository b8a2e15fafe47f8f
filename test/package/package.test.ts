import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { createConsumer, filesBelow } from './consumer.js'

const { packageFolder, write, run } = await createConsumer(t)
const read = (path: string): Promise<string> => readFile(join(packageFolder, path), 'utf8')

const files = await filesBelow(packageFolder)
const modules = (await filesBelow('lib')).filter(path => path.endsWith('.ts')).map(path => path.replace(/\.ts$/, ''))
const builds = ['esm', 'cjs'] as const

t.test('the package holds the two builds, and what a person reads', async t => {
  const built = builds.flatMap(build => modules.flatMap(path => ['.d.ts', '.js', '.js.map'].map(ending => `dist/${build}/${path}${ending}`)))
  const wanted = ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist/cjs/package.json', 'package.json', ...built]
  t.strictSame(files, wanted.sort(), 'after npm run build')
})

t.test('source maps hold the source, and lead nowhere outside', async t => {
  for (const build of builds) {
    for (const path of modules) {
      const map = JSON.parse(await read(`dist/${build}/${path}.js.map`))
      t.strictSame(map.sourcesContent, [await readFile(`lib/${path}.ts`, 'utf8')], `the ${build} build of ${path} is of this source`)
      t.match(map, { sourceRoot: '', sources: [/^(\.\.\/)+lib\/[\w/-]+\.ts$/] })
    }
  }
})

t.test('no file knows where it was built', async t => {
  const texts = await Promise.all(files.map(read))
  t.strictSame(files.filter((_, index) => texts[index]?.includes(process.cwd())), [])
})

t.test('it loads no package but those it declares', async t => {
  const { dependencies } = JSON.parse(await read('package.json'))
  const texts = await Promise.all(files.filter(path => path.endsWith('.js')).map(read))
  const loaded = new Set(texts.flatMap(text => ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)))
  const packages = [...loaded].filter(name => !/^(\.|node:)/.test(name))
  t.strictSame(packages.filter(name => !Object.hasOwn(dependencies, name)), [])
})

/** An app in which somebody signs up and then asks for their sessions; it prints both statuses. */
const app = (registration: string): string => `
  const app = Fastify()
  const people = new Map()
  const users = {
    findByUsername: async username => people.get(username) ?? null,
    create: async user => people.set(user.username, { id: 1, ...user }).get(user.username)
  }
  const options = { secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', users, passwords: { memoryCost: 1024, [allowWeakHashing]: true } }
  ${registration}
  const signup = await app.inject({ method: 'POST', url: '/auth/signup', payload: { username: 'ada', password: 'correct horse' } })
  const authorization = 'Bearer ' + signup.json().access_token
  app.inject({ url: '/auth/sessions', headers: { authorization } }).then(answer => console.log(signup.statusCode, answer.statusCode))
`

const esm = (imports: string, registration: string): string => `
  import Fastify from 'fastify'
  import { createRequire } from 'node:module'
  ${imports}
  const { allowWeakHashing } = createRequire(import.meta.url)('fastify-refresh-cookie')
  ${app(registration)}
`

const cjs = (imports: string, registration: string): string => `
  const Fastify = require('fastify')
  ${imports}
  async function main () {
    const { allowWeakHashing } = await import('fastify-refresh-cookie')
    ${app(registration)}
  }
  main()
`

/** Every way to get hold of the plugin. The options name a symbol of the other build, which has to mean the same. */
const WAYS: ReadonlyArray<readonly [file: string, program: string]> = [
  ['import-default.mjs', esm("import refreshCookie from 'fastify-refresh-cookie'", 'await app.register(refreshCookie, options)')],
  ['import-name.mjs', esm("import { refreshCookie } from 'fastify-refresh-cookie'", 'await app.register(refreshCookie, options)')],
  ['import-promise.mjs', esm('', "await app.register(import('fastify-refresh-cookie'), options)")],
  ['require.cjs', cjs('', "await app.register(require('fastify-refresh-cookie'), options)")],
  ['require-default.cjs', cjs("const plugin = require('fastify-refresh-cookie').default", 'await app.register(plugin, options)')],
  ['require-name.cjs', cjs("const { refreshCookie } = require('fastify-refresh-cookie')", 'await app.register(refreshCookie, options)')],
  ['require-promise.cjs', cjs('', "await app.register(import('fastify-refresh-cookie'), options)")]
]

for (const [file, program] of WAYS) {
  t.test(`a person signs up: ${file}`, async t => {
    await write(file, program)
    t.equal(await run(file), '201 200')
  })
}

/** What each subpath gives, by import and by require, where no database driver is installed. */
const SUBPATHS = { postgres: 'postgresStore', testing: 'storeContract' }

for (const [subpath, name] of Object.entries(SUBPATHS)) {
  t.test(`fastify-refresh-cookie/${subpath} gives ${name}`, async t => {
    await write(`${subpath}.mjs`, `import { ${name} } from 'fastify-refresh-cookie/${subpath}'; console.log(typeof ${name})`)
    await write(`${subpath}.cjs`, `console.log(typeof require('fastify-refresh-cookie/${subpath}').${name})`)
    t.equal(await run(`${subpath}.mjs`), 'function')
    t.equal(await run(`${subpath}.cjs`), 'function')
  })
}

t.test('its package.json can be read, its insides cannot', async t => {
  await write('inside.cjs', `
    console.log(require('fastify-refresh-cookie/package.json').name)
    import('fastify-refresh-cookie/dist/esm/plugin.js').catch(error => console.log(error.code))
  `)
  t.equal(await run('inside.cjs'), 'fastify-refresh-cookie\nERR_PACKAGE_PATH_NOT_EXPORTED')
})
