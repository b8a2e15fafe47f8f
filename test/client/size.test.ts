import { brotliCompressSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { bundle } from './support/bundle.js'

const LIMIT = 2000

t.test('the client has at most 2,000 bytes after gzip', async t => {
  const script = await bundle('export { createAuthClient } from "./index.ts"', true)
  t.match(script, 'BroadcastChannel')
  const gzip = gzipSync(script, { level: 9 }).length
  t.comment(`${script.length} bytes minified, ${gzip} gzip, ${brotliCompressSync(script).length} brotli`)
  t.ok(gzip <= LIMIT, `${gzip} of ${LIMIT} bytes`)
})
