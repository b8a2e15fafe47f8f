import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { PAGES, read } from '../support/documentation.js'
import { NO_COVERAGE, PLAIN_NODE } from '../support/plain-node.js'
import { SECRET } from '../support/server.js'
import { ANY_PORT, startProgram } from '../support/start-program.js'
import { ADA, client } from './client.js'

const PROGRAM = fileURLToPath(new URL('../../dist/example-server/minimal.js', import.meta.url))

const readme = readFileSync('README.md', 'utf8')

t.test('the first example of the README is minimal.ts', async t => {
  const [, first = ''] = /```js\n([^]*?)```/.exec(readme) ?? []
  t.equal(readFileSync('example-server/minimal.ts', 'utf8'), first)
  t.ok(first.split('\n').length - 1 <= 20, 'at most 20 lines')
})

t.test('the first example signs up, protects a route, refreshes and logs out', async t => {
  const { send, jar } = client(await start(t))
  t.equal((await send('GET', '/me')).status, 401)
  t.equal((await send('POST', '/auth/signup', ADA)).status, 201)
  const { status, json } = await send('GET', '/me')
  t.equal(status, 200)
  t.match(json(), { sub: /^[\w-]{36}$/ }, 'an id that no later user of this name gets')
  t.equal((await send('POST', '/auth/refresh')).status, 200)
  t.equal((await send('POST', '/auth/logout')).status, 204)
  t.equal(jar.header('/'), undefined, 'the cookie is cleared')
  t.equal((await send('POST', '/auth/refresh')).status, 401)
})

t.test('broken access control: no sample has a hook that may be undefined and leave its route open', async t => {
  const copied = [...PAGES, ...readdirSync('example-server').filter(name => name.endsWith('.ts')).map(name => read(`example-server/${name}`))]
  t.strictSame(copied.filter(({ text }) => /\b(on|pre)[A-Z]\w+: *app\.\w+\b(?!\()/.test(text)).map(({ path }) => path), [])
})

/** Starts the example in its own process, until `t` ends: its address. */
async function start (t: Test): Promise<string> {
  const [command, ...args] = PLAIN_NODE
  return await startProgram(t, command, [...args, '--import', ANY_PORT, PROGRAM], { env: { AUTH_SECRET: SECRET, ...NO_COVERAGE } })
}
