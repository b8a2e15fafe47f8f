// The store contract on node:sqlite, which Node 20 lacks, with the built package.
// Run by `npm run check:sqlite` with later versions of Node, after `npm ci` has built the package.

import { DatabaseSync } from 'node:sqlite'
import { sqliteStore } from 'fastify-refresh-cookie/sqlite'
import { storeContract } from 'fastify-refresh-cookie/testing'

const alive = setInterval(() => {}, 1000) // a poll for revocations keeps no process alive
const db = new DatabaseSync(':memory:')
let passed = 0
let failed = 0
for (const { name, run } of storeContract(sqliteStore(db))) {
  try {
    await run(({ clock }) => sqliteStore(db, { clock, table: `sessions_${passed + failed}`, pollEveryMs: 10 }))
    passed++
  } catch (error) {
    failed++
    console.error(`${name}:`, error)
  }
}
clearInterval(alive)
console.log(`node:sqlite of Node ${process.version}: ${passed} cases of the contract passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
