/**
 * Runs the tests with tap: all of them, or the files of its arguments. Tests that need a program which is not installed
 * are skipped, and reported.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const TAP = new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url)
const LOADER = new URL('support/typescript.js', import.meta.url)

/** Tests that need a program, with its possible names. */
const NEEDS = {
  'the Redis store': ['redis-server'],
  'a pooler before PostgreSQL': ['pgbouncer'],
  'the MySQL store': ['mariadbd', 'mysqld'],
  'the browser client in Chromium': ['chromium', 'chromium-browser', 'google-chrome'],
  'the browser client in Firefox': ['firefox', 'firefox-esr'],
  'pages over https': ['openssl']
}

const skipped = Object.entries(NEEDS).filter(([, names]) => !names.some(isHere))
for (const [what, names] of skipped) console.log(`Skipped: the tests of ${what}, which need ${names.join(' or ')}`)

// A part of the tests covers a part of the code. On a machine that has everything, all of them cover every line and branch.
const selection = process.argv.slice(2)
const isPart = selection.some(argument => !argument.startsWith('-'))
const allowance = skipped.length > 0 || isPart ? ['--allow-incomplete-coverage', '--allow-empty-coverage'] : []
const { status, signal } = spawnSync(process.execPath, [fileURLToPath(TAP), ...allowance, ...selection], {
  stdio: 'inherit',
  env: { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${LOADER}` }
})
if (signal !== null) console.error(`tap was ended by ${signal}`)
process.exit(status ?? 1)

function isHere (name) {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].some(folder => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
