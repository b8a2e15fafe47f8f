import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { exactly } from '../support/exactly.js'
import { createConsumer, filesBelow } from './consumer.js'

const { packageFolder, write, run } = await createConsumer(t)
const read = (path: string): Promise<string> => readFile(join(packageFolder, path), 'utf8')

const files = await filesBelow(packageFolder)
const modules = (await filesBelow('lib')).filter(path => path.endsWith('.ts')).map(path => path.replace(/\.ts$/, ''))
/** For bundlers; every other entry of `import` passes on the CommonJS one. */
const compiled = { cjs: modules, esm: modules.filter(path => path === 'renderer' || path.startsWith('client/')) }
const passedOn = ['index', 'verifier', 'testing/index', ...['mysql', 'postgres', 'redis', 'sqlite'].map(store => `stores/${store}/index`)]

t.test('the package contains both kinds of module and the documents', async t => {
  const built = Object.entries(compiled).flatMap(([build, paths]) => paths.flatMap(path => ['.d.ts', '.js', '.js.map'].map(ending => `dist/${build}/${path}${ending}`)))
  built.push(...passedOn.flatMap(path => ['.d.ts', '.js'].map(ending => `dist/esm/${path}${ending}`)))
  const pages = (await filesBelow('docs')).map(path => `docs/${path}`)
  const wanted = ['bin/fastify-refresh-cookie.js', 'CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'dist/cjs/package.json', 'package.json', ...pages, ...built]
  t.strictSame(files, wanted.sort(), 'after npm run build')
})

t.test('source maps contain the source and no path outside', async t => {
  for (const [build, paths] of Object.entries(compiled)) {
    for (const path of paths) {
      const map = JSON.parse(await read(`dist/${build}/${path}.js.map`))
      t.strictSame(map.sourcesContent, [await readFile(`lib/${path}.ts`, 'utf8')], `the ${build} build of ${path} is of this source`)
      t.match(map, { sourceRoot: '', sources: exactly(/^(\.\.\/)+lib\/[\w/-]+\.ts$/) })
    }
  }
})

t.test('no file contains a path of the build machine', async t => {
  const texts = await Promise.all(files.map(read))
  t.strictSame(files.filter((_, index) => texts[index]?.includes(process.cwd())), [])
})

t.test('supply chain: it loads only declared dependencies', async t => {
  const { dependencies } = JSON.parse(await read('package.json'))
  const texts = await Promise.all(files.filter(path => path.endsWith('.js')).map(read))
  const loaded = new Set(texts.flatMap(text => ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)))
  const packages = [...loaded].filter(name => !/^(\.|node:)/.test(name))
  t.strictSame(packages.filter(name => !Object.hasOwn(dependencies, name)), [])
})

/** An app in which a user signs up and lists sessions: both statuses. */
const APP = `
  module.exports = async function visit (plugin, allowWeakHashing) {
    const app = require('fastify')()
    const people = new Map()
    const users = {
      findByUsername: async username => people.get(username) ?? null,
      create: async user => people.set(user.username, { id: 1, ...user }).get(user.username)
    }
    const passwords = { memoryCost: 1024, [allowWeakHashing]: true }
    await app.register(plugin, { secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', users, passwords })
    const signup = await app.inject({ method: 'POST', url: '/auth/signup', payload: { username: 'ada', password: 'correct horse' } })
    const authorization = 'Bearer ' + signup.json().access_token
    const sessions = await app.inject({ url: '/auth/sessions', headers: { authorization } })
    return [signup.statusCode, sessions.statusCode]
  }
`

/** The expected output of both module kinds. */
const ALL_WELL = [
  'default 201 200',
  'name 201 200',
  'promise 201 200',
  'whole 201 200'
]

t.test('a user signs up, for every ES module import', async t => {
  await write('app.cjs', APP)
  await write('esm.mjs', `
    import { createRequire } from 'node:module'
    import plugin, { refreshCookie } from 'fastify-refresh-cookie'
    import * as whole from 'fastify-refresh-cookie'
    import visit from './app.cjs'

    const { allowWeakHashing } = createRequire(import.meta.url)('fastify-refresh-cookie')
    const ways = { default: plugin, name: refreshCookie, promise: import('fastify-refresh-cookie'), whole }
    for (const [way, registered] of Object.entries(ways)) console.log(way, ...await visit(registered, allowWeakHashing))
  `)
  t.strictSame((await run('esm.mjs')).split('\n'), ALL_WELL)
})

t.test('a user signs up, for every CommonJS require', async t => {
  await write('app.cjs', APP)
  await write('cjs.cjs', `
    const whole = require('fastify-refresh-cookie')
    const visit = require('./app.cjs')

    async function main () {
      const { allowWeakHashing } = await import('fastify-refresh-cookie')
      const ways = { default: whole.default, name: whole.refreshCookie, promise: import('fastify-refresh-cookie'), whole }
      for (const [way, registered] of Object.entries(ways)) console.log(way, ...await visit(registered, allowWeakHashing))
      }
    main()
  `)
  t.strictSame((await run('cjs.cjs')).split('\n'), ALL_WELL)
})

/** Installs a second copy, as a dependency of another package. */
async function writeSecondCopy (): Promise<void> {
  await cp(packageFolder, join(packageFolder, '../../other/node_modules/fastify-refresh-cookie'), { recursive: true })
}

t.test('import and require give one copy of the code', async t => {
  await write('one-copy.mjs', `
    import { createRequire } from 'node:module'
    import refreshCookie, { AuthError } from 'fastify-refresh-cookie'
    import * as verifying from 'fastify-refresh-cookie/verifier'

    const required = createRequire(import.meta.url)('fastify-refresh-cookie')
    console.log(required.AuthError === AuthError, verifying.AuthError === AuthError, required.default === refreshCookie, required.refreshCookie === refreshCookie)
  `)
  t.equal(await run('one-copy.mjs'), 'true true true true')
})

t.test('an error of one copy is an AuthError of another', async t => {
  await writeSecondCopy()
  await write('errors.mjs', `
    import { createRequire } from 'node:module'
    import { AuthError } from 'fastify-refresh-cookie'

    const other = createRequire(new URL('other/', import.meta.url))('fastify-refresh-cookie').AuthError
    console.log(other !== AuthError, new AuthError('FST_AUTH_BUSY') instanceof other, new other('FST_AUTH_BUSY') instanceof AuthError)
  `)
  t.equal(await run('errors.mjs'), 'true true true')
})

t.test('broken access control: a hook of one copy protects routes with the plugin of another', async t => {
  await writeSecondCopy()
  await write('hooks.cjs', `
    module.exports = async function visit (plugin, hooks, options) {
      const app = require('fastify')()
      app.get('/before', { onRequest: hooks.authenticate }, async () => 'open')
      await app.register(plugin, options)
      app.get('/after', { onRequest: hooks.authenticate }, async () => 'open')
      app.get('/fresh', { onRequest: hooks.requireFreshLogin('5m') }, async () => 'open')
      const alone = require('fastify')()
      alone.get('/alone', { onRequest: hooks.authenticate }, async () => 'open')
      const answers = [await alone.inject('/alone')]
      for (const url of ['/before', '/after', '/fresh']) answers.push(await app.inject(url))
      return answers.map(answer => answer.json().code)
    }
  `)
  await write('hooks.mjs', `
    import { createRequire } from 'node:module'
    import * as main from 'fastify-refresh-cookie'
    import * as verifying from 'fastify-refresh-cookie/verifier'
    import visit from './hooks.cjs'

    const require = createRequire(new URL('other/', import.meta.url))
    const copies = { own: { main, verifying }, other: { main: require('fastify-refresh-cookie'), verifying: require('fastify-refresh-cookie/verifier') } }
    const key = '-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\\n-----END PUBLIC KEY-----'
    const registrations = { main: { secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*' }, verifying: { keys: [{ kid: 'k1', algorithm: 'EdDSA', use: 'verify', publicKey: key }] } }
    for (const [one, other] of [['own', 'other'], ['other', 'own'], ['own', 'own']]) {
      for (const [entry, options] of Object.entries(registrations)) {
        for (const hooks of Object.values(copies[other])) console.log(...await visit(copies[one][entry].default, hooks, options))
      }
    }
  `)
  const answers = `FST_AUTH_NOT_REGISTERED${' FST_AUTH_ACCESS_TOKEN_MISSING'.repeat(3)}`
  t.strictSame((await run('hooks.mjs')).split('\n'), Array.from({ length: 12 }, () => answers))
})

t.test('every subpath exports the same by import and by require, without a database driver', async t => {
  const { exports } = JSON.parse(await read('package.json')) as { exports: Record<string, unknown> }
  const paths = Object.keys(exports).filter(path => !path.endsWith('.json')).map(path => `fastify-refresh-cookie${path.slice(1)}`)
  await write('subpaths.cjs', `
    const names = given => Object.keys(given).filter(name => name !== 'default').sort().join()
    for (const path of ${JSON.stringify(paths)}) {
      const required = names(require(path))
      import(path).then(imported => console.log(names(imported) === required && required !== '' ? path : 'not ' + path))
    }
  `)
  t.strictSame((await run('subpaths.cjs')).split('\n').sort(), paths.sort())
})

t.test('package.json can be imported, internal files cannot', async t => {
  await write('inside.cjs', `
    console.log(require('fastify-refresh-cookie/package.json').name)
    import('fastify-refresh-cookie/dist/cjs/plugin.js').catch(error => console.log(error.code))
  `)
  t.equal(await run('inside.cjs'), 'fastify-refresh-cookie\nERR_PACKAGE_PATH_NOT_EXPORTED')
})
