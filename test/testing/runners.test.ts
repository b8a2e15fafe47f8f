import t from 'tap'
import { createConsumer } from '../package/consumer.js'
import { read } from '../support/documentation.js'

/** The files that the page prints, by name. */
const files = [...read('docs/testing.md').text.matchAll(/Save as `([^`]+)`:\n+```js\n([^]*?)^```$/gm)].map(([, name = '', code = '']) => [name, code] as const)

t.test('the samples pass with node:test and tap, in a project that has installed the package', async t => {
  const { write, run } = await createConsumer(t, ['fastify', 'tap'])
  for (const [name, code] of files) await write(name, code)
  const runs = await Promise.all(['notes.test.mjs', 'notes.tap.mjs'].map(async name => await run(name)))
  for (const output of runs) t.match(output, /^# fail 0$|^# \{ total: 2, pass: 2 \}|^1\.\.1$/m)
})

t.test('each sample has at most ten lines below its imports', async t => {
  const long = files.filter(([name, code]) => name !== 'app.mjs' && code.split('\n\n').slice(1).join().trimEnd().split('\n').length > 11)
  t.strictSame(long.map(([name]) => name), [])
})
