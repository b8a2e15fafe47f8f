// Starts the example server as a user would, and lints its OpenAPI document.
// Run by `npm run check:openapi`, after `npm ci` has built the example.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const LINTER = '@redocly/cli@2.77.0'
const START_SECONDS = 60

const folder = await mkdtemp(join(tmpdir(), 'openapi-'))
const port = await freePort()
const server = spawn('npm', ['start'], {
  env: { ...process.env, HOST: '127.0.0.1', PORT: String(port), DATA_DIR: join(folder, 'data'), LOG_LEVEL: 'error' },
  stdio: ['ignore', 'inherit', 'inherit'],
  detached: true // a process group of its own, so that npm and what it started end together
})
try {
  const path = join(folder, 'openapi.json')
  await writeFile(path, JSON.stringify(await readDocument(`http://127.0.0.1:${port}/docs/json`), null, 2))
  process.exitCode = await lint(path)
} finally {
  await stop()
  await rm(folder, { recursive: true, force: true })
}

async function freePort () {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  listener.close()
  await once(listener, 'close')
  return port
}

async function readDocument (url) {
  for (let second = 0; second < START_SECONDS && server.exitCode === null; second++) {
    const answer = await fetch(url).catch(() => null)
    if (answer?.ok) return await answer.json()
    await delay(1000)
  }
  throw new Error(`npm start did not serve ${url}`)
}

async function lint (path) {
  const linter = spawn('npx', ['--yes', LINTER, 'lint', path], {
    env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
    stdio: ['ignore', 'inherit', 'inherit']
  })
  const [status] = await once(linter, 'exit')
  return status ?? 1
}

/** Waits for the whole group: npm ends before the database, which still writes to the folder. */
async function stop () {
  if (isRunning()) process.kill(-server.pid, 'SIGTERM')
  while (isRunning()) await delay(100)
}

function isRunning () {
  try {
    return process.kill(-server.pid, 0)
  } catch {
    return false
  }
}
