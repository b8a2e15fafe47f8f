import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import t from 'tap'
import refreshCookie from '../../lib/index.js'
import { secretWeakness } from '../../lib/keys/strength.js'
import { readVectors, withoutVectors } from './shared.js'

t.test('brute force: every secret of the public list is refused, and none is printed', { skip: withoutVectors }, async t => {
  const secrets = readVectors('weak-secrets.txt').split('\n').map(line => line.trim()).filter(line => line !== '')
  const accepted = secrets.filter(secret => secretWeakness(secret) === null)
  t.strictSame(accepted, [])
  const printed = secrets.filter(secret => secretWeakness(secret)?.includes(secret))
  t.strictSame(printed, [])
  t.comment(`${secrets.length} secrets: ${secrets.length - accepted.length} refused, ${accepted.length} accepted`)
  for (const secret of secrets.filter((_secret, i) => i % 100 === 0)) {
    await t.rejects(async () => await Fastify().register(refreshCookie, { secret }), TypeError)
    await t.rejects(async () => await Fastify().register(refreshCookie, { secret: [`${secret}${secret}x`, secret] }), TypeError, 'in a list too')
  }
})

t.test('the list in the package equals the public one', { skip: withoutVectors }, async t => {
  const lines = readVectors('weak-secrets.txt').split('\n').map(line => line.trim()).filter(line => Buffer.byteLength(line) >= 32)
  const prefixes = new Set(lines.map(line => createHash('sha256').update(line).digest('hex').slice(0, 8)))
  const expected = Buffer.from([...prefixes].sort().join(''), 'hex').toString('base64').replace(/=*$/, '')
  const [, shipped = ''] = /Buffer\.from\(`([^`]*)`/.exec(readFileSync('lib/keys/strength.ts', 'utf8')) ?? []
  t.equal(shipped.replace(/\s/g, ''), expected)
})
