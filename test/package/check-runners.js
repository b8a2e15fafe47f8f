// The samples of docs/testing.md with the runners that the tests do not install, and one for Jest, on the packed package.
// Run by `npm run check:runners`, after `npm ci` has built the package.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const RUNNERS = ['vitest@4.1.12', 'jest@30.5.2']

const JEST = {
  'notes.test.cjs': `
const { randomBytes } = require('node:crypto')
const Fastify = require('fastify')
const { refreshCookie, authenticate } = require('fastify-refresh-cookie')
const { authTest, testOptions } = require('fastify-refresh-cookie/testing')

test('notes are for their owner', async () => {
  const app = Fastify()
  app.register(refreshCookie, { secret: randomBytes(32), ...testOptions() })
  app.get('/notes', { onRequest: authenticate }, async request => [request.auth.claims.sub])
  const auth = authTest(app)
  const ada = await auth.as('ada', { url: await app.listen({ port: 0 }) })
  expect((await ada.inject('/notes')).json()).toEqual(['ada'])
  auth.expireAccess()
  expect((await ada.inject('/notes')).statusCode).toBe(401)
  expect((await ada.refresh()).statusCode).toBe(200)
  await app.close()
})`
}

const folder = mkdtempSync(join(tmpdir(), 'runners-'))
// @fastify/cookie imports an ES module, which Jest allows with this option only. app.inject requires one, which needs Node 24.9.
const env = { ...process.env, NODE_OPTIONS: '--experimental-vm-modules' }
const run = (command, ...words) => execFileSync(command, words, { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] })
try {
  const tarball = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { encoding: 'utf8' }).trim()
  const documented = [...readFileSync('docs/testing.md', 'utf8').matchAll(/Save as `([^`]+)`:\n+```js\n([^]*?)^```$/gm)].map(([, name, code]) => [name, code])
  const files = { 'package.json': '{ "private": true }', ...Object.fromEntries(documented), ...JEST }
  for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, name), code)
  run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', join(folder, tarball), 'fastify@5', ...RUNNERS)
  run('npx', 'vitest', 'run', 'notes.spec.mjs')
  run('npx', 'jest', '--testEnvironment', 'node', '--testMatch', '**/*.test.cjs')
} finally {
  rmSync(folder, { recursive: true, force: true })
}
