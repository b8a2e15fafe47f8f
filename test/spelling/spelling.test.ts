import { spawnSync } from 'node:child_process'
import t from 'tap'
import { PAGES } from '../support/documentation.js'

t.test('every word of the documentation is spelled right, or in cspell.json', async t => {
  const files = [...PAGES.map(({ path }) => path), 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
  const { status, stdout } = spawnSync(process.execPath, ['node_modules/cspell/bin.mjs', 'lint', '--config', 'test/spelling/cspell.json', '--no-progress', '--no-summary', '--no-color', ...files], { encoding: 'utf8' })
  t.equal(stdout, '')
  t.equal(status, 0)
})
