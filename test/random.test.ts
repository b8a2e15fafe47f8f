import t from 'tap'
import { randomId } from '../lib/random.js'

t.test('an id is 128 bits of base64url, and no two are equal', async t => {
  const ids = Array.from({ length: 1000 }, randomId)
  t.equal(new Set(ids).size, 1000)
  t.ok(ids.every(id => /^[\w-]{22}$/.test(id) && Buffer.from(id, 'base64url').length === 16))
})
